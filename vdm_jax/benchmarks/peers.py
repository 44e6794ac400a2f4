"""The same step in PyTorch: eager or compiled, contiguous or channels last. The fastest of these ways counts."""

import gc
import itertools
import sys
import time
from collections.abc import Callable

from vdm_jax.benchmarks.measure import Contender
from vdm_jax.benchmarks.networks import Case

WAYS = {
    f"{'compile' if compiled else 'eager'}, {'channels last' if last else 'contiguous'}": (compiled, last)
    for compiled, last in itertools.product((False, True), (False, True))
}
TRIALS = 3


def torch_version() -> str | None:
    """The version of PyTorch; None if it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    return torch.__version__


def fastest(
    make: Callable[..., Callable[[int], None]], case: Case, patience: float, steps_per_call: int
) -> tuple[Contender | None, dict]:
    """The fastest of `WAYS` by the best of `TRIALS` calls after two warm-up calls, and seconds per step (or the reason
    of a failure) of each way.

    No further way is started after `patience` seconds in all.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    tried: dict[str, float | str] = {}
    best: tuple[float, Contender] | None = None
    began = time.perf_counter()
    for way, (compiled, last) in WAYS.items():
        if time.perf_counter() - began > patience:
            tried[way] = f"not tried: the previous ways took more than {patience:.0f} s"
            continue
        try:
            run = make(case, device, compiled=compiled, channels_last=last)
            run(2)
            seconds = min(_seconds(run) for _ in range(TRIALS)) / steps_per_call
        except Exception as error:  # a missing or failing compiler does not affect the other ways
            tried[way] = f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"
            continue
        tried[way] = seconds
        print(f"{case.name}: PyTorch {torch.__version__} {way}: {seconds:.3g} s", file=sys.stderr, flush=True)
        if best is None or seconds < best[0]:
            best = (seconds, Contender(f"torch, {way}", run))
    return (best[1] if best else None), tried


def _seconds(run: Callable[[int], None]) -> float:
    """The duration of one call of `run` in seconds."""
    start = time.perf_counter()
    run(1)
    return time.perf_counter() - start


def peak_memory(contender: Contender) -> int | None:
    """The peak memory of PyTorch on the GPU in a call of this contender, in bytes; None on a CPU.

    Memory of other ways is freed before. Memory of JAX is not included.
    """
    import torch

    if not torch.cuda.is_available():
        return None
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    contender.run(1)
    return torch.cuda.max_memory_allocated()
