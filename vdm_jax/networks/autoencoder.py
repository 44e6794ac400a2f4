"""Encoders and decoders of autoencoders, by backbone: to a vector, to a grid, to a grid with self-attention.

`fc` follows the thesis' figure 4.3, `conv` its figure 4.4 and `attention` its figure 4.5.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.errors import UserError, choose
from vdm_jax.networks.attention import Attention
from vdm_jax.networks.blocks import Conv, Dense, GroupNorm, NarrowConv, ResBlock, default_groups, init_params
from vdm_jax.networks.halving import HalvingConv
from vdm_jax.networks.network import Network

X = Float[Array, "b h w c"]
Out = Float[Array, "b p q k"]  # of another size
Latents = Float[Array, "b ..."]
Label = Float[Array, "b classes"]

SMALLEST = 4  # side of the last grid of `fc`
STRIDES = 4  # H/4 and W/4 are the sides of the grids of `conv` and `attention`
MOST_LATENTS = 65_536
OUTPUT = "conv_out"  # the last layer of every decoder, by whose gradient an adversarial loss is weighted
LOWEST_LOGVAR, HIGHEST_LOGVAR = -20.0, 10.0


class Backbone(NamedTuple):
    """Both halves of an autoencoder and the shape of one code.

    encoder: `apply(params, x [B, H, W, C], label=None) -> (mean [B, *latent_shape], logvar [B, *latent_shape] | None)`;
        x are the pixel values of the data set. logvar is None for a deterministic code.
    decoder: `apply(params, u [B, *latent_shape], label=None) -> output [B, H, W, C]`, the parameters of p(x | u). Its
        last layer has the parameters `OUTPUT`.
    label: one-hot, [B, num_classes], of a conditional model.
    """

    encoder: Network
    decoder: Network
    latent_shape: tuple[int, ...]


class BackboneKind(NamedTuple):
    """A backbone: the settings that it reads besides its width, its usual width, and the function that makes one."""

    reads: tuple[str, ...]
    channels: int
    make: Callable[..., Backbone]


class VectorEncoder(nn.Module):
    """Convolutions of stride 2 while the sides are even and the next at least 4, then dense layers to the moments."""

    widths: tuple[int, ...]
    hidden: int
    num_outputs: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: X, label: Label | None = None, *, train: bool = False) -> Float[Array, "b f"]:
        h = x
        for i, width in enumerate(self.widths):
            h = HalvingConv(width, 4, self.dtype, name=f"down{i}")(h)
            h = nn.silu(_conditioned(h, label, self.dtype) if i == 0 else h)
        h = nn.silu(Dense(self.hidden, dtype=self.dtype, name="dense")(h.reshape(h.shape[0], -1)))
        return Dense(self.num_outputs, name="moments")(h.astype(jnp.float32))


class VectorDecoder(nn.Module):
    """Dense layers to a small grid, then convolutions that double its sides."""

    grid: tuple[int, int]
    widths: tuple[int, ...]  # of the grids, from the smallest to the one before the image
    hidden: int
    channels: int  # of the image
    dtype: DTypeLike

    @nn.compact
    def __call__(self, u: Float[Array, "b d"], label: Label | None = None, *, train: bool = False) -> Out:
        h = Dense(self.hidden, dtype=self.dtype, name="dense_in")(u)
        h = nn.silu(_conditioned(h, label, self.dtype))
        h = nn.silu(Dense(math.prod(self.grid) * self.widths[0], dtype=self.dtype, name="dense")(h))
        h = h.reshape(h.shape[0], *self.grid, self.widths[0])
        for i, width in enumerate(self.widths[1:]):
            h = nn.silu(_doubled(h, width, self.dtype, f"up{i}"))
        return _doubled(h, self.channels, self.dtype, OUTPUT).astype(jnp.float32)


class GridEncoder(nn.Module):
    """Two convolutions of stride 2 and a stack at a quarter of the sides, to moments of `num_outputs` channels."""

    width: int
    attention: bool
    num_outputs: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: X, label: Label | None = None, *, train: bool = False) -> Out:
        h = HalvingConv(self.width // 2, 4, self.dtype, name="down0")(x)
        h = nn.silu(_conditioned(h, label, self.dtype))
        h = HalvingConv(self.width, 4, self.dtype, name="down1")(h)
        h = _stack(h, self.width, self.attention, self.dtype)
        return Conv(self.num_outputs, (3, 3), name="moments")(h.astype(jnp.float32))


class GridDecoder(nn.Module):
    """A stack at a quarter of the sides, then two convolutions that double them."""

    width: int
    attention: bool
    channels: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, u: X, label: Label | None = None, *, train: bool = False) -> Out:
        h = Conv(self.width, (3, 3), dtype=self.dtype, name="conv_in")(u)
        h = _stack(_conditioned(h, label, self.dtype), self.width, self.attention, self.dtype)
        h = nn.silu(_doubled(h, self.width // 2, self.dtype, "up0"))
        return _doubled(h, self.channels, self.dtype, OUTPUT).astype(jnp.float32)


def _conditioned(h: Latents, label: Label | None, dtype: DTypeLike) -> Latents:
    """h plus a linear map of the label, the same at every place. For the compact method of a module."""
    if label is None:
        return h
    shift = Dense(h.shape[-1], use_bias=False, dtype=dtype, name="label")(label)
    return h + shift.reshape(shift.shape[0], *[1] * (h.ndim - 2), shift.shape[1])


def _doubled(h: X, channels: int, dtype: DTypeLike, name: str) -> Out:
    """A convolution to 4 `channels`, laid out as 2 x 2 pixels each (Shi et al. 2016). For a compact method."""
    narrow = 4 * channels <= h.shape[-1]
    conv = partial(NarrowConv, 4 * channels) if narrow else partial(Conv, 4 * channels, (3, 3))
    h = conv(dtype=dtype, name=name)(h)
    batch, height, width, _ = h.shape
    h = h.reshape(batch, height, width, 2, 2, channels)
    return jnp.moveaxis(h, 3, 2).reshape(batch, 2 * height, 2 * width, channels)


def _stack(h: X, width: int, attention: bool, dtype: DTypeLike) -> Out:
    """A convolution, or two residual blocks with attention between them. For a compact method."""
    if not attention:
        return nn.silu(Conv(width, (3, 3), dtype=dtype, name="middle")(nn.silu(h)))
    groups = default_groups(width)
    h = ResBlock(width, groups, dtype=dtype, name="block1")(h)
    h = Attention(groups, dtype=dtype, name="attention")(h)
    h = ResBlock(width, groups, dtype=dtype, name="block2")(h)
    return nn.silu(GroupNorm(groups, dtype, name="norm_out")(h))


def make_vector(
    image_shape: tuple[int, int, int],
    *,
    latents: int,
    channels: int,
    stochastic: bool,
    num_classes: int,
    dtype: DTypeLike,
) -> Backbone:
    """`fc`: a vector of `latents` numbers. The first two grids have `channels` channels, the others twice as many.

    Raises `UserError` for fewer than one latent.
    """
    if not 1 <= latents <= MOST_LATENTS:
        raise UserError(f"model.latents={latents}; expected 1 to {MOST_LATENTS:,}")
    height, width, image_channels = image_shape
    levels = 1
    while all(side % 2 ** (levels + 1) == 0 and side >> (levels + 1) >= SMALLEST for side in (height, width)):
        levels += 1
    widths = tuple(channels * (1 if i < 2 else 2) for i in range(levels))
    hidden = 8 * channels
    grid = (height >> levels, width >> levels)
    # the decoder has half of the encoder's channels at the grids of many pixels, where it has nine products a channel
    outwards = (*reversed((channels // 2, channels, channels, *[2 * channels] * levels)[:levels]),)
    return Backbone(
        _network(
            VectorEncoder(widths, hidden, latents * (1 + stochastic), dtype), image_shape, num_classes, stochastic
        ),
        _network(VectorDecoder(grid, outwards, hidden, image_channels, dtype), (latents,), num_classes),
        (latents,),
    )


def make_grid(
    image_shape: tuple[int, int, int],
    *,
    latent_channels: int,
    channels: int,
    stochastic: bool,
    num_classes: int,
    dtype: DTypeLike,
    attention: bool,
) -> Backbone:
    """`conv` and `attention`: (H/4, W/4, latent_channels), with `channels` channels at these sides.

    Raises `UserError` for fewer than one channel.
    """
    if not 1 <= latent_channels <= 1_024:
        raise UserError(f"model.latent_channels={latent_channels}; expected 1 to 1,024")
    height, width, image_channels = image_shape
    latent_shape = (height // STRIDES, width // STRIDES, latent_channels)
    encoder = GridEncoder(channels, attention, latent_channels * (1 + stochastic), dtype)
    return Backbone(
        _network(encoder, image_shape, num_classes, stochastic),
        _network(GridDecoder(channels, attention, image_channels, dtype), latent_shape, num_classes),
        latent_shape,
    )


def _conv(image_shape: tuple[int, int, int], **settings) -> Backbone:
    return make_grid(image_shape, attention=False, **settings)


def _attention(image_shape: tuple[int, int, int], **settings) -> Backbone:
    return make_grid(image_shape, attention=True, **settings)


BACKBONES = {
    "fc": BackboneKind(("latents",), 32, make_vector),
    "conv": BackboneKind(("latent_channels",), 32, _conv),
    "attention": BackboneKind(("latent_channels",), 24, _attention),
}


def make_backbone(
    name: str,
    image_shape: tuple[int, int, int],
    *,
    channels: int | None = None,
    stochastic: bool,
    num_classes: int = 0,
    dtype: DTypeLike = jnp.float32,
    **settings: int,
) -> Backbone:
    """The backbone `name`, one of `BACKBONES`, for images of `image_shape`, grey or colour.

    channels: its width; None for the usual one. stochastic: whether the encoder has a variance. num_classes: of the
    labels that both halves read; 0 for none. settings: what the backbone reads, `latents` or `latent_channels`.

    Raises `UserError` for sides that are not divisible by 4, and for sizes out of range.
    """
    kind = choose("model.backbone", name, BACKBONES)
    height, width, _ = image_shape
    if height % STRIDES or width % STRIDES or min(height, width) < 2 * STRIDES:
        needs = f"model.backbone={name!r} needs sides that are divisible by 4 and at least {2 * STRIDES}"
        raise UserError(f"{needs}, not images of {height}x{width}; --config.data.size=32 resizes images of a folder")
    channels = kind.channels if channels is None else channels
    if channels < 4 or channels % 2 or channels > 4_096:
        raise UserError(f"model.channels={channels}; expected an even number, 4 to 4,096")
    return kind.make(
        image_shape, channels=channels, stochastic=stochastic, num_classes=num_classes, dtype=dtype, **settings
    )


def _network(net: nn.Module, input_shape: tuple[int, ...], num_classes: int, stochastic: bool | None = None) -> Network:
    """The functions of a half. stochastic: of an encoder, whether its output is a mean and a log variance."""
    shapes = [(1, *input_shape), *([(1, num_classes)] if num_classes else [])]

    def init(key: Key[Array, ""]) -> PyTree:
        return init_params(net, key, *shapes)

    def output(params: PyTree, inputs: Latents, label: Label | None = None) -> Latents:
        given = () if label is None else (label,)
        return net.apply({"params": params}, inputs, *given)

    def moments(params: PyTree, x: X, label: Label | None = None) -> tuple[Latents, Latents | None]:
        found = output(params, x, label)
        if not stochastic:
            return found, None
        mean, logvar = jnp.split(found, 2, axis=-1)
        return mean, jnp.clip(logvar, LOWEST_LOGVAR, HIGHEST_LOGVAR)

    return Network(init, output if stochastic is None else moments)
