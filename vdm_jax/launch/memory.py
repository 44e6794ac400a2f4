"""Too little memory, told in one sentence that names what to lower."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import jax

LESS = {  # by job
    "train": "lower config.train.batch_size, or raise config.train.accumulate for the same batch in parts, and lower "
    "config.evaluate.batch_size, the validation's",
    "evaluate": "lower config.evaluate.batch_size and config.sample.batch_size",
    "sample": "lower config.sample.batch_size",
}
TRAINED_PROBES = "lower config.probe.memory_gib or config.probe.batch_size"
LESS_OF_PROBES = {
    "exact": "lower config.exact.batch_size",
    "train": TRAINED_PROBES,
    "probe": TRAINED_PROBES,
    "chains": "lower config.chains.batch_size",
    "chain_probes": "lower config.chain_probes.batch_size or config.probe.memory_gib",
}


class OutOfMemory(RuntimeError):
    """A run needs more memory than there is; what was saved before it stays."""


@contextmanager
def what_memory_lacks(what: str, less: Mapping[str, str] = MappingProxyType({})) -> Iterator[None]:
    """Raises `OutOfMemory` where the device, or the host, has too little memory for `what`: a job, say. less: what to
    lower, by job."""
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        reason = str(error).partition("\n")[0]
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in reason:
            raise
        advice = f"{less[what]}, or use more devices" if what in less else "free some of it"
        raise OutOfMemory(f"{what}: too little memory ({reason or 'of the host'}); {advice}") from error
