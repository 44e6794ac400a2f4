"""How close n noised copies of one image are to noise: the mean of |Cov - I|, its expectation and its floor.

z_i = alpha x + sigma eps_i, i = 1 … n, for one image x of d values. The covariance has two readings. With images as
variables it is [n, n] over d observations; its off-diagonals have the mean abar Var(x). With pixels as variables it is
[d, d] over n observations; its population value is (1 - abar) I whatever the image. Either metric ends on a floor that
depends on the number of observations alone. Without the absolute value there is no floor: `signed`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from vdm_jax.base.errors import UserError

BLOCK = 2**22  # entries of a covariance of pixels that are held at once


class Closeness(NamedTuple):
    """The metric of n noised copies of an image of d values.

    Attributes:
        images: mean |Cov - I| with images as variables, [n, n].
        pixels: mean |Cov - I| with pixels as variables, [d, d].
        signed: mean off-diagonal with images as variables; its expectation is abar Var(x), at noise 0.
    """

    images: float
    pixels: float
    signed: float


def closeness(z: Float[np.ndarray, "n d"], *, of_pixels: bool = True) -> Closeness:
    """The metrics of n copies [n, d]; covariances divide by the number of observations less 1. Memory: a few copies of
    z and `BLOCK` values. of_pixels: False leaves out the d² covariances of pixels, nan.

    Raises `UserError` for fewer than two copies or values.
    """
    n, d = z.shape
    if min(n, d) < 2:
        raise UserError(f"copies of shape {[n, d]}; closeness to noise takes at least two copies of two values")
    z = z.astype(np.float64)
    rows = z - z.mean(1, keepdims=True)
    of_images = rows @ rows.T / (d - 1)
    signed = (of_images.sum() - np.trace(of_images)) / (n * (n - 1))
    pixels = _of_pixels(z - z.mean(0)) if of_pixels else float("nan")
    return Closeness(float(np.abs(of_images - np.eye(n)).mean()), pixels, float(signed))


def _of_pixels(columns: Float[np.ndarray, "n d"]) -> float:
    """Mean |Cov - I| of pixels as variables, in blocks of rows of the covariance."""
    n, d = columns.shape
    total, size = 0.0, max(1, BLOCK // d)
    for first in range(0, d, size):
        block = columns[:, first : first + size].T @ columns / (n - 1)
        own = np.arange(len(block))
        block[own, first + own] -= 1
        total += float(np.abs(block).sum())
    return total / d**2


def floor_of_images(n: int, d: int) -> float:
    """The expected metric of pure noise with images as variables: √(2/(π (d - 1))) off the diagonal, √2 times that on
    it."""
    return (n - 1 + np.sqrt(2)) / n * float(np.sqrt(2 / (np.pi * (d - 1))))


def floor_of_pixels(n: int, d: int) -> float:
    """The expected metric of pure noise with pixels as variables: √(2/(π (n - 1))) off the diagonal."""
    return (d - 1 + np.sqrt(2)) / d * float(np.sqrt(2 / (np.pi * (n - 1))))


def expected_of_images(abar: Float[np.ndarray, " m"], variance: float, n: int, d: int) -> Float[np.ndarray, " m"]:
    """The expected metric with images as variables, for an image with that variance over its d values.

    An off-diagonal is close to normal, with mean abar Var(x) and variance
    (2 abar (1 - abar) Var(x) + (1 - abar)²)/(d - 1). A diagonal has mean abar Var(x) + 1 - abar and variance
    (4 abar (1 - abar) Var(x) + 2 (1 - abar)²)/(d - 1).
    """
    signal, noise = abar * variance, 1 - abar
    off = mean_absolute(signal, np.sqrt((2 * signal * noise + noise**2) / (d - 1)))
    on = mean_absolute(signal - abar, np.sqrt((4 * signal * noise + 2 * noise**2) / (d - 1)))
    return ((n - 1) * off + on) / n


def expected_of_pixels(abar: Float[np.ndarray, " m"], n: int, d: int) -> Float[np.ndarray, " m"]:
    """The expected metric with pixels as variables, whatever the image: off-diagonals (1 - abar) √(2/(π (n - 1))),
    diagonals of mean 1 - abar and variance 2 (1 - abar)²/(n - 1)."""
    noise = 1 - abar
    off = mean_absolute(0 * noise, noise / np.sqrt(n - 1))
    on = mean_absolute(noise - 1, noise * np.sqrt(2 / (n - 1)))
    return ((d - 1) * off + on) / d


def mean_absolute(mean: Float[np.ndarray, " m"], deviation: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """E|X| of X ~ N(mean, deviation²): deviation √(2/π) exp(-r²/2) + |mean| erf(r/√2), r = |mean|/deviation."""
    from scipy.special import erf

    ratio = np.minimum(np.abs(mean) / np.maximum(deviation, 1e-100), 40.0)  # beyond, E|X| = |mean|
    return deviation * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + np.abs(mean) * erf(ratio / np.sqrt(2))


def first_at_floor(metric: Float[np.ndarray, " m"], floor: float, tolerance: float) -> int | None:
    """The first index from which on the metric stays within `tolerance` (a share) of the floor; None: never."""
    away = np.flatnonzero(np.abs(np.asarray(metric) - floor) > tolerance * floor)
    first = int(away[-1]) + 1 if len(away) else 0
    return first if first < len(metric) else None
