"""A lock on a folder. A second training in one folder would delete the files that the first is writing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from vdm_jax.base.errors import UserError


class Busy(UserError):
    """Another process holds the lock of the folder."""


@contextmanager
def alone_in(workdir: Path, name: str, doing: str) -> Iterator[TextIO]:
    """Holds a lock on `WORKDIR/NAME`. The operating system releases it when the process ends.

    Systems and file systems without locks are used unlocked.

    Yields:
        The locked file. A child process that inherits its descriptor holds the lock as well.

    Raises:
        Busy: another process holds the lock; the message says that it is `doing` something in the folder.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with open(workdir / name, "w") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"another process is {doing} in {workdir}") from None
        except (ImportError, OSError):
            pass
        yield file
