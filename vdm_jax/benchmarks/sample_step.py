"""How fast is a denoising step, relative to the roofline of the machine? `python -m vdm_jax.benchmarks.sample_step`

It times the library's compiled sampling loop, ancestral steps with a code: image steps/s, FLOP/s, bytes/s and the share
of the roofline. With the extra `peers` it also times the same network and loop in PyTorch, the fastest of its ways.
"""

import sys
from functools import partial

import jax
import jax.numpy as jnp

from vdm_jax.benchmarks.command import run_cases
from vdm_jax.benchmarks.measure import Contender
from vdm_jax.benchmarks.networks import Case, make_model
from vdm_jax.benchmarks.subject import Subject, compile_subject
from vdm_jax.diffusion.samplers import make_times, sample

STEPS = 10  # of the timed loop


def make_subject(case: Case) -> Subject:
    """The compiled loop of `STEPS` steps from noise."""
    model = make_model(case)
    params = model.init(jax.random.key(0))
    schedule = model.fixed_schedule
    w = jnp.zeros((case.batch_size, model.code.w_dim))

    def loop(params, key, num_steps):
        z_1 = jax.random.normal(jax.random.fold_in(key, 0), (case.batch_size, *case.image_shape))
        times = make_times(schedule, num_steps)
        return sample(jax.random.fold_in(key, 1), model.denoise(params, w), schedule, z_1, times, x_range=(-1.0, 1.0))

    key = jax.random.key(1)
    subject = compile_subject(jax.jit(partial(loop, num_steps=STEPS)), (params, key), steps_per_call=STEPS)
    compiled = subject.compiled

    def run(count: int) -> None:
        for _ in range(count):
            out = compiled(params, key)
        jax.block_until_ready(out)

    return subject.timed_by(Contender("vdm_jax", run))


def make_peer(case: Case, device: str, *, channels_last: bool, compiled: bool):
    """The same loop in PyTorch."""
    from vdm_jax.benchmarks.peer_steps import make_sample

    return make_sample(case, device, channels_last=channels_last, compiled=compiled, num_steps=STEPS)


if __name__ == "__main__":
    sys.exit(run_cases("sample_step", __doc__.splitlines()[0], make_subject, make_peer, unit="image_steps"))
