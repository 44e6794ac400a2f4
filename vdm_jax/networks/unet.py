"""VDM's U-Net of (z_t, t, w): no downsampling, attention in the middle only."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vdm_jax.base.errors import choose
from vdm_jax.networks.attention import Attention
from vdm_jax.networks.blocks import (
    CONDITIONINGS,
    OUTPUT_SCALE,
    Conv,
    GroupNorm,
    ResBlock,
    check_divides,
    check_time_width,
    default_groups,
    embed_condition,
    fourier_features,
    gradient_written_once,
    scaled_fan_in,
)
from vdm_jax.networks.denoiser import make_denoiser
from vdm_jax.networks.network import Network

CODE_TIME_WIDTH = 128  # width of the time MLP where a code is concatenated to its output


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

    @nn.compact
    def __call__(
        self, z: Float[Array, "b h w c"], t: Float[Array, " b"], w: Float[Array, "b d"] | None = None, *, train: bool
    ) -> Float[Array, "b h w c"]:
        width = 4 * self.channels if w is None else CODE_TIME_WIDTH
        condition = embed_condition(t, w, self.channels, width, self.conditioning, self.dtype)
        groups = default_groups(self.channels)

        def res_block(h, name):
            block = ResBlock(
                self.channels, groups, self.dropout, self.conditioning, self.zero_init, dtype=self.dtype, name=name
            )
            return block(gradient_written_once(h), condition, train=train)

        h = z if self.fourier is None else jnp.concatenate([z, fourier_features(z, *self.fourier)], axis=-1)
        h = Conv(self.channels, (3, 3), dtype=self.dtype, name="conv_in")(h)
        skips = [h]
        for i in range(self.num_blocks):
            h = res_block(h, f"down{i}")
            skips.append(h)
        h = res_block(h, "mid1")
        h = Attention(groups, self.num_heads, self.dtype, self.zero_init, name="attention")(h)
        h = res_block(h, "mid2")
        for i in range(self.num_blocks + 1):
            h = res_block(jnp.concatenate([h, skips.pop()], axis=-1), f"up{i}")
        h = nn.silu(GroupNorm(groups, self.dtype, name="norm_out")(h))
        init = scaled_fan_in(0.0 if self.zero_init else OUTPUT_SCALE)
        h = Conv(z.shape[-1], (3, 3), kernel_init=init, dtype=self.dtype, name="conv_out")(h)
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
) -> Network:
    """`apply(params, z [B, H, W, C], t [B] in [0, 1], w [B, w_dim] | None = None, *, key=None) -> [B, H, W, C]`.

    The prediction is z plus the network's output, float32 whatever `dtype` the arithmetic runs in.

    With `w_dim = 0` this is VDM's network. With `w_dim > 0` the code is concatenated to the output of the time MLP and
    reaches every ResBlock; `w=None` then stands for w = 0. A conditional network that is trained with w = 0 is the
    unconditional baseline of equal capacity: it has the same time MLP and the same widths. The blog's baseline,
    `w_dim = 0`, has another time MLP.

    Args:
        conditioning: a key of `CONDITIONINGS`; "concat" is the blog's.
        zero_init: second convolutions, conditioning maps, the attention's output map and the output start at zero, as
            in VDM. The gradient of w is then exactly zero for three updates; without it, it is not zero at the first.
        fourier: (n_min, n_max) of `fourier_features`, or None for none.

    Raises `UserError` for widths that heads do not divide, and for a w of another width.
    """
    choose("conditioning", conditioning, CONDITIONINGS)
    check_time_width(channels)
    check_divides("num_heads", num_heads, channels)
    net = UNet(channels, num_blocks, w_dim, conditioning, zero_init, fourier, dropout, num_heads, dtype)
    return make_denoiser(net, image_shape, w_dim)
