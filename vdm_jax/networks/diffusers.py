"""`AutoencoderKL` and `VQModel` of Hugging Face diffusers, as a backbone of their own.

The layers, their padding and their names are those of that library (version 0.42), so that a path of the parameters
with dots between its parts is the name of a tensor in its weights files. Images and outputs are in ±1.
`networks/diffusers_weights.py` reads the files.
"""

from dataclasses import dataclass
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from vdm_jax.base.errors import UserError
from vdm_jax.networks.attention import attend
from vdm_jax.networks.autoencoder import Backbone
from vdm_jax.networks.blocks import Conv, Dense, check_divides, init_params
from vdm_jax.networks.network import Network

KL, VQ = "AutoencoderKL", "VQModel"
EPSILON = 1e-6  # of all norms
SPATIAL_GROUPS = 32  # of the norms of norm_type="spatial", whatever norm_num_groups is
LOG_VARIANCES = (-30.0, 20.0)  # AutoencoderKL clips them
Map = Float[Array, "b h w c"]
conv3 = partial(Conv, kernel_size=(3, 3), padding=((1, 1), (1, 1)))
conv1 = partial(Conv, kernel_size=(1, 1))


@dataclass(frozen=True)
class DiffusersConfig:
    """The settings in a config.json that change the network; defaults are those of AutoencoderKL.

    class_name: AutoencoderKL or VQModel. down_attention, up_attention: by block in the order of the computation,
    whether each of its residual blocks is followed by attention. widths: channels by level, from the images' side down.
    codes, code_channels: size of VQModel's codebook. offset, scale: x = (code - offset) * scale, one or by channel.
    """

    class_name: str = KL
    in_channels: int = 3
    out_channels: int = 3
    widths: tuple[int, ...] = (64,)
    down_attention: tuple[bool, ...] = (False,)
    up_attention: tuple[bool, ...] = (False,)
    layers_per_block: int = 1
    latent_channels: int = 4
    groups: int = 32
    mid_attention: bool = True
    quant_conv: bool = True
    post_quant_conv: bool = True
    codes: int = 256
    code_channels: int = 4
    spatial_norm: bool = False
    offset: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (0.18215,)

    @property
    def factor(self) -> int:
        """Side of the image / side of the latents: every level but the last halves it."""
        return 2 ** (len(self.widths) - 1)

    @property
    def x_channels(self) -> int:
        """Channels of one x of the space."""
        return self.latent_channels if self.class_name == KL else self.code_channels


def upsampled(h: Map, factor: int) -> Float[Array, "b h2 w2 c"]:
    """Each pixel as factor x factor equal ones."""
    return jnp.repeat(jnp.repeat(h, factor, axis=1), factor, axis=2)


def group_norm(groups: int, name: str) -> nn.GroupNorm:
    """The two-pass variance: foreign weights may have groups with a mean far above their deviation."""
    return nn.GroupNorm(groups, epsilon=EPSILON, use_fast_variance=False, name=name)


def norm(groups: int, name: str, h: Map, code: Float[Array, "b i j d"] | None) -> Map:
    """A group norm of h, which maps of `code` scale and shift where there is one. Call it in a compact method."""
    if code is None:
        return group_norm(groups, name)(h)
    return SpatialNorm(name=name)(h, code)


