"""Random keys derived by name: a new draw does not change the others."""

import zlib

import jax
from jaxtyping import Array, Key


def named_key(key: Key[Array, ""], name: str) -> Key[Array, ""]:
    """The key of the draw called `name`: `key` folded with the CRC-32 of the name. Does not consume `key`."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))
