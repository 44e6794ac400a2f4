"""InceptionV3. Its pooled features define the Fréchet inception distance (FID).

The network is the TensorFlow graph of 2015-12-05 (Szegedy et al. 2015, arXiv:1512.00567; Heusel et al. 2017,
arXiv:1706.08500) in the form of the package `pytorch-fid`. It differs from torchvision's InceptionV3 in its weights
(1,008 classes) and in two kinds of pools: averages do not count the padding, and the last block has a maximum instead
of an average. Layers have the names of pytorch-fid's weights file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.networks.network import Network

SIDE = 299
NUM_FEATURES = 2048
NUM_CLASSES = 1008
EPSILON = 1e-3  # of the batch norms
EXACT = jax.lax.Precision.HIGHEST  # accelerators round the factors of a float32 product by default


@dataclass(frozen=True)
class Conv:
    """A convolution, frozen batch norm and rectifier."""

    name: str
    features: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "SAME"


def average_pool(h: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """3x3 averages without the padding."""
    return nn.avg_pool(h, (3, 3), padding="SAME", count_include_pad=False)


def max_pool(h: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """3x3 maxima."""
    return nn.max_pool(h, (3, 3), padding="SAME")


def shrink(h: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """3x3 maxima with stride 2, without padding."""
    return nn.max_pool(h, (3, 3), (2, 2))


# A sequence of parts: a Conv, a pool, or a tuple of parallel chains that are joined along the channels.
Chain = Sequence[Any]


def _block_a(pool_features: int) -> tuple[Chain, ...]:
    return (
        [Conv("branch1x1", 64)],
        [Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, (5, 5))],
        [Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, (3, 3)), Conv("branch3x3dbl_3", 96, (3, 3))],
        [average_pool, Conv("branch_pool", pool_features)],
    )


def _block_b() -> tuple[Chain, ...]:
    return (
        [Conv("branch3x3", 384, (3, 3), 2, "VALID")],
        [
            Conv("branch3x3dbl_1", 64),
            Conv("branch3x3dbl_2", 96, (3, 3)),
            Conv("branch3x3dbl_3", 96, (3, 3), 2, "VALID"),
        ],
        [shrink],
    )


def _block_c(narrow: int) -> tuple[Chain, ...]:
    return (
        [Conv("branch1x1", 192)],
        [Conv("branch7x7_1", narrow), Conv("branch7x7_2", narrow, (1, 7)), Conv("branch7x7_3", 192, (7, 1))],
        [
            Conv("branch7x7dbl_1", narrow),
            Conv("branch7x7dbl_2", narrow, (7, 1)),
            Conv("branch7x7dbl_3", narrow, (1, 7)),
            Conv("branch7x7dbl_4", narrow, (7, 1)),
            Conv("branch7x7dbl_5", 192, (1, 7)),
        ],
        [average_pool, Conv("branch_pool", 192)],
    )


def _block_d() -> tuple[Chain, ...]:
    return (
        [Conv("branch3x3_1", 192), Conv("branch3x3_2", 320, (3, 3), 2, "VALID")],
        [
            Conv("branch7x7x3_1", 192),
            Conv("branch7x7x3_2", 192, (1, 7)),
            Conv("branch7x7x3_3", 192, (7, 1)),
            Conv("branch7x7x3_4", 192, (3, 3), 2, "VALID"),
        ],
        [shrink],
    )


def _block_e(pool: Callable) -> tuple[Chain, ...]:
    def split(name: str) -> tuple[Chain, ...]:
        return [Conv(f"{name}a", 384, (1, 3))], [Conv(f"{name}b", 384, (3, 1))]

    return (
        [Conv("branch1x1", 320)],
        [Conv("branch3x3_1", 384), split("branch3x3_2")],
        [Conv("branch3x3dbl_1", 448), Conv("branch3x3dbl_2", 384, (3, 3)), split("branch3x3dbl_3")],
        [pool, Conv("branch_pool", 192)],
    )


STEM = [
    Conv("Conv2d_1a_3x3", 32, (3, 3), 2, "VALID"),
    Conv("Conv2d_2a_3x3", 32, (3, 3), 1, "VALID"),
    Conv("Conv2d_2b_3x3", 64, (3, 3)),
    shrink,
    Conv("Conv2d_3b_1x1", 80),
    Conv("Conv2d_4a_3x3", 192, (3, 3), 1, "VALID"),
    shrink,
]
BLOCKS = {
    "Mixed_5b": _block_a(32),
    "Mixed_5c": _block_a(64),
    "Mixed_5d": _block_a(64),
    "Mixed_6a": _block_b(),
    "Mixed_6b": _block_c(128),
    "Mixed_6c": _block_c(160),
    "Mixed_6d": _block_c(160),
    "Mixed_6e": _block_c(192),
    "Mixed_7a": _block_d(),
    "Mixed_7b": _block_e(average_pool),
    "Mixed_7c": _block_e(max_pool),
}


class ConvNorm(nn.Module):
    """relu(scale (conv(h) - mean) / sqrt(var + 1e-3) + bias). `mean` and `var` are of the training of the network."""

    spec: Conv

    @nn.compact
    def __call__(self, h: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 k"]:
        features, strides = self.spec.features, (self.spec.stride, self.spec.stride)
        kernel = self.param("kernel", nn.initializers.he_normal(), (*self.spec.kernel, h.shape[-1], features))
        scale = self.param("scale", nn.initializers.ones_init(), (features,))
        bias = self.param("bias", nn.initializers.zeros_init(), (features,))
        mean = self.param("mean", nn.initializers.zeros_init(), (features,))
        var = self.param("var", nn.initializers.ones_init(), (features,))
        numbers = ("NHWC", "HWIO", "NHWC")
        out = jax.lax.conv_general_dilated(
            h, kernel, strides, self.spec.padding, dimension_numbers=numbers, precision=EXACT
        )
        multiplier = scale * jax.lax.rsqrt(var + EPSILON)
        return nn.relu(out * multiplier[None, None, None] + (bias - mean * multiplier)[None, None, None])


def _follow(h: Array, chain: Chain) -> Array:
    """Applies a chain inside a compact module, which then owns the convolutions."""
    for part in chain:
        if isinstance(part, Conv):
            h = ConvNorm(part, name=part.name)(h)
        elif isinstance(part, tuple):
            h = jnp.concatenate([_follow(h, branch) for branch in part], axis=-1)
        else:
            h = part(h)
    return h


class Block(nn.Module):
    """Parallel chains, joined along the channels."""

    branches: tuple[Chain, ...]

    @nn.compact
    def __call__(self, h: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 k"]:
        return _follow(h, [self.branches])


class Inception(nn.Module):
    """Maps images in ±1 to the means over pixels of the 2,048 channels of the last block."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> Float[Array, "b 2048"]:
        h = _follow(x, STEM)
        for name, branches in BLOCKS.items():
            h = Block(branches, name=name)(h)
        return h.mean((1, 2))


