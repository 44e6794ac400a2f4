"""The encoder q(w | x) = N(mu(x), diag exp(logvar(x)))."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.networks.attention import Attention
from vdm_jax.networks.blocks import (
    Conv,
    Dense,
    GroupNorm,
    ResBlock,
    check_divides,
    check_time_width,
    embed_condition,
    init_params,
)
from vdm_jax.networks.multiscale_unet import check_levels, to_patches
from vdm_jax.networks.network import Network


class Encoder(nn.Module):
    """Conv of patches, L ResBlocks, Res-Attention-Res, norm-swish-conv to 1 channel, flatten, linear to moments.

    A time reaches every ResBlock, as in the U-Nets.
    """

    channels: int
    layers: int
    groups: int
    w_dim: int
    dropout: float
    patch: int
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], t: Float[Array, " b"] | None = None, *, train: bool
    ) -> tuple[Float[Array, "b d"], Float[Array, "b d"]]:
        condition = None
        if t is not None:
            condition = embed_condition(t, None, self.channels, 4 * self.channels, "concat", self.dtype)

        def res_block(h, name):
            block = ResBlock(self.channels, self.groups, self.dropout, dtype=self.dtype, name=name)
            return block(h, condition, train=train)

        h = Conv(self.channels, (3, 3), dtype=self.dtype, name="conv_in")(to_patches(x, self.patch))
        for i in range(self.layers):
            h = res_block(h, f"block{i}")
        h = res_block(h, "mid1")
        h = Attention(self.groups, dtype=self.dtype, name="attention")(h)
        h = res_block(h, "mid2")
        h = nn.silu(GroupNorm(self.groups, self.dtype, name="norm_out")(h))
        h = Conv(1, (3, 3), dtype=self.dtype, name="conv_out")(h)
        h = h.reshape(h.shape[0], -1).astype(jnp.float32)
        mu, logvar = jnp.split(Dense(2 * self.w_dim, name="moments")(h), 2, axis=-1)
        return mu, logvar


def make_encoder(
    image_shape: tuple[int, int, int],
    *,
    channels: int,
    layers: int,
    groups: int,
    w_dim: int,
    dropout: float = 0.1,
    patch: int = 1,
    of_time: bool = False,
    dtype: DTypeLike = jnp.float32,
) -> Network:
    """`apply(params, x [B, H, W, C], *, key=None) -> (mu [B, w_dim], logvar [B, w_dim])`, float32; no downsampling.

    x are the pixel values that the diffusion model sees (±1), not [0, 1]. A position holds the values of `patch` x
    `patch` pixels as its channels. Attention runs over all H·W/patch² positions. of_time: `apply(params, x, t [B], *,
    key=None)`, t in [0, 1], a code for each time. Raises `UserError` where `groups` does not divide `channels`, for
    images that are not made of whole patches, and with a time for an odd number of channels.
    """
    check_divides("groups", groups, channels)
    check_levels(image_shape, (1,), patch)
    if of_time:
        check_time_width(channels)
    net = Encoder(channels, layers, groups, w_dim, dropout, patch, dtype)

    def init(key: Key[Array, ""]) -> PyTree:
        return init_params(net, key, (1, *image_shape), *([(1,)] if of_time else []))

    def apply(
        params: PyTree, x: Float[Array, "b h w c"], *times: Float[Array, " b"], key: Key[Array, ""] | None = None
    ) -> tuple[Float[Array, "b d"], Float[Array, "b d"]]:
        rngs = None if key is None else {"dropout": key}
        return net.apply({"params": params}, x, *times, train=key is not None, rngs=rngs)

    return Network(init, apply)
