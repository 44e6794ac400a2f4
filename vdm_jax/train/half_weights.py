"""Trained weights in one small file of half precision, weights.npz: what is published of a run beside its records.

Every leaf is an array named by its path, floating-point ones as float16. `about` is JSON: {"step", "weights"}.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_npz

FILE = "weights.npz"
ABOUT = "about"
LARGEST = float(np.finfo(np.float16).max)


def write_half(path: Path, params: PyTree, step: int, weights: str) -> None:
    """Writes the parameters after `step` updates. weights: "ema" or "raw". Raises `UserError` for a number that half
    precision cannot hold."""
    found = {}
    for name, leaf in _leaves(params):
        array = np.asarray(leaf)
        if np.issubdtype(array.dtype, np.floating):
            if not np.all(np.abs(array) <= LARGEST):
                raise UserError(f"{name} has numbers beyond {LARGEST:g}, which half precision does not hold")
            array = array.astype(np.float16)
        found[name] = array
    write_npz(path, found | {ABOUT: np.frombuffer(json.dumps({"step": step, "weights": weights}).encode(), np.uint8)})


def about_half(path: Path) -> Mapping[str, Any]:
    """{"step", "weights"} of a file. Raises `UserError` where it cannot be read."""
    return _read(path)[0]


def read_half(path: Path, like: PyTree) -> tuple[PyTree, Mapping[str, Any]]:
    """The parameters, with the types of `like`, and what `about_half` says. like: arrays or shapes.

    Raises `UserError` where the file cannot be read, or differs from `like` in paths or shapes.
    """
    about, arrays = _read(path)
    wanted = dict(_leaves(like))
    for name in sorted(wanted.keys() | arrays.keys()):
        there, here = (list(tree[name].shape) if name in tree else "missing" for tree in (arrays, wanted))
        if there != here:
            raise UserError(f"{path} is of another model: {name} is {there} there and {here} here")
    leaves = [arrays[name].astype(leaf.dtype) for name, leaf in wanted.items()]
    return jax.tree.unflatten(jax.tree.structure(like), leaves), about


def _leaves(tree: PyTree) -> list[tuple[str, Any]]:
    found = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in found]


def _read(path: Path) -> tuple[Mapping[str, Any], dict[str, np.ndarray]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        about = json.loads(arrays.pop(ABOUT).tobytes())
        return {"step": int(about["step"]), "weights": str(about["weights"])}, arrays
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({type(error).__name__}: {error}); bring back a copy") from error
