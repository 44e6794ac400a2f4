"""Self-attention over all pixels, in the form that is fast on the back end."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vdm_jax.networks.blocks import Dense, GroupNorm, scaled_fan_in

CACHED_WEIGHTS = 2_500_000  # attention weights in use at a time on a CPU: 10 MB of float32


class Attention(nn.Module):
    """Attention with `num_heads` heads over all pixels, added to its input. All maps have a bias.

    `zero_init` initialises the output map with zeros, as VDM does: the block then starts as the identity.
    """

    groups: int
    num_heads: int = 1
    dtype: DTypeLike = jnp.float32
    zero_init: bool = False

    @nn.compact
    def __call__(self, h: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        batch, height, width, channels = h.shape
        qkv = Dense(3 * channels, dtype=self.dtype, name="qkv")(GroupNorm(self.groups, self.dtype, name="norm")(h))
        qkv = qkv.reshape(batch, height * width, 3, self.num_heads, -1)
        q, k, v = jnp.transpose(qkv, (2, 0, 3, 1, 4)).reshape(3, batch * self.num_heads, height * width, -1)
        mixed = attend(q / math.sqrt(q.shape[-1]), k, v)
        mixed = jnp.moveaxis(mixed.reshape(batch, self.num_heads, height * width, -1), 1, 2).reshape(h.shape)
        init = scaled_fan_in(0.0 if self.zero_init else 1.0)
        return h + Dense(channels, kernel_init=init, dtype=self.dtype, name="out")(mixed)


def attend(q: Float[Array, "n p d"], k: Float[Array, "n p d"], v: Float[Array, "n p d"]) -> Float[Array, "n p d"]:
    """softmax(q kᵀ) v of each of N images (times heads), in the dtype of v.

    On a CPU a few images are processed at a time, so that their P x P weights stay in the cache, and the gradient
    computes the weights again. This takes a third of the time for 32 images of 784 pixels. Other back ends process all
    images at once.
    """
    return jax.lax.platform_dependent(q, k, v, cpu=_attend_in_turn, default=_attend_at_once)


def _attend_at_once(q, k, v):
    """The softmax divides after the product with v: [P, D] divisions instead of [P, P]."""
    logits = jnp.einsum("npd,nsd->nps", q, k, preferred_element_type=jnp.float32)
    weights = jnp.exp(logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True)))
    mixed = jnp.einsum("nps,nsd->npd", weights.astype(v.dtype), v) / weights.sum(-1)[..., None]
    return mixed.astype(v.dtype)


def _attend_in_turn(q, k, v):
    """Processes groups of images in turn. A group takes images at equal distances, so that shards do not move."""
    number, pixels, _ = q.shape
    together = max(n for n in range(1, number + 1) if number % n == 0 and (n == 1 or n * pixels**2 <= CACHED_WEIGHTS))
    if together == number:
        return _attend_at_once(q, k, v)
    turns = (jnp.swapaxes(a.reshape(together, -1, *a.shape[1:]), 0, 1) for a in (q, k, v))
    mixed = jax.lax.map(jax.checkpoint(lambda turn: _attend_at_once(*turn)), tuple(turns))
    return jnp.swapaxes(mixed, 0, 1).reshape(q.shape)
