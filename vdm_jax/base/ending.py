"""How a program ends: the one place that makes a sentence on stderr and an exit code of an error.

Of the library only files that import nothing else are imported here: a missing package is reported like any fault.
"""

import errno
import os
import pathlib
import re
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import packages_distributions
from types import TracebackType
from typing import Any

from vdm_jax.base.errors import RunFailed, UserError
from vdm_jax.base.signals import Stopped

DONE, FAILED, INVALID, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141  # exit codes; the last as of SIGPIPE
SHOW_TRACEBACK = "VDM_JAX_TRACEBACK"  # environment variable: any value shows the traceback of every error
TRACEBACK_FILE = "error.txt"
SPACE = "free some space, or choose another folder"
PERMISSIONS = "change its permissions, or choose another folder"
IN_THE_WAY = "something else has a name that is needed: move it away, or choose another folder"
WAYS_OUT = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: SPACE,
    errno.EACCES: PERMISSIONS,
    errno.EPERM: PERMISSIONS,
    errno.EROFS: "choose a folder that can be written",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or choose another folder",
    errno.ENOTDIR: IN_THE_WAY,
    errno.EISDIR: IN_THE_WAY,
    errno.EEXIST: IN_THE_WAY,
}


class OneSentence:
    """`with OneSentence("vdm-jax") as ending: …` reports what is raised inside; then `ending.code` is the exit code.

    The code is 2 for a `UserError`, 1 for anything else, 130 for Ctrl-C, 0 for SIGTERM, and 141 where the reader of the
    output has gone, which is not reported. An error that nobody foresaw leaves its traceback in a file, which the
    sentence names.

    Attributes:
        program: the name that the sentence starts with.
        folder: of the run, once it is known: where the traceback goes if the folder exists.
    """

    def __init__(self, program: str, folder: pathlib.Path | None = None) -> None:
        self.program, self.folder, self.code = program, folder, DONE

    def __enter__(self) -> "OneSentence":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if isinstance(error, (SystemExit, GeneratorExit)):
            return False
        error = _flush(sys.stdout, error)
        if error is None:
            return True
        if isinstance(error, BrokenPipeError):
            self.code = UNREAD
            return True
        self.code, sentence = self._told(error)
        with suppress(OSError, AttributeError):  # nobody listens
            if os.environ.get(SHOW_TRACEBACK):
                sys.stderr.write("".join(traceback.format_exception(error)))
            print(f"{self.program}: {sentence}", file=sys.stderr, flush=True)
        return True

    def _told(self, error: BaseException) -> tuple[int, str]:
        """(exit code, sentence)."""
        if isinstance(error, UserError):
            return INVALID, str(error)
        if isinstance(error, RunFailed):
            return FAILED, str(error)
        if _has(error, KeyboardInterrupt):  # also where an import in progress turned it into an ImportError
            return INTERRUPTED, "interrupted; the same command continues from the last checkpoint"
        if _has(error, Stopped):
            return DONE, "stopped by SIGTERM; the same command goes on from there"
        if isinstance(error, ImportError):
            return FAILED, _of_import(error)
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            return FAILED, f"too little memory ({first_line(error) or 'of the host'}); free some of it"
        if isinstance(error, OSError) and error.errno is not None:
            return FAILED, _of_system(error)
        if given := _of_environment(error):
            return INVALID, given
        where = self._keep_traceback(error)
        told = f"this is a fault of the program: {type(error).__name__}: {first_line(error)}"
        return FAILED, f"{told}; {where}"

    def _keep_traceback(self, error: BaseException) -> str:
        """Where the traceback is now: in the run's folder, in that for temporary files, or nowhere."""
        text = "".join(traceback.format_exception(error))
        folders = [self.folder] if self.folder is not None and self.folder.is_dir() else []
        with suppress(OSError):
            folders.append(pathlib.Path(tempfile.gettempdir()))
        for folder in folders:
            path = folder / (TRACEBACK_FILE if folder == self.folder else f"{self.program}-{TRACEBACK_FILE}")
            with suppress(OSError):
                path.write_text(text, encoding="utf-8", errors="backslashreplace")
                return f"its traceback is in {path}"
        return f"{SHOW_TRACEBACK}=1 in the environment shows its traceback"


