"""Pytrees of arrays: their size and their fingerprint."""

import hashlib

import jax
import numpy as np
from jaxtyping import PyTree


def num_parameters(params: PyTree) -> int:
    """The number of scalars in all leaves, of arrays or of shapes (`jax.eval_shape`)."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


def fingerprint(tree: PyTree) -> str:
    """The first 12 hex digits of the SHA-256 of paths, dtypes, shapes and bytes of all leaves."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)}{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:12]
