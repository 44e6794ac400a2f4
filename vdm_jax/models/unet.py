"""VDM's U-Net: eps_hat(z_t, t, w) without downsampling, attention in the middle only."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.errors import UserError, choose
from vdm_jax.models.attention import Attention
from vdm_jax.models.blocks import (
    GroupNorm,
    ResBlock,
    check_divides,
    default_groups,
    fourier_features,
    init_params,
    scaled_fan_in,
    time_embedding,
)
from vdm_jax.models.model import Model

CONDITIONINGS = {
    "concat": "added after each ResBlock's first convolution",
    "adagn": "scales and shifts each ResBlock's second norm",
}
CODE_TIME_WIDTH = 128  # the time MLP's width where a code is concatenated to its output
OUTPUT_SCALE = 0.1  # of the output convolution's variance: eps_hat starts near z_t, yet w reaches it at once


class UNet(nn.Module):
    """conv, n ResBlocks down, Res-Attention-Res, n + 1 ResBlocks up on concatenated skips, norm-swish-conv."""

    channels: int
    num_blocks: int
    w_dim: int
    conditioning: str
    zero_init: bool
    fourier: tuple[int, int] | None
    dropout: float
    num_heads: int
    dtype: DTypeLike

    def condition(self, t: Float[Array, " b"], w: Float[Array, "b w"] | None) -> Float[Array, "b d"]:
        """E -> 4E -> 4E of the time embedding without a code; E -> 128 -> 128 and w beside it with one.

        The blog's "concat" hands w on as it is; "adagn" puts it through a layer of 128 first.
        """
        width = 4 * self.channels if w is None else CODE_TIME_WIDTH
        h = time_embedding(t, self.channels)
        for i in (1, 2):
            h = nn.silu(nn.Dense(width, dtype=self.dtype, name=f"time{i}")(h))
        if w is None:
            return h
        w = w.astype(h.dtype)
        if self.conditioning == "adagn":
            w = nn.silu(nn.Dense(CODE_TIME_WIDTH, dtype=self.dtype, name="code1")(w))
        return jnp.concatenate([h, w], axis=-1)

    @nn.compact
    def __call__(
        self, z: Float[Array, "b h w c"], t: Float[Array, " b"], w: Float[Array, "b d"] | None = None, *, train: bool
    ) -> Float[Array, "b h w c"]:
        condition = self.condition(t, w)
        groups = default_groups(self.channels)

        def res_block(h, name):
            block = ResBlock(
                self.channels, groups, self.dropout, self.conditioning, self.zero_init, dtype=self.dtype, name=name
            )
            return block(h, condition, train=train)

        h = z if self.fourier is None else jnp.concatenate([z, fourier_features(z, *self.fourier)], axis=-1)
        h = nn.Conv(self.channels, (3, 3), dtype=self.dtype, name="conv_in")(h)
        skips = [h]
        for i in range(self.num_blocks):
            h = res_block(h, f"down{i}")
            skips.append(h)
        h = res_block(h, "mid1")
        h = Attention(groups, self.num_heads, self.dtype, name="attention")(h)
        h = res_block(h, "mid2")
        for i in range(self.num_blocks + 1):
            h = res_block(jnp.concatenate([h, skips.pop()], axis=-1), f"up{i}")
        h = nn.silu(GroupNorm(groups, self.dtype, name="norm_out")(h))
        init = scaled_fan_in(0.0 if self.zero_init else OUTPUT_SCALE)
        h = nn.Conv(z.shape[-1], (3, 3), kernel_init=init, dtype=self.dtype, name="conv_out")(h)
        return z + h.astype(z.dtype)


def make_unet(
    image_shape: tuple[int, int, int],
    *,
    channels: int,
    num_blocks: int,
    w_dim: int = 0,
    conditioning: str = "concat",
    zero_init: bool = False,
    fourier: tuple[int, int] | None = None,
    dropout: float = 0.1,
    num_heads: int = 1,
    dtype: DTypeLike = jnp.float32,
) -> Model:
    """`apply(params, z [B, H, W, C], t [B] in [0, 1], w [B, w_dim] | None = None, *, key=None) -> [B, H, W, C]`.

    The prediction is z plus the network's output, float32 whatever `dtype` the arithmetic runs in.

    With `w_dim = 0` this is VDM's network. With `w_dim > 0` the code is concatenated to the time MLP's output and
    reaches every ResBlock. `w=None` then stands for w = 0: a conditional network trained so is the unconditional
    baseline of equal capacity (same time MLP, same widths), where `w_dim = 0` is the blog's, with another time MLP.

    conditioning: a key of `CONDITIONINGS`; "concat" is the blog's. zero_init: second convolutions, conditioning maps
    and the output start at zero, as in VDM and the blog, which keeps the gradient that w receives exactly zero for
    three updates; without it it is alive at the first. fourier: (n_min, n_max) of `fourier_features`, or none.
    Raises UserError for widths that heads do not divide, and for a w that does not fit.
    """
    choose("conditioning", conditioning, CONDITIONINGS)
    if channels < 4 or channels % 2:
        raise UserError(f"channels={channels}; the U-Net's time embedding needs an even number, at least 4")
    check_divides("num_heads", num_heads, channels)
    net = UNet(channels, num_blocks, w_dim, conditioning, zero_init, fourier, dropout, num_heads, dtype)

    def code(w, batch):
        if w is None:
            return jnp.zeros((batch, w_dim)) if w_dim else None
        if w.shape[-1] != w_dim:
            raise UserError(f"the code has {w.shape[-1]} dimensions; this U-Net was made with w_dim={w_dim}")
        return w

    def init(key: Key[Array, ""]) -> PyTree:
        return init_params(net, key, (1, *image_shape), (1,), *([(1, w_dim)] if w_dim else []))

    def apply(
        params: PyTree,
        z: Float[Array, "b h w c"],
        t: Float[Array, " b"],
        w: Float[Array, "b d"] | None = None,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "b h w c"]:
        rngs = None if key is None else {"dropout": key}
        return net.apply({"params": params}, z, t, code(w, z.shape[0]), train=key is not None, rngs=rngs)

    return Model(init, apply)
