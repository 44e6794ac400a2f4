"""Building blocks shared by the U-Nets, the encoder and the classifier.

Parameters are float32 for every `dtype` of the computation. Norm statistics and the softmax of the attention are always
float32, because bfloat16 keeps 8 bits of a sum.
"""

import math
from functools import lru_cache, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, Literal
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import hashed_bits

ZEROS = nn.initializers.zeros_init()
CONDITIONINGS = {
    "concat": "added after each ResBlock's first convolution",
    "adagn": "scales and shifts each ResBlock's second norm",
}
CODE_WIDTH = 128  # width of the layer on the code under "adagn"
TRUNCATED_DEVIATION = 0.87962566103423978  # of a standard normal within two deviations
OUTPUT_SCALE = 0.1  # variance scale of the output convolution: eps_hat starts near z_t, and w has an effect at once


def init_params(net: nn.Module, key: Key[Array, ""], *shapes: tuple[int, ...]) -> PyTree:
    """The parameters of `net` for float32 inputs of these shapes. The network is not run, and traced once a process."""
    try:
        hash(net)
    except TypeError:  # a list among its settings
        draws, constants, tree = _draws_of.__wrapped__(net, jax.typeof(key), shapes)
    else:
        draws, constants, tree = _draws_of(net, jax.typeof(key), shapes)
    return jax.tree.unflatten(tree, jax.core.eval_jaxpr(draws, constants, key))


@lru_cache(maxsize=32)
def _draws_of(net: nn.Module, key: Any, shapes: tuple[tuple[int, ...], ...]) -> tuple[Jaxpr, list[Any], Any]:
    """The operations that draw the parameters from a key, one by one, their constants and the tree of their results."""
    inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    init = partial(net.lazy_init, train=False)
    traced, shape = jax.make_jaxpr(lambda key: init(key, *inputs)["params"], return_shape=True)(key)
    needed, kept = set(traced.jaxpr.outvars), []
    for operation in reversed(traced.jaxpr.eqns):  # what the network does with its parameters is left out
        if needed.intersection(operation.outvars):
            kept.append(operation)
            needed.update(value for value in operation.invars if not isinstance(value, Literal))
    return traced.jaxpr.replace(eqns=kept[::-1]), traced.consts, jax.tree.structure(shape)


