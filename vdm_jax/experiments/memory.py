"""Too little memory, told in one sentence that names what to lower."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

LESS = {
    "train": "lower config.train.batch_size, or raise config.train.accumulate for the same batch in parts",
    "evaluate": "lower config.evaluate.batch_size",
    "sample": "lower config.sample.batch_size",
    "exact": "lower config.exact.batch_size",
    "probe": "lower config.probe.memory_gib or config.probe.batch_size",
    "chains": "lower config.chains.batch_size",
    "chain_probes": "lower config.chain_probes.batch_size or config.probe.memory_gib",
}


class OutOfMemory(RuntimeError):
    """A job needs more memory than there is; what was saved before it stays."""


@contextmanager
def what_memory_lacks(job: str) -> Iterator[None]:
    """Raises `OutOfMemory` where the device, or the host, has too little memory for the job."""
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        reason = str(error).partition("\n")[0]
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in reason:
            raise
        advice = f"{LESS[job]}, or use more devices" if job in LESS else "free some of it"
        raise OutOfMemory(f"{job}: too little memory ({reason or 'of the host'}); {advice}") from error