class SpatialNorm(nn.Module):
    """norm(h) a(code) + b(code) with 1x1 convolutions a and b of the enlarged code (MoVQ, arXiv:2209.09002)."""

    @nn.compact
    def __call__(self, h: Map, code: Float[Array, "b i j d"]) -> Map:
        code = upsampled(code, h.shape[1] // code.shape[1])
        normed = group_norm(SPATIAL_GROUPS, "norm_layer")(h)
        return normed * conv1(h.shape[-1], name="conv_y")(code) + conv1(h.shape[-1], name="conv_b")(code)


class DiffusersResBlock(nn.Module):
    """norm-swish-conv twice, added to the input; a 1x1 convolution of the input where the widths differ."""

    channels: int
    groups: int

    @nn.compact
    def __call__(self, h: Float[Array, "b h w i"], code: Float[Array, "b i2 j d"] | None = None) -> Map:
        out = conv3(self.channels, name="conv1")(nn.silu(norm(self.groups, "norm1", h, code)))
        out = conv3(self.channels, name="conv2")(nn.silu(norm(self.groups, "norm2", out, code)))
        if h.shape[-1] != self.channels:
            h = conv1(self.channels, name="conv_shortcut")(h)
        return h + out


class DiffusersAttention(nn.Module):
    """Attention with one head over all pixels, added to its input."""

    groups: int

    @nn.compact
    def __call__(self, h: Map, code: Float[Array, "b i j d"] | None = None) -> Map:
        batch, height, width, channels = h.shape
        normed = norm(self.groups, "group_norm" if code is None else "spatial_norm", h, code)
        flat = normed.reshape(batch, height * width, channels)
        q, k, v = (Dense(channels, name=f"to_{name}")(flat) for name in "qkv")
        mixed = attend(q / channels**0.5, k, v)
        return h + Dense(channels, name="to_out.0")(mixed).reshape(h.shape)


class DiffusersMidBlock(nn.Module):
    """A residual block, attention and a residual block, all at the smallest side."""

    groups: int
    attention: bool

    @nn.compact
    def __call__(self, h: Map, code: Float[Array, "b i j d"] | None = None) -> Map:
        channels = h.shape[-1]
        h = DiffusersResBlock(channels, self.groups, name="resnets.0")(h, code)
        if self.attention:
            h = DiffusersAttention(self.groups, name="attentions.0")(h, code)
        return DiffusersResBlock(channels, self.groups, name="resnets.1")(h, code)


class DiffusersLevel(nn.Module):
    """The residual blocks of one side, each followed by attention where asked for, then a change of the side.

    change: "down" halves the side with a convolution of stride 2, which is padded on the right and below alone; "up"
    doubles it, then convolves; "" keeps it.
    """

    channels: int
    groups: int
    num_blocks: int
    attention: bool
    change: str

    @nn.compact
    def __call__(self, h: Float[Array, "b h w i"], code: Float[Array, "b i2 j d"] | None = None) -> Array:
        for i in range(self.num_blocks):
            h = DiffusersResBlock(self.channels, self.groups, name=f"resnets.{i}")(h, code)
            if self.attention:
                h = DiffusersAttention(self.groups, name=f"attentions.{i}")(h, code)
        if self.change == "down":
            padding = ((0, 1), (0, 1))
            h = Conv(self.channels, (3, 3), strides=2, padding=padding, name="downsamplers.0.conv")(h)
        if self.change == "up":
            h = conv3(self.channels, name="upsamplers.0.conv")(upsampled(h, 2))
        return h


class DiffusersEncoder(nn.Module):
    """Images in ±1 -> mean and log variance of the code (AutoencoderKL), or the code before its lookup (VQModel)."""

    config: DiffusersConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool = False
    ) -> tuple[Float[Array, "b i j d"], Float[Array, "b i j d"] | None]:
        own, is_kl = self.config, self.config.class_name == KL
        h = conv3(own.widths[0], name="encoder.conv_in")(x)
        for i, (width, attention) in enumerate(zip(own.widths, own.down_attention, strict=True)):
            change = "down" if i < len(own.widths) - 1 else ""
            name = f"encoder.down_blocks.{i}"
            h = DiffusersLevel(width, own.groups, own.layers_per_block, attention, change, name=name)(h)
        h = DiffusersMidBlock(own.groups, own.mid_attention, name="encoder.mid_block")(h)
        h = nn.silu(group_norm(own.groups, "encoder.conv_norm_out")(h))
        h = conv3((2 if is_kl else 1) * own.latent_channels, name="encoder.conv_out")(h)
        if own.quant_conv:
            h = conv1(2 * own.latent_channels if is_kl else own.code_channels, name="quant_conv")(h)
        offset, scale = (jnp.asarray(value, jnp.float32) for value in (own.offset, own.scale))
        if not is_kl:
            return (h - offset[None, None, None, :]) * scale[None, None, None, :], None
        mean, logvar = jnp.split(h, 2, axis=-1)
        logvar = jnp.clip(logvar, *LOG_VARIANCES) + 2 * jnp.log(jnp.abs(scale))[None, None, None, :]
        return (mean - offset[None, None, None, :]) * scale[None, None, None, :], logvar