def scaled_fan_in(scale: float) -> nn.initializers.Initializer:
    """Truncated normal weights that multiply the variance of the input by `scale`; zero weights for `scale = 0`.

    The weights of flax's `variance_scaling`, which compiles a program for each shape, half a second each.
    """
    if scale == 0:
        return ZEROS

    def init(key: Key[Array, ""], shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
        size, variance = math.prod(shape), jnp.asarray(scale / math.prod(shape[:-1]), dtype)
        drawn = _truncated_normal(key, 4 ** (((size - 1).bit_length() + 1) // 2), dtype)
        return _scaled(drawn, jnp.sqrt(variance) / jnp.asarray(TRUNCATED_DEVIATION, dtype), shape)

    return init


@partial(jax.jit, static_argnums=(1, 2))
def _truncated_normal(key: Key[Array, ""], size: int, dtype: DTypeLike) -> Float[Array, " n"]:
    """Draws within two standard deviations. The first n do not depend on `size`, whose few values share programs."""
    return jax.random.truncated_normal(key, -2, 2, (size,), dtype)


@partial(jax.jit, static_argnums=2)
def _scaled(drawn: Float[Array, " n"], deviation: Float[Array, ""], shape: tuple[int, ...]) -> Array:
    return drawn[: math.prod(shape)].reshape(shape) * deviation


Conv = partial(nn.Conv, kernel_init=scaled_fan_in(1.0))
Dense = partial(nn.Dense, kernel_init=scaled_fan_in(1.0))


class NarrowConv(nn.Module):
    """`Conv(features, (3, 3))` for few features, with the same parameters and, up to rounding, the same output.

    On a CPU a product with the features of all three columns of the kernel, shifted and added, takes half of the time
    of XLA's convolution and its gradients where there are fewer features than channels of the input.
    """

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, h: Float[Array, "b h w c"]) -> Float[Array, "b h w k"]:
        kernel = self.param("kernel", scaled_fan_in(1.0), (3, 3, h.shape[-1], self.features))
        bias = self.param("bias", ZEROS, (self.features,))
        h, kernel, bias = (array.astype(self.dtype) for array in (h, kernel, bias))
        return jax.lax.platform_dependent(h, kernel, cpu=_by_columns, default=_convolved) + bias[None, None, None, :]


def _convolved(h: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c k"]) -> Float[Array, "b h w k"]:
    return jax.lax.conv_general_dilated(h, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _by_columns(h: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c k"]) -> Float[Array, "b h w k"]:
    """The rows of the window are channels of one product [B H W, 3 C] [3 C, 3 K], its columns are added."""
    batch, height, width, channels = h.shape
    above = jnp.pad(h, ((0, 0), (1, 1), (0, 0), (0, 0)))
    rows = jnp.concatenate([above[:, i : i + height] for i in range(3)], axis=-1)
    columns = kernel.transpose(0, 2, 1, 3).reshape(3 * channels, -1)
    found = (rows.reshape(-1, 3 * channels) @ columns).reshape(batch, height, width, 3, -1)
    found = jnp.pad(found, ((0, 0), (0, 0), (1, 1), (0, 0), (0, 0)))
    return sum(found[:, :, j : j + width, j] for j in range(3))


def default_groups(channels: int) -> int:
    """Number of groups of a norm over `channels`: at most 32, with at least two channels a group."""
    return max(g for g in range(1, 33) if channels % g == 0 and (g == 1 or 2 * g <= channels))


def check_divides(what: str, divisor: int, channels: int) -> None:
    """Raises `UserError` unless `divisor`, a number of groups or heads, divides `channels`."""
    if divisor < 1 or channels % divisor:
        raise UserError(f"{what}={divisor} does not divide channels={channels}")


def time_embedding(t: Float[Array, " b"], dim: int) -> Float[Array, "b d"]:
    """(sin, cos) of `1000 t exp(-ln(10000) i / (D/2 - 1))`, 0 <= i < D/2; t in [0, 1]. [B] -> [B, D], float32."""
    half = dim // 2
    rates = jnp.exp(-math.log(10_000.0) * jnp.arange(half) / (half - 1))
    angles = 1000.0 * t[:, None] * rates[None, :]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def embed_condition(
    t: Float[Array, " b"],
    w: Float[Array, "b d"] | None,
    channels: int,
    width: int,
    conditioning: str,
    dtype: DTypeLike,
) -> Float[Array, "b k"]:
    """The condition of every ResBlock: the time embedding through two layers (E -> width -> width), and the code w.

    "concat" appends w unchanged, as the blog does; "adagn" appends a layer of w of width 128. Call it in the compact
    method of a module, which then owns the layers `time1`, `time2` and `code1`.
    """
    h = time_embedding(t, channels)
    for i in (1, 2):
        h = nn.silu(Dense(width, dtype=dtype, name=f"time{i}")(h))
    if w is None:
        return h
    w = w.astype(h.dtype)
    if conditioning == "adagn":
        w = nn.silu(Dense(CODE_WIDTH, dtype=dtype, name="code1")(w))
    return jnp.concatenate([h, w], axis=-1)


def check_time_width(channels: int) -> None:
    """Raises `UserError` unless `channels` is even and at least 4, for sine and cosine."""
    if channels < 4 or channels % 2:
        raise UserError(f"channels={channels}; the U-Net's time embedding needs an even number, at least 4")


def fourier_features(z: Float[Array, "b h w c"], n_min: int, n_max: int) -> Float[Array, "b h w f"]:
    """sin and cos of `2^n π z` for n = n_min … n_max, both included (VDM, appendix C).

    Neighbouring levels differ by 2/K in pixels of ±1, so n near log2 K separates them: 7 and 8 for K = 256, 3 and 4 for
    K = 17. z must be float32, because the angles are large. -> [B, H, W, 2 C (n_max - n_min + 1)].
    """
    angles = [2.0**n * math.pi * z for n in range(n_min, n_max + 1)]
    return jnp.concatenate([f(a) for a in angles for f in (jnp.sin, jnp.cos)], axis=-1)


@jax.custom_jvp
def gradient_written_once(h: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Returns h. On a CPU its gradient is written to memory before it is read.

    XLA fuses a chain of elementwise operations into each of its consumers. In a residual stack each reduction,
    transpose and convolution of a block would compute the whole gradient of the later blocks again, which is work of
    the order of the squared depth. XLA for CPUs removes `lax.optimization_barrier`, but does not fuse through a matrix
    product; a product with the identity changes no finite number.
    """
    return h


@gradient_written_once.defjvp
def _times_identity(h: tuple[jax.Array], tangent: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """The gradient passes through the transpose of the tangent's map."""
    return h[0], _identity(tangent[0])


@partial(jax.jit, inline=True)
def _identity(h: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    def product(h):
        return jnp.einsum("bhwc,cd->bhwd", h, jnp.eye(h.shape[-1], dtype=h.dtype))

    return jax.lax.platform_dependent(h, cpu=product, default=lambda h: h)


class GroupNorm(nn.Module):
    """(h - mean) / sqrt(var + 1e-6) over the pixels and channels of a group, then a learned scale and shift.

    Sums run over the pixels first, then over the channels of the group. On a CPU this takes a quarter of the time of
    one reduction over [H, W, C/groups]; there the second sum is a product, of few operations to compile. The variance
    is E[h²] - mean², with an error of 1% if the mean of a group is a hundred times its standard deviation.
    """

    groups: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, h: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        scale = self.param("scale", nn.initializers.ones_init(), h.shape[-1:])
        shift = self.param("bias", ZEROS, h.shape[-1:])
        h32 = h.astype(jnp.float32)
        mean = _group_mean(h32.mean((1, 2)), self.groups)
        variance = jnp.maximum(_group_mean((h32 * h32).mean((1, 2)), self.groups) - mean * mean, 0.0)
        multiplier = scale[None, :] * jax.lax.rsqrt(variance + 1e-6)
        offset = shift[None, :] - mean * multiplier
        return (h32 * multiplier[:, None, None, :] + offset[:, None, None, :]).astype(self.dtype)


@partial(jax.jit, static_argnums=1, inline=True)  # traced once for all norms of one width: a U-Net has dozens
def _group_mean(per_channel: Float[Array, "b c"], groups: int) -> Float[Array, "b c"]:
    """Each channel's mean over the channels of its group."""
    batch, channels = per_channel.shape

    def reduced(per_channel):
        grouped = per_channel.reshape(batch, groups, -1).mean(-1)
        return jnp.repeat(grouped, channels // groups, axis=-1)

    def product(per_channel):
        group = jnp.arange(channels) * groups // channels
        same = (group[:, None] == group[None, :]).astype(jnp.float32)
        return jnp.matmul(per_channel, same / (channels // groups), precision="highest")

    return jax.lax.platform_dependent(per_channel, cpu=product, default=reduced)


class Dropout(nn.Module):
    """Sets each value to zero with probability `rate` and divides the others by 1 - rate.

    The mask is a hash of the key and the position. XLA computes it where it is applied; the bits of `nn.Dropout` take
    a sixth of the time of a small model's update on a CPU.
    """

    rate: float

    @nn.compact
    def __call__(self, h: Float[Array, "*shape"], *, train: bool) -> Float[Array, "*shape"]:
        if not train or self.rate == 0.0:
            return h
        dropped = hashed_bits(self.make_rng("dropout"), h.shape) < jnp.uint32(round(self.rate * 2**32))
        return jnp.where(dropped, 0.0, h / (1 - self.rate)).astype(h.dtype)


class ResBlock(nn.Module):
    """norm-swish-conv, conditioning, norm-swish-dropout-conv, added to a skip (a 1x1 convolution if widths differ).

    `conditioning="concat"` adds a linear map of the condition, without bias, after the first convolution. With "adagn"
    that map scales and shifts the output of the second norm. `zero_init` initialises the second convolution and the
    map with zeros.
    """

    channels: int
    groups: int
    dropout: float = 0.0
    conditioning: str = "concat"
    zero_init: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, h: Float[Array, "b h w c_in"], condition: Float[Array, "b d"] | None = None, *, train: bool = False
    ) -> Float[Array, "b h w c_out"]:
        out = nn.silu(GroupNorm(self.groups, self.dtype, name="norm1")(h))
        out = Conv(self.channels, (3, 3), dtype=self.dtype, name="conv1")(out)
        adaptive = self.conditioning == "adagn"
        init = scaled_fan_in(0.0 if self.zero_init else 1.0)
        if condition is not None:
            width = self.channels * (2 if adaptive else 1)
            projected = Dense(width, use_bias=False, kernel_init=init, dtype=self.dtype, name="condition")(condition)
            projected = projected[:, None, None, :]
        if condition is not None and not adaptive:
            out = out + projected
        out = GroupNorm(self.groups, self.dtype, name="norm2")(out)
        if condition is not None and adaptive:
            scale, shift = jnp.split(projected, 2, axis=-1)
            out = out * (1 + scale) + shift
        out = Dropout(self.dropout)(nn.silu(out), train=train)
        out = Conv(self.channels, (3, 3), kernel_init=init, dtype=self.dtype, name="conv2")(out)
        if h.shape[-1] != self.channels:
            h = Conv(self.channels, (1, 1), dtype=self.dtype, name="skip")(h)
        return h + out
