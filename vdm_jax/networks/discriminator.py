"""A discriminator of patches (Isola et al. 2017): a logit for each place, which sees a part of the image."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.networks.blocks import Conv, GroupNorm, default_groups, init_params
from vdm_jax.networks.halving import HalvingConv
from vdm_jax.networks.network import Network

SMALLEST_SIDE = 16
SLOPE = 0.2  # of the leaky rectifier below 0


class PatchDiscriminator(nn.Module):
    """Two convolutions of stride 2 and two of stride 1, of 4 x 4 and 3 x 3 pixels. Each logit sees 26 x 26 pixels,
    besides the statistics of its norms."""

    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool = False) -> Float[Array, "b p q"]:
        h = nn.leaky_relu(HalvingConv(self.channels, 4, name="down0")(x), SLOPE)
        width = 2 * self.channels
        for i, conv in enumerate([HalvingConv(width, 4, name="conv0"), Conv(width, (3, 3), name="conv1")]):
            h = conv(h)
            h = nn.leaky_relu(GroupNorm(default_groups(width), name=f"norm{i}")(h), SLOPE)
        return Conv(1, (3, 3), name="logits")(h)[..., 0]


def make_discriminator(image_shape: tuple[int, int, int], channels: int) -> Network:
    """`apply(params, x [B, H, W, C]) -> logits [B, H/4, W/4]`, above 0 for real images.

    Raises `UserError` for images with a side below 16, of which no patch is a part, and for fewer than 2 channels.
    """
    height, width, _ = image_shape
    if min(height, width) < SMALLEST_SIDE:
        why = f"reconstruction.discriminator compares patches of images, and these are {height}x{width}"
        raise UserError(f"{why}; expected sides of at least {SMALLEST_SIDE}, or reconstruction.discriminator=0")
    if channels < 2:
        raise UserError(f"reconstruction.discriminator_channels={channels}; expected at least 2")
    net = PatchDiscriminator(channels)

    def init(key: Key[Array, ""]) -> PyTree:
        return init_params(net, key, (1, *image_shape))

    def apply(params: PyTree, x: Float[Array, "b h w c"]) -> Float[Array, "b p q"]:
        return net.apply({"params": params}, x.astype(jnp.float32))

    return Network(init, apply)
