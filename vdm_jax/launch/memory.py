"""The memory of the process: too little of it in one sentence, and freed blocks kept for the next call."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import jax

from vdm_jax.base.errors import RunFailed

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt
KEPT_BYTES = 2**31 - 1


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


def keep_freed_memory() -> bool:
    """Makes the C library keep up to 2 GiB of freed memory for the next allocation; returns whether it can (glibc).

    XLA allocates the arrays of a program anew at each call. On a CPU glibc gives each block above 32 MB back to the
    system when it is freed, and the next update pays for all of its pages again.
    """
    try:
        libc = ctypes.CDLL(None)
        return bool(libc.mallopt(M_MMAP_MAX, 0)) and bool(libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
    except (AttributeError, OSError, TypeError):  # another C library, or none
        return False
