"""A plain convolutional denoiser: layers of one size, the time added to the features of the first.

That of the coursework on DDPM: 7x7 convolutions 1-16-32-32-16, a last one of 3x3 to one channel, GELU between them. The
time t is read at 16 exponentially increasing frequencies, whose sines and cosines pass through an MLP 32-128-128-16.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vdm_jax.base.errors import UserError
from vdm_jax.networks.blocks import Conv, Dense
from vdm_jax.networks.denoiser import make_denoiser
from vdm_jax.networks.network import Network

KERNEL, LAST_KERNEL = 7, 3
FREQUENCIES, RATIO = 16, 1.5  # the source states no ratio
TIME_WIDTH = 128


class TimeCnn(nn.Module):
    """conv-GELU, the time added; conv-GELU for each further width; a convolution to the channels of z.

    The source gives every layer a GELU, also the last. The output here has none: GELU(x) >= -0.17 excludes most noise.
    The last layer of the time MLP has none either.
    """

    widths: tuple[int, ...]
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, z: Float[Array, "b h w c"], t: Float[Array, " b"], w: None = None, *, train: bool
    ) -> Float[Array, "b h w c"]:
        def conv(h, width, side, name):
            return Conv(width, (side, side), dtype=self.dtype, name=name)(h)

        time = frequency_features(t)
        for i in (1, 2):
            time = nn.gelu(Dense(TIME_WIDTH, dtype=self.dtype, name=f"time{i}")(time))
        time = Dense(self.widths[0], dtype=self.dtype, name="time3")(time)
        h = nn.gelu(conv(z, self.widths[0], KERNEL, "conv1")) + time[:, None, None, :]
        for i, width in enumerate(self.widths[1:], 2):
            h = nn.gelu(conv(h, width, KERNEL, f"conv{i}"))
        return conv(h, z.shape[-1], LAST_KERNEL, "conv_out").astype(z.dtype)


def frequency_features(t: Float[Array, " b"]) -> Float[Array, "b d"]:
    """(sin, cos) of 2 pi 1.5^i t, 0 <= i < 16; t in [0, 1]. [B] -> [B, 32], float32."""
    angles = t[:, None] * (2 * math.pi * RATIO ** jnp.arange(FREQUENCIES))[None, :]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def make_time_cnn(
    image_shape: tuple[int, int, int], *, widths: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> Network:
    """`apply(params, z [B, H, W, C], t [B] in [0, 1], w=None, *, key=None) -> [B, H, W, C]`, float32.

    There is a convolution for each of `widths` and a last one. There is no dropout: a key changes nothing. Raises
    `UserError` without a width.
    """
    if not widths or min(widths) < 1:
        raise UserError(f"widths={tuple(widths)}; expected a whole number above 0 for each convolution but the last")
    return make_denoiser(TimeCnn(tuple(widths), dtype), image_shape, 0)
