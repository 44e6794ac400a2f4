"""Random keys derived by name: a new draw does not change the others.

A function that draws one number or array for each example takes one key for the whole batch, or an array of keys [B],
one for each example. With keys [B] what is drawn for an example does not depend on the batch it is in.
"""

import math
import zlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Key, UInt32


def named_key(key: Key[Array, "*b"], name: str) -> Key[Array, "*b"]:
    """The key of the draw called `name`: `key` folded with the CRC-32 of the name. Does not consume `key`."""
    return fold_in(key, zlib.crc32(name.encode()))


def fold_in(key: Key[Array, "*b"], number: int | Integer[Array, ""]) -> Key[Array, "*b"]:
    """`jax.random.fold_in` of a key, or of each of an array of keys."""
    return jax.vmap(jax.random.fold_in, (0, None))(key, number) if key.ndim else jax.random.fold_in(key, number)


def keys_of(key: Key[Array, ""], indices: Integer[Array, " b"]) -> Key[Array, " b"]:
    """A key for each example, by its index in the whole set: `fold_in(key, index)`."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, indices)


def normal(key: Key[Array, "*b"], shape: Sequence[int]) -> Float[Array, "..."]:
    """Draws from N(0, 1), of `shape` [B, ...]; with keys [B], those of an example from its own key."""
    if not key.ndim:
        return jax.random.normal(key, shape)
    return jax.vmap(lambda own: jax.random.normal(own, shape[1:]))(key)


def mix(values: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """A 32-bit hash: odd multipliers (digits of 1/phi and of e) spread bits upwards, shifts downwards."""
    values = (values ^ (values >> 16)) * jnp.uint32(0x9E3779B9)
    values = (values ^ (values >> 15)) * jnp.uint32(0xB7E15163)
    return values ^ (values >> 16)


def hashed_bits(key: Key[Array, ""], shape: tuple[int, ...]) -> UInt32[Array, "*shape"]:
    """32 bits for each position, by `mix` over the words of the key: for masks, not for draws that must be exact.

    Elementwise, so that XLA computes the bits where they are read; `jax.random.bits` writes 20 rounds of Threefry to
    memory. The same bits on any number of devices.
    """
    words = jax.random.key_data(key).reshape(-1)
    values = jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    for i in range(words.size):
        values = mix(values ^ words[i])
    return values