def inception_input(images: Float[Array, "b h w c"], side: int) -> Float[Array, "b side side 3"]:
    """Grey or colour images in [0, 1] as inputs of the network: bilinear to side x side, 2 x - 1, three channels.

    The interpolation is that of pytorch-fid: pixel centres at half-integers, repeated edges, no antialiasing (two
    pixels along each axis, also if an image shrinks).
    """
    batch, _, _, channels = images.shape
    if channels not in (1, 3):
        raise UserError(f"images of {channels} channels; InceptionV3 takes grey ones (1) or colour (3)")
    resized = jax.image.resize(images, (batch, side, side, channels), "linear", antialias=False, precision=EXACT)
    return jnp.broadcast_to(2 * resized - 1, (batch, side, side, 3))


def make_inception(side: int = SIDE) -> Network:
    """`apply(params, images [B, H, W, 1 or 3] in [0, 1]) -> features [B, 2048]`, float32, without gradients.

    Running means and variances are parameters. `init` gives random weights of the right shapes. `side`: size that
    images are resized to, at least 75; 299 in the definition of the FID.
    """
    if side < 75:
        raise UserError(f"side={side}; InceptionV3 takes images of 75x75 or more")
    net = Inception()

    def init(key: Key[Array, ""]) -> PyTree:
        return net.lazy_init(key, jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32))["params"]

    def apply(params: PyTree, images: Float[Array, "b h w c"]) -> Float[Array, "b 2048"]:
        return net.apply({"params": params}, inception_input(images, side))

    return Network(init, apply)
