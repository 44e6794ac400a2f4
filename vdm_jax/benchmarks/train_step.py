"""How fast is a training step, relative to the roofline of the machine? `python -m vdm_jax.benchmarks.train_step`

It measures images/s, FLOP/s, bytes/s, the share of the roofline and the peak memory of the library's own step for each
size and dtype. With the extra `peers` it also times the same network and step in PyTorch, the fastest of its ways.
"""

import sys

import jax

from vdm_jax.benchmarks.command import run_cases
from vdm_jax.benchmarks.measure import Contender
from vdm_jax.benchmarks.networks import Case, make_training
from vdm_jax.benchmarks.subject import Subject, compile_subject

STEPS_PER_CALL = {"cpu": 1}  # on other back ends:
ACCELERATOR_STEPS_PER_CALL = 10


def make_subject(case: Case) -> Subject:
    """The compiled step of the library with batch gathering, dropout, clipping, AdamW and EMA."""
    several = STEPS_PER_CALL.get(jax.default_backend(), ACCELERATOR_STEPS_PER_CALL)
    step, state, data = make_training(case, several)
    subject = compile_subject(step.jitted, (state, data, step.key), steps_per_call=several)
    held = {"state": state}

    def run(count: int) -> None:
        for _ in range(count):
            held["state"], metrics = subject.compiled(held["state"], data, step.key)
        jax.block_until_ready(metrics)

    return subject.timed_by(Contender("vdm_jax", run))


def make_peer(case: Case, device: str, *, channels_last: bool, compiled: bool):
    """The same step in PyTorch, with the same number of steps per call."""
    from vdm_jax.benchmarks.peer_steps import make_train

    run = make_train(case, device, channels_last=channels_last, compiled=compiled)
    several = STEPS_PER_CALL.get(jax.default_backend(), ACCELERATOR_STEPS_PER_CALL)
    return lambda count: run(count * several)


if __name__ == "__main__":
    sys.exit(run_cases("train_step", __doc__.splitlines()[0], make_subject, make_peer))
