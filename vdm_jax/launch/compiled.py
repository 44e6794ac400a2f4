"""Compiled programs are kept in the user's cache folder: the second start of a command compiles nothing."""

import os
import pathlib
import warnings

import jax

from vdm_jax.base.files import cache_folder

FOLDER = "compiled"  # in `cache_folder`
MOST_BYTES = 2**30


def keep_compiled_programs() -> pathlib.Path | None:
    """Makes JAX keep what it compiles from now on; returns the folder, or None where nothing is kept.

    A program that is called does this once at its start; importing the library changes nothing. A folder that JAX was
    given (`JAX_COMPILATION_CACHE_DIR`) stays as it is. Where the user's cache folder cannot be written, programs are
    compiled anew at each start. JAX compiles what it cannot read, so that a damaged file costs its compilation alone.
    """
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    if jax.config.jax_compilation_cache_dir is not None:
        return None
    try:
        folder = cache_folder() / FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # programs in it are run: no one else may write there
        limit_size(folder, MOST_BYTES)
    except (OSError, RuntimeError):  # no home, or one that cannot be written
        return None
    if not os.access(folder, os.W_OK | os.X_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder


def limit_size(folder: pathlib.Path, most_bytes: int) -> None:
    """Removes the files that were not used for longest until the rest are at most `most_bytes`. XLA has folders of its
    own there on a GPU."""
    found = [(path, path.stat()) for path in folder.rglob("*") if path.is_file()]
    total = sum(stat.st_size for _, stat in found)
    for path, stat in sorted(found, key=lambda pair: max(pair[1].st_atime, pair[1].st_mtime)):
        if total <= most_bytes:
            return
        path.unlink(missing_ok=True)
        total -= stat.st_size
