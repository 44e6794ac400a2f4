"""Degradations D(x, t) of images, t in [0, 1]: D(x, 0) = x, and D(x, 1) has lost the most. All are deterministic.

A degradation is a function and a line in `DEGRADATIONS`. A function of the user is read by `user.py`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vdm_jax.base.errors import UserError, choose

Images = Float[Array, "b h w c"]
Times = Float[Array, " b"]
Degrade = Callable[[Images, Times], Images]
"""`degrade(x [B, H, W, C], t [B] in [0, 1]) -> [B, H, W, C]`"""

NARROW = 0.5  # pixels: the width of a blur grows evenly below this, and by equal factors beyond
SHIFT_SEED = 0


def blur(shape: tuple[int, int, int], *, sigma_max: float = 1.0) -> Degrade:
    """Heat diffusion with reflecting edges: each cosine of frequency ω is multiplied by exp(-σ² ω²/2).

    The width is σ(t) = σ_0 ((1 + σ_1/σ_0)^t - 1) pixels with σ_0 = 0.5 and σ_1 = `sigma_max` times the longer side. The
    mean of each channel stays. Two blurs compose: σ² adds.
    """
    rows, columns = _cosines(shape[0]), _cosines(shape[1])
    square = (np.pi * np.arange(shape[0]) / shape[0])[:, None] ** 2 + (np.pi * np.arange(shape[1]) / shape[1]) ** 2
    square, widest = jnp.asarray(square, jnp.float32), sigma_max * max(shape[:2])

    def degrade(x: Images, t: Times) -> Images:
        sigma = NARROW * jnp.expm1(t * np.log1p(widest / NARROW))
        lost = jnp.expm1(-0.5 * (sigma**2)[:, None, None, None] * square[None, :, :, None])  # 0 at t = 0, exactly
        cosines = jnp.einsum("kh,lw,bhwc->bklc", rows, columns, x)
        return x + jnp.einsum("kh,lw,bklc->bhwc", rows, columns, lost * cosines)

    return degrade


def pixelate(shape: tuple[int, int, int]) -> Degrade:
    """Means over blocks, each K times as large as those before, up to the largest squares that fit both sides, which of
    a square image is the whole of it; between two sizes of blocks the images are interpolated.

    The sizes are those of the prime factors of the common divisor of both sides. Raises `UserError` where it is 1.
    """
    sides = block_sides(*shape[:2])
    if len(sides) < 2:
        why = f"images of {shape[0]}x{shape[1]} have no blocks larger than a pixel that fit both sides"
        raise UserError(f"config.degradation.name='pixelate': {why}; expected another degradation, such as blur")

    def degrade(x: Images, t: Times) -> Images:
        levels = jnp.stack([_pooled(x, side) for side in sides])
        place = t * (len(sides) - 1)
        below = jnp.clip(jnp.floor(place).astype(jnp.int32), 0, max(len(sides) - 2, 0))
        above, each = jnp.minimum(below + 1, len(sides) - 1), jnp.arange(len(x))
        share = (place - below)[:, None, None, None]
        return levels[below, each] * (1 - share) + levels[above, each] * share

    return degrade


def fade(shape: tuple[int, int, int], *, mean: Float[np.ndarray, "h w c"]) -> Degrade:
    """(1 - t) x + t m, with the mean image m of the data: nothing is lost for t < 1, and everything at t = 1."""
    middle = jnp.asarray(mean, jnp.float32)[None]

    def degrade(x: Images, t: Times) -> Images:
        return x + t[:, None, None, None] * (middle - x)

    return degrade


def mask(shape: tuple[int, int, int], *, softness: float = 0.1) -> Degrade:
    """A disc of the value 0 that grows from the middle until it covers the image.

    softness: width of its edge, as a share of the distance from the middle to a corner.
    """
    across, down = (np.abs(np.arange(side) - (side - 1) / 2) for side in shape[:2])
    distance = np.hypot(across[:, None], down[None])
    radius = jnp.asarray(distance / max(distance.max(), 1e-9), jnp.float32)[None, :, :, None]

    def degrade(x: Images, t: Times) -> Images:
        hidden = jnp.clip((t[:, None, None, None] * (1 + softness) - radius) / softness, 0.0, 1.0)
        return x * (1 - hidden)

    return degrade


def shift(shape: tuple[int, int, int]) -> Degrade:
    """x + t e with one image e ~ N(0, I) for all x: nothing is lost, and improved sampling is exact whatever R says."""
    e = jax.random.normal(jax.random.key(SHIFT_SEED), (1, *shape))

    def degrade(x: Images, t: Times) -> Images:
        return x + t[:, None, None, None] * e

    return degrade


class DegradationKind(NamedTuple):
    """How a degradation is made of the shape of an image and of the settings that it takes."""

    make: Callable[..., Degrade]
    takes: tuple[str, ...]
    of_mean: bool = False  # whether it takes the mean image of the data


DEGRADATIONS = {
    "blur": DegradationKind(blur, ("sigma_max",)),
    "pixelate": DegradationKind(pixelate, ()),
    "fade": DegradationKind(fade, (), of_mean=True),
    "mask": DegradationKind(mask, ("softness",)),
    "shift": DegradationKind(shift, ()),
}


def make_degradation(name: str, shape: tuple[int, int, int], **settings: Any) -> Degrade:
    """The degradation `name` of `DEGRADATIONS` of images of `shape`.

    Raises `UserError` for another name, and for images that it does not change.
    """
    return choose("degradation.name", name, DEGRADATIONS).make(shape, **settings)


def block_sides(height: int, width: int) -> tuple[int, ...]:
    """1, and the products of the first prime factors of the common divisor of both sides: 1, 2, 4, 28 of 28 x 28."""
    sides, rest, factor = [1], int(np.gcd(height, width)), 2
    while rest > 1:
        if rest % factor:
            factor += 1
            continue
        sides.append(sides[-1] * factor)
        rest //= factor
    return tuple(sides)


def _pooled(x: Images, side: int) -> Images:
    """The mean of each block, at every pixel of it."""
    if side == 1:
        return x
    batch, height, width, channels = x.shape
    blocks = x.reshape(batch, height // side, side, width // side, side, channels)
    means = jnp.broadcast_to(blocks.mean((2, 4), keepdims=True), blocks.shape)
    return means.reshape(x.shape)


def _cosines(number: int) -> Float[np.ndarray, "n n"]:
    """The orthonormal discrete cosine transform (type II), frequencies in rows, float32."""
    k, place = np.arange(number)[:, None], np.arange(number)[None] + 0.5
    found = np.cos(np.pi * k * place / number) * np.sqrt(2 / number)
    found[0] /= np.sqrt(2)
    return found.astype(np.float32)
