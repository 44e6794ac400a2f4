"""Too little memory, reported in one sentence that names what to lower."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from vdm_jax.base.errors import RunFailed


class OutOfMemory(RunFailed):
    """A run needs more memory than there is. What was saved before stays."""


@contextmanager
def what_memory_lacks(what: str, hint: str = "") -> Iterator[None]:
    """Raises `OutOfMemory` where the device or the host has too little memory for `what`, such as a job.

    hint: what to lower.
    """
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        reason = str(error).partition("\n")[0]
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in reason:
            raise
        advice = f"{hint}, or use more devices" if hint else "free some of it"
        raise OutOfMemory(f"{what}: too little memory ({reason or 'of the host'}); {advice}") from error
