"""Real or generated, without any training by gradients: a linear classifier of a few statistics of z_t.

Its accuracy on what it was not fitted to is at most ½(1 + TV), TV the total variation distance of the two sets'
distributions: 50% where they are the same (a classifier two-sample test, Lopez-Paz & Oquab 2017). A better classifier
may see more; one of these that is above 50% is never wrong about it.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

ROUNDING = 1e-5  # statistics that differ by less are the same but for float32: drowned in noise of that deviation
RIDGE = 1e-6  # of standardised statistics, so that two that always agree do no harm


class Told(NamedTuple):
    """How often real and generated were told apart, and its standard error."""

    accuracy: float
    standard_error: float


def statistics(z: Float[Array, "q ..."]) -> Float[Array, "q k"]:
    """Of each z: the means of z, z², z³, z⁴ and of the product of neighbours along each axis. -> [Q, K]."""
    axes = tuple(range(1, z.ndim))
    found = [jnp.mean(z**power, axis=axes) for power in (1, 2, 3, 4)]
    for axis in axes:
        if z.shape[axis] > 1:
            one, next_one = (jnp.take(z, jnp.arange(i, z.shape[axis] - 1 + i), axis=axis) for i in (0, 1))
            found.append(jnp.mean(one * next_one, axis=axes))
    return jnp.stack(found, axis=1)


def start_told_apart(x: Float[np.ndarray, "q ..."], gamma: float) -> float:
    """What no classifier can beat where chains start from N(0, I) and data are noised to `gamma`: E_x Φ(½ √SNR ||x||).

    Of one x against noise it is exact, but for sigma² not being 1; all data together are closer. Nor does any
    classifier beat it later on an exact model's chain: no step adds to the total variation.
    """
    norms = np.sqrt((np.asarray(x, np.float64).reshape(len(x), -1) ** 2).sum(axis=1))
    return float(np.mean([0.5 * (1 + math.erf(0.5 * math.exp(-gamma / 2) * norm / math.sqrt(2))) for norm in norms]))


def tell_apart(real: Float[np.ndarray, "n k"], generated: Float[np.ndarray, "n k"]) -> Told:
    """The accuracy of Fisher's linear discriminant of the one half of the rows on the other; chance is ½.

    Asking both halves by turns would look twice as exact, and is not: their two classifiers err together.
    """
    random = np.random.RandomState(0)
    real, generated = (rows + ROUNDING * random.normal(size=rows.shape) for rows in (real, generated))
    direction, middle = _discriminant(real[::2], generated[::2])
    right = np.concatenate([real[1::2] @ direction <= middle, generated[1::2] @ direction > middle])
    accuracy = float(right.mean())
    return Told(accuracy, math.sqrt(accuracy * (1 - accuracy) / len(right)))


def _discriminant(real: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, float]:
    """(w, b): `generated` where row @ w > b."""
    within = np.concatenate([real - real.mean(0), generated - generated.mean(0)])
    scale = within.std(axis=0)
    between = (generated.mean(0) - real.mean(0)) / scale
    covariance = (within / scale).T @ (within / scale) / len(within) + RIDGE * np.eye(len(scale))
    direction = np.linalg.solve(covariance, between) / scale
    return direction, float(direction @ (real.mean(0) + generated.mean(0)) / 2)
