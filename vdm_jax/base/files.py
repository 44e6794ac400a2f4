"""Atomic writes: a file is complete, or it does not exist. And the user's folder for caches."""

import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np


def cache_folder() -> pathlib.Path:
    """The folder `vdm_jax` in that for the user's caches: $XDG_CACHE_HOME, else ~/.cache.

    Raises `RuntimeError` where the user has no home.
    """
    given = pathlib.Path(os.environ.get("XDG_CACHE_HOME", ""))  # a relative path is to be ignored
    return (given if given.is_absolute() else pathlib.Path.home() / ".cache") / "vdm_jax"


def write_file(path: pathlib.Path, write: Callable[[BinaryIO], Any]) -> None:
    """Calls `write(file)` on a temporary file, then replaces `path` atomically. A kill leaves the old file or the
    new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with naming(path), open(draft, "wb") as file:
            write(file)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)  # it exists only if writing failed


@contextmanager
def naming(path: pathlib.Path) -> Iterator[None]:
    """An `OSError` that names no file, as that of a full disk while a file is written, names this one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes UTF-8 text atomically. Bytes of a name that the locale could not decode are written as they were."""
    write_file(path, lambda file: file.write(text.encode("utf-8", "surrogateescape")))


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes indented JSON atomically. Keys keep their order."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_npz(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays, compressed, atomically."""
    write_file(path, lambda file: np.savez_compressed(file, **arrays))
