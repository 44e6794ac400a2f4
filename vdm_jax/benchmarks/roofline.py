"""The roofline of the machine: its matrix-product peak and memory bandwidth, measured in the same run."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vdm_jax.benchmarks.measure import Contender, side_by_side
from vdm_jax.benchmarks.products import product_flops

MATRIX_SIDE = {"cpu": 2048, "gpu": 8192, "tpu": 8192}
STREAM_VALUES = {"cpu": 2**25, "gpu": 2**28, "tpu": 2**28}  # float32: 128 MiB and 1 GiB, past any cache


class Machine(NamedTuple):
    """FLOP/s of a large matrix product in each dtype, and bytes/s of a + 2 b on arrays larger than any cache."""

    peak: dict[str, float]
    bandwidth: float


def measure_machine(dtypes: tuple[str, ...], rounds: int = 5, seconds: float = 1.0) -> Machine:
    """Measures both with the clock of the steps. The best round counts: a limit is reached once."""
    platform = jax.default_backend()
    side, length = MATRIX_SIDE[platform], STREAM_VALUES[platform]
    contenders = [_matrix_product(dtype, side) for dtype in dtypes] + [_stream(length)]
    times = {name: min(t.rounds) for name, t in side_by_side(contenders, rounds=rounds, seconds=seconds).items()}
    return Machine({dtype: 2 * side**3 / times[dtype] for dtype in dtypes}, 3 * 4 * length / times["stream"])


def _matrix_product(dtype: str, side: int) -> Contender:
    a = jnp.ones((side, side), dtype)
    return Contender(dtype, partial(_repeat, jax.jit(jnp.matmul), a, a))


def _stream(length: int) -> Contender:
    a = jnp.ones(length, jnp.float32)
    return Contender("stream", partial(_repeat, jax.jit(lambda a, b: a + 2 * b), a, a + 1))


def _repeat(compiled: Callable, a: jax.Array, b: jax.Array, count: int) -> None:
    for _ in range(count):
        out = compiled(a, b)
    jax.block_until_ready(out)


class Work(NamedTuple):
    """The work of one step: FLOPs of its products as written, and bytes to and from memory as compiled."""

    flops: float
    bytes: float


def count_work(traced: Any, compiled: Any, steps: int = 1) -> Work:
    """The work of one of the `steps` of a program's loop. `traced` and `compiled` are of the same program.

    The FLOPs are those of the matrix products and convolutions as written (`products.py`), without values that are
    computed again to save memory. The bytes are XLA's count for the fused program, without unknown traffic of library
    calls. XLA counts the body of a loop once, which is exact for the loop over steps and nearly exact for a loop over
    images that stay in a cache.
    """
    analysis = compiled.cost_analysis()
    analysis = analysis[0] if isinstance(analysis, list) else analysis
    return Work(product_flops(traced.jaxpr) / steps, float(analysis["bytes accessed"]))


def roofline(work: Work, machine: Machine, dtype: str, seconds: float) -> dict:
    """FLOP/s and bytes/s of a step of `seconds`, the limit min(peak, bandwidth x intensity), and the share reached.

    The intensity is FLOPs per byte (Williams et al. 2009).
    """
    intensity = work.flops / work.bytes
    limit = min(machine.peak[dtype], machine.bandwidth * intensity)
    return {
        "flops_per_step": work.flops,
        "bytes_per_step": work.bytes,
        "intensity_flops_per_byte": intensity,
        "flops_per_second": work.flops / seconds,
        "bytes_per_second": work.bytes / seconds,
        "limit_flops_per_second": limit,
        "limited_by": "matrix products" if limit == machine.peak[dtype] else "memory",
        "share_of_roofline": work.flops / seconds / limit,
        "share_of_peak": work.flops / seconds / machine.peak[dtype],
    }
