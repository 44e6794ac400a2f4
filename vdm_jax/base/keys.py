"""Random keys derived by name, so that adding a draw shifts no other."""

import zlib

import jax
from jaxtyping import Array, Key


def named_key(key: Key[Array, ""], name: str) -> Key[Array, ""]:
    """The key of the draw called `name`: `key` folded with the name's CRC-32. Does not consume `key`."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))
