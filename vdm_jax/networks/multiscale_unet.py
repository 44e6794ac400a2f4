"""The multi-scale U-Net of DDPM (Ho et al. 2020): halved and doubled in size on the way, attention at chosen sizes."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vdm_jax.base.errors import UserError, choose
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
    scaled_fan_in,
)
from vdm_jax.networks.denoiser import make_denoiser
from vdm_jax.networks.network import Network


class MultiscaleUNet(nn.Module):
    """conv of patches; on each level n ResBlocks and a strided convolution; Res-Attention-Res; on each level n + 1
    ResBlocks on concatenated skips, nearest neighbours and a convolution; norm-swish-conv, to patches."""

    channels: int
    multipliers: tuple[int, ...]
    num_blocks: int
    attention: tuple[int, ...]
    conditioning: str
    zero_init: bool
    fourier: tuple[int, int] | None
    dropout: float
    num_heads: int
    patch: int
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, z: Float[Array, "b h w c"], t: Float[Array, " b"], w: Float[Array, "b d"] | None = None, *, train: bool
    ) -> Float[Array, "b h w c"]:
        condition = embed_condition(t, w, self.channels, 4 * self.channels, self.conditioning, self.dtype)
        levels = [(f"{level}", self.channels * multiplier) for level, multiplier in enumerate(self.multipliers)]

        def conv(h, width, name, stride=1):
            return Conv(width, (3, 3), (stride, stride), dtype=self.dtype, name=name)(h)

        def attend(h, name):
            groups = default_groups(h.shape[-1])
            return Attention(groups, self.num_heads, self.dtype, self.zero_init, name=f"{name}_attention")(h)

        def block(h, width, name, attention=self.attention):
            groups = default_groups(math.gcd(h.shape[-1], width))  # of both norms, before and after the width changes
            res = ResBlock(width, groups, self.dropout, self.conditioning, self.zero_init, self.dtype, name=name)
            h = res(h, condition, train=train)
            return attend(h, name) if max(h.shape[1:3]) in attention else h

        h = z if self.fourier is None else jnp.concatenate([z, fourier_features(z, *self.fourier)], axis=-1)
        h = conv(to_patches(h, self.patch), self.channels, "conv_in")
        skips = [h]
        for level, width in levels:
            if level != "0":
                h = conv(h, h.shape[-1], f"halve{level}", stride=2)
                skips.append(h)
            for i in range(self.num_blocks):
                h = block(h, width, f"down{level}_{i}")
                skips.append(h)
        h = attend(block(h, h.shape[-1], "mid1", ()), "mid")
        h = block(h, h.shape[-1], "mid2", ())
        for level, width in reversed(levels):
            for i in range(self.num_blocks + 1):
                h = block(jnp.concatenate([h, skips.pop()], axis=-1), width, f"up{level}_{i}")
            if level != "0":
                h = conv(h.repeat(2, axis=1).repeat(2, axis=2), width, f"double{level}")
        h = nn.silu(GroupNorm(default_groups(h.shape[-1]), self.dtype, name="norm_out")(h))
        init = scaled_fan_in(0.0 if self.zero_init else OUTPUT_SCALE)
        h = Conv(z.shape[-1] * self.patch**2, (3, 3), kernel_init=init, dtype=self.dtype, name="conv_out")(h)
        return z + from_patches(h, self.patch).astype(z.dtype)


def to_patches(z: Float[Array, "b h w c"], side: int) -> Float[Array, "b rows columns d"]:
    """The side² pixels of each patch as channels of one."""
    batch, height, width, channels = z.shape
    parts = z.reshape(batch, height // side, side, width // side, side, channels).swapaxes(2, 3)
    return parts.reshape(batch, height // side, width // side, -1)


def from_patches(h: Float[Array, "b rows columns d"], side: int) -> Float[Array, "b h w c"]:
    """The inverse of `to_patches`."""
    batch, rows, columns, _ = h.shape
    parts = h.reshape(batch, rows, columns, side, side, -1).swapaxes(2, 3)
    return parts.reshape(batch, rows * side, columns * side, -1)


def make_multiscale_unet(
    image_shape: tuple[int, int, int],
    *,
    channels: int,
    multipliers: tuple[int, ...],
    num_blocks: int,
    attention: tuple[int, ...] = (),
    w_dim: int = 0,
    conditioning: str = "concat",
    zero_init: bool = False,
    fourier: tuple[int, int] | None = None,
    dropout: float = 0.1,
    num_heads: int = 1,
    patch: int = 1,
    dtype: DTypeLike = jnp.float32,
) -> Network:
    """`apply(params, z [B, H, W, C], t [B] in [0, 1], w [B, w_dim] | None = None, *, key=None) -> [B, H, W, C]`.

    There is a level for each of `multipliers`, `channels` times it wide and half the size of the one before. A place of
    the first level holds the values of `patch` x `patch` pixels as its channels, at 1/patch² of the cost. Attention
    follows the ResBlocks of levels whose longer side is in `attention`; there always is attention in the middle. The
    prediction is z plus the network's output, as in VDM, float32 whatever `dtype` the arithmetic runs in; DDPM's has
    no z there, and starts at zero (`zero_init`). `w`, `conditioning`, `fourier` and `num_heads` are those of
    `make_unet`. Raises `UserError` for images that cannot be halved once for each level but the first, and for widths
    that heads do not divide.
    """
    choose("conditioning", conditioning, CONDITIONINGS)
    check_time_width(channels)
    check_levels(image_shape, multipliers, patch)
    for multiplier in multipliers:
        check_divides("num_heads", num_heads, channels * multiplier)
    net = MultiscaleUNet(
        channels=channels,
        multipliers=tuple(multipliers),
        num_blocks=num_blocks,
        attention=tuple(attention),
        conditioning=conditioning,
        zero_init=zero_init,
        fourier=fourier,
        dropout=dropout,
        num_heads=num_heads,
        patch=patch,
        dtype=dtype,
    )
    return make_denoiser(net, image_shape, w_dim)


def check_levels(image_shape: tuple[int, int, int], multipliers: tuple[int, ...], patch: int) -> None:
    """A `UserError` unless there is a level, each is wider than nothing, the image is made of whole patches, and those
    can be halved in number between the levels."""
    if not multipliers or min(multipliers) < 1:
        raise UserError(
            f"multipliers={tuple(multipliers)}; expected a whole number above 0 for each level of the U-Net"
        )
    factor, (height, width, _) = 2 ** (len(multipliers) - 1), image_shape
    if patch < 1 or height % patch or width % patch:
        raise UserError(f"patch={patch}; expected the side of patches that images of {height}x{width} can be cut into")
    if height // patch % factor or width // patch % factor:
        cut = "" if patch == 1 else f" in {patch}x{patch} patches"
        raise UserError(
            f"images of {height}x{width}{cut} cannot be halved {len(multipliers) - 1} times, which the U-Net's "
            f"{len(multipliers)} levels (multipliers={tuple(multipliers)}) need"
        )