def exit_code(program: str, work: Callable[[], int | None]) -> int:
    """What `work` returns (None: 0), or the code of what it raised, on a terminal of any encoding."""
    escape_output()
    with OneSentence(program) as ending:
        ending.code = work() or DONE
    return ending.code


def first_line(error: BaseException) -> str:
    """The first line of the message, at most 200 characters."""
    text = str(error).strip().partition("\n")[0]
    return text if len(text) <= 200 else f"{text[:199]}…"


def escape_output() -> None:
    """What the encoding of the terminal lacks is printed as \\u2026, never an error. What is closed is written nowhere.

    Python's stream of a closed descriptor is None; the next file that is opened would take the descriptor's number.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8", errors="replace"))  # noqa: SIM115 (for the rest of the process)
        if hasattr(stream := getattr(sys, name), "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _flush(stream: Any, error: BaseException | None) -> BaseException | None:
    """`error`, or that of a text stream (None: closed) that cannot be written: nobody reads it, or its disk is full.

    What such a stream still holds goes nowhere; the interpreter would report it once more when it ends.
    """
    try:
        if stream is not None:
            stream.flush()
    except (OSError, ValueError) as late:
        with suppress(OSError, AttributeError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        nameless = isinstance(error, OSError) and error.filename is None  # of a print
        if isinstance(late, OSError) and (error is None or nameless):
            error = OSError(late.errno, late.strerror, "standard output")  # of its errno: perhaps a BrokenPipeError
    return error


def _has(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether the error, or one that it came from, is of that class."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error is not None


def _hiding() -> str:
    """A file such as jax.py in the current folder that is imported in place of a package; or ""."""
    beside = os.path.realpath(sys.path[0] or os.curdir)
    if beside in map(os.path.realpath, sys.path[1:]):  # where packages are
        return ""
    for name, module in list(sys.modules.items()):
        path = os.path.realpath(getattr(module, "__file__", None) or "")
        if os.path.dirname(path) == beside and name in packages_distributions():
            return path
    return ""


def _of_import(error: ImportError) -> str:
    if path := _hiding():
        return f"{path} hides the package of its name; rename the file, or start in another folder"
    package = (error.name or "").partition(".")[0]
    if package == "vdm_jax" or not package:
        return f"the installation is incomplete ({first_line(error)}); install vdm-jax again: python -m pip install ."
    again = "python -m pip install vdm-jax installs what it needs, in a checkout python -m pip install -e ."
    if isinstance(error, ModuleNotFoundError):
        return f"the package {package!r} is not installed in {sys.executable}; {again}"
    return f"the package {package!r} cannot be imported ({first_line(error)}); install it again"


def _of_environment(error: BaseException) -> str:
    """What an environment variable asks for that cannot be; "" where none is to blame."""
    if isinstance(error, Warning):
        told = f"a warning is an error, as PYTHONWARNINGS or -W asks ({type(error).__name__}: {first_line(error)})"
        return f"{told}; unset it, or leave that class of warnings out"
    words = re.findall(r"\w+", first_line(error).upper()) if isinstance(error, ValueError) else []
    for name in dict.fromkeys(words):
        if name.startswith(("JAX_", "XLA_")) and name in os.environ:
            return f"{name}={os.environ[name]}: {first_line(error)}; unset it, or give it a value that JAX takes"
    return ""


def _of_system(error: OSError) -> str:
    """What the operating system refused, where, and what helps."""
    what = error.strerror or first_line(error)
    place = error.filename if error.filename2 is None else error.filename2
    if place is None and isinstance(error, FileNotFoundError):
        try:
            os.getcwd()
        except FileNotFoundError:
            return "the current folder is gone; change to another one"
    told = f"{os.fsdecode(place)}: {what}" if isinstance(place, (str, bytes, os.PathLike)) else what
    way_out = WAYS_OUT.get(error.errno)
    return f"{told}; {way_out}" if way_out else told