class DiffusersDecoder(nn.Module):
    """x of the space -> images, about ±1. VQModel looks up the nearest code of its codebook first."""

    config: DiffusersConfig

    @nn.compact
    def __call__(self, x: Float[Array, "b i j d"], *, train: bool = False) -> Float[Array, "b h w c"]:
        own = self.config
        offset, scale = (jnp.asarray(value, jnp.float32) for value in (own.offset, own.scale))
        h = x / scale[None, None, None, :] + offset[None, None, None, :]
        if own.class_name == VQ:
            codebook = nn.Embed(own.codes, own.code_channels, name="quantize.embedding").embedding
            found = codebook[nearest_codes(codebook, h)]
            h = h + jax.lax.stop_gradient(found - h)  # straight-through, as in training
        code = h if own.spatial_norm else None
        if own.post_quant_conv:
            h = conv1(own.latent_channels, name="post_quant_conv")(h)
        h = conv3(own.widths[-1], name="decoder.conv_in")(h)
        h = DiffusersMidBlock(own.groups, own.mid_attention, name="decoder.mid_block")(h, code)
        for i, (width, attention) in enumerate(zip(own.widths[::-1], own.up_attention, strict=True)):
            change = "up" if i < len(own.widths) - 1 else ""
            name = f"decoder.up_blocks.{i}"
            h = DiffusersLevel(width, own.groups, own.layers_per_block + 1, attention, change, name=name)(h, code)
        h = nn.silu(norm(own.groups, "decoder.conv_norm_out", h, code))
        return conv3(own.out_channels, name="decoder.conv_out")(h)


def nearest_codes(codebook: Float[Array, "k d"], h: Float[Array, "b i j d"]) -> Integer[Array, "b i j"]:
    """The index of the code at the smallest Euclidean distance; the first of equals."""
    products = jnp.einsum("bijd,kd->bijk", h, codebook, precision="highest")
    return jnp.argmin((codebook**2).sum(-1)[None, None, None, :] - 2 * products, axis=-1)


def make_diffusers(config: DiffusersConfig, image_shape: tuple[int, ...]) -> Backbone:
    """The networks for images of `image_shape` (H, W, C) in ±1; they take no labels.

    Raises `UserError` where their sides or channels do not fit, or the groups do not divide the widths.
    """
    height, width, channels = image_shape
    if channels != config.in_channels or channels != config.out_channels:
        why = f"images of {channels} channels do not fit a {config.class_name} of {config.in_channels} channels in"
        raise UserError(f"{why} and {config.out_channels} out; choose other data or another first stage")
    if height % config.factor or width % config.factor:
        why = f"images of {height} x {width} do not fit a {config.class_name} that divides the side by"
        raise UserError(f"{why} {config.factor}; choose images whose sides it divides")
    for channels_at_level in config.widths:
        check_divides("norm_num_groups", config.groups, channels_at_level)
    latent_shape = (height // config.factor, width // config.factor, config.x_channels)
    encoder, decoder = DiffusersEncoder(config), DiffusersDecoder(config)
    return Backbone(
        encoder=Network(
            lambda key: init_params(encoder, key, (1, *image_shape)),
            lambda params, x, label=None: encoder.apply({"params": params}, x),
        ),
        decoder=Network(
            lambda key: init_params(decoder, key, (1, *latent_shape)),
            lambda params, x, label=None: decoder.apply({"params": params}, x),
        ),
        latent_shape=latent_shape,
    )
