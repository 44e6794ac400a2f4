"""One training a folder: a second one would sweep away what the first is saving."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vdm_jax.base.errors import UserError

NAME = ".training"


@contextmanager
def alone_in(workdir: Path) -> Iterator[None]:
    """Holds `WORKDIR/.training` locked; `UserError` where another process does. A lock dies with its process.

    Systems and file systems without such locks go without.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with open(workdir / NAME, "w") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process is training in {workdir}") from None
        except (ImportError, OSError):
            pass
        yield
