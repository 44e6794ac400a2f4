"""A convolution of stride 2 whose input gradient is fast on a CPU."""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vdm_jax.networks.blocks import ZEROS, scaled_fan_in

X = Float[Array, "b h w c"]
Kernel = Float[Array, "s s c k"]
Out = Float[Array, "b p q k"]

LARGE = 2**20  # values of an input; fewer fit the cache of a core


class HalvingConv(nn.Module):
    """`Conv(features, (side, side), (2, 2))` with the same parameters, output and, up to rounding, gradients.

    XLA's gradient with respect to the input is a convolution of an array that is three quarters zeros. Where the input
    is `LARGE`, this takes a CPU two to four times as long as a convolution for each of the four combinations of even
    and odd rows and columns. A `LARGE` one has no forward-mode derivative.
    """

    features: int
    side: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, h: X) -> Out:
        kernel = self.param("kernel", scaled_fan_in(1.0), (self.side, self.side, h.shape[-1], self.features))
        bias = self.param("bias", ZEROS, (self.features,))
        h, kernel, bias = (array.astype(self.dtype) for array in (h, kernel, bias))
        convolved = _with_phases if h.size >= LARGE else _halved
        return convolved(h, kernel) + bias[None, None, None, :]


def _halved(h: X, kernel: Kernel) -> Out:
    return jax.lax.conv_general_dilated(h, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@jax.custom_vjp
def _with_phases(h: X, kernel: Kernel) -> Out:
    return _halved(h, kernel)


def _forward(h: X, kernel: Kernel) -> tuple[Out, tuple[X, Kernel]]:
    return _halved(h, kernel), (h, kernel)


def _backward(saved: tuple[X, Kernel], g: Out) -> tuple[X, Kernel]:
    h, kernel = saved
    default, phases = partial(_by_zeros, h.shape), partial(_by_phases, h.shape)
    (of_kernel,) = jax.vjp(partial(_halved, h), kernel)[1](g)
    return jax.lax.platform_dependent(g, kernel, cpu=phases, default=default), of_kernel


_with_phases.defvjp(_forward, _backward)


def _by_zeros(shape: tuple[int, ...], g: Out, kernel: Kernel) -> X:
    """XLA's gradient with respect to the input."""
    return jax.linear_transpose(lambda h: _halved(h, kernel), jax.ShapeDtypeStruct(shape, g.dtype))(g)[0]


def _by_phases(shape: tuple[int, ...], g: Out, kernel: Kernel) -> X:
    """The gradient at even and odd rows and columns, each a convolution of g, laid out beside each other."""
    batch, height, width, channels = shape
    found = [
        [
            _convolved(g, kernel[rows.taps][:, columns.taps], (rows.pads, columns.pads))
            for columns in _phases(width, kernel)
        ]
        for rows in _phases(height, kernel)
    ]
    halves = jnp.stack([jnp.stack(line, axis=3) for line in found], axis=2)  # [B, P, 2, Q, 2, C]
    return halves.reshape(batch, 2 * halves.shape[1], -1, channels)[:, :height, :width]


def _convolved(g: Out, kernel: Float[Array, "m n c k"], pads: tuple[tuple[int, int], ...]) -> Float[Array, "b p q c"]:
    return jax.lax.conv_general_dilated(g, kernel, (1, 1), pads, dimension_numbers=("NHWC", "HWOI", "NHWC"))


class Phase(NamedTuple):
    """The taps of the kernel that meet the even or the odd places of a side, the last first, and the zeros around g."""

    taps: np.ndarray
    pads: tuple[int, int]


def _phases(side: int, kernel: Kernel) -> tuple[Phase, Phase]:
    """Place 2 a + r of the input meets tap y of the output a + (r + low - y) / 2, `low` zeros before the input."""
    taps = np.arange(kernel.shape[0])[::-1]
    low = max(len(taps) - 2 + side % 2, 0) // 2
    met = [taps[(r + low - taps) % 2 == 0] for r in (0, 1)]
    before = [int(own[0] - r - low) // 2 for r, own in enumerate(met)]
    return tuple(Phase(own, (zeros, len(own) - 1 - zeros)) for own, zeros in zip(met, before, strict=True))
