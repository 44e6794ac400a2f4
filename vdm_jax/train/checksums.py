"""A checksum of each part of a checkpoint: whether what is read is what was saved.

The formats below orbax have none: a flipped byte of compressed float32 numbers decompresses to other numbers.
"""

import hashlib

import jax
import numpy as np
from jaxtyping import PyTree

WORD = 8  # bytes


def checksum(part: PyTree) -> str | None:
    """16 hex digits of the paths of all leaves and of `sum_of_words` of each; None where other hosts hold some of it.

    Leaves: jax arrays.
    """
    sums = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(part):
        # Of a shard: an array keeps its copy on the host, which would stand in the way of its donation.
        own = leaf.addressable_data(0) if leaf.is_fully_replicated else leaf
        if not own.is_fully_addressable:
            return None
        sums[jax.tree_util.keystr(path, simple=True, separator="/")] = sum_of_words(np.asarray(own))
    return hashlib.sha256(repr(sorted(sums.items())).encode()).hexdigest()[:16]


def sum_of_words(array: np.ndarray) -> int:
    """The bytes of an array as whole numbers of 64 bits, the last one filled with zeros, added modulo 2^64.

    A change of one word always changes it; words that change places do not. It takes 1% of the time of a save, where
    CRC-32 takes 5%.
    """
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    whole = len(data) // WORD * WORD
    rest = int.from_bytes(data[whole:].tobytes(), "little")
    return (int(data[:whole].view("<u8").sum(dtype=np.uint64)) + rest) % 2**64
