"""The order of the training images: a function of (key, step), so that resuming needs no iterator state."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, Integer, Key, UInt32

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import mix, named_key

NUM_ROUNDS = 8


def batch_indices(
    key: Key[Array, ""], step: Integer[Array, ""] | int, num_images: int, batch_size: int
) -> Int32[Array, " b"]:
    """Images of batch `step` (0, 1, …, below 2^32): [B], distinct, O(B) work, jit-able with a traced step.

    Epoch e has the steps e S … (e + 1) S - 1, S = floor(N / B). It visits the first S B images of a permutation of all
    N that `key` and e determine. Raises `UserError` where the batch is larger than the data set.
    """
    if not 1 <= batch_size <= num_images:
        raise UserError(f"batch_size={batch_size}; expected 1 … {num_images}, the number of training images")
    steps_per_epoch = num_images // batch_size
    # uint32: a Python int up to 2^32 - 1 and a traced int32 both fit, and no product below passes N
    step = jnp.asarray(step, jnp.uint32)
    epoch_key = jax.random.fold_in(named_key(key, "order"), step // steps_per_epoch)
    positions = (step % steps_per_epoch) * batch_size + jnp.arange(batch_size, dtype=jnp.uint32)
    return permuted(epoch_key, positions, num_images).astype(jnp.int32)


def permuted(key: Key[Array, ""], positions: UInt32[Array, " b"], size: int) -> UInt32[Array, " b"]:
    """pi(positions) for the permutation pi of 0 … size-1 that `key` determines, without building pi.

    A balanced Feistel network permutes the smallest power of four >= size. A value outside is permuted again until it
    is inside (cycle walking), which keeps it a permutation and takes fewer than 4 passes on average.
    """
    half_bits = max(1, -(-(size - 1).bit_length() // 2))
    round_keys = jax.random.bits(key, (NUM_ROUNDS,), jnp.uint32)

    def walk(values: UInt32[Array, " b"]) -> UInt32[Array, " b"]:
        return jnp.where(values < size, values, _feistel(round_keys, values, half_bits))

    return jax.lax.while_loop(lambda values: jnp.any(values >= size), walk, _feistel(round_keys, positions, half_bits))


def _feistel(round_keys: UInt32[Array, " r"], values: UInt32[Array, " b"], half_bits: int) -> UInt32[Array, " b"]:
    """A permutation of 0 … 4^half_bits - 1: (left, right) -> (right, left xor f(right)) for every round key."""
    mask = jnp.uint32((1 << half_bits) - 1)
    left, right = values >> half_bits, values & mask
    for i in range(NUM_ROUNDS):
        left, right = right, left ^ (mix(right ^ round_keys[i]) & mask)
    return (left << half_bits) | right
