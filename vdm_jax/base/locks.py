"""One process a folder: a second training would sweep away what the first is saving."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from vdm_jax.base.errors import UserError

NAME = ".training"


class Busy(UserError):
    """Another process holds the folder."""


@contextmanager
def alone_in(workdir: Path, name: str = NAME, doing: str = "training") -> Iterator[TextIO]:
    """Holds `WORKDIR/NAME` locked; `Busy` where another process does. A lock dies with its process.

    Yields the locked file: a child that inherits its descriptor holds the lock as well, for as long as it lives.
    Systems and file systems without such locks go without.
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
