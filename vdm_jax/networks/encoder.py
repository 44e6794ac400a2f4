"""The encoder q(w | x) = N(mu(x), diag exp(logvar(x)))."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.networks.attention import Attention
from vdm_jax.networks.blocks import Conv, Dense, GroupNorm, ResBlock, check_divides, init_params
from vdm_jax.networks.network import Network


class Encoder(nn.Module):
    """conv, L ResBlocks, Res-Attention-Res, norm-swish-conv to one channel, flatten, linear to (mu, logvar)."""

    channels: int
    layers: int
    groups: int
    w_dim: int
    dropout: float
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> tuple[Float[Array, "b d"], Float[Array, "b d"]]:
        def res_block(h, name):
            return ResBlock(self.channels, self.groups, self.dropout, dtype=self.dtype, name=name)(h, train=train)

        h = Conv(self.channels, (3, 3), dtype=self.dtype, name="conv_in")(x)
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
    dtype: DTypeLike = jnp.float32,
) -> Network:
    """`apply(params, x [B, H, W, C], *, key=None) -> (mu [B, w_dim], logvar [B, w_dim])`, float32; no downsampling.

    x are the pixel values that the diffusion model sees (±1), not [0, 1]. Attention runs over all H·W positions.
    Raises `UserError` where `groups` does not divide `channels`.
    """
    check_divides("groups", groups, channels)
    net = Encoder(channels, layers, groups, w_dim, dropout, dtype)

    def init(key: Key[Array, ""]) -> PyTree:
        return init_params(net, key, (1, *image_shape))

    def apply(
        params: PyTree, x: Float[Array, "b h w c"], *, key: Key[Array, ""] | None = None
    ) -> tuple[Float[Array, "b d"], Float[Array, "b d"]]:
        rngs = None if key is None else {"dropout": key}
        return net.apply({"params": params}, x, train=key is not None, rngs=rngs)

    return Network(init, apply)
