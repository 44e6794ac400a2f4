"""Real or generated without training by gradients: linear classifiers and trees of a few statistics of z_t.

Their accuracy on held-out rows is at most ½(1 + TV), where TV is the total variation distance between the two
distributions: 50% where they are equal (a classifier two-sample test, Lopez-Paz & Oquab 2017). A better classifier may
find more; an accuracy above 50% beyond its error always shows a difference.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vdm_jax.base.sklearn import import_sklearn, one_thread

ROUNDING = 1e-5  # deviation of noise added to the statistics, which hides differences of float32 rounding
RIDGE = 1e-6  # of standardised statistics, so that two equal ones do no harm
TREES = {"learning_rate": 0.05, "max_iter": 2_000, "max_leaf_nodes": 8, "early_stopping": True, "random_state": 0}
FEWEST_FOR_TREES = 120  # rows of each set; half of them are fitted to, in leaves of twenty

Rows = Float[np.ndarray, "_ k"]
Classifier = Callable[[Rows], Bool[np.ndarray, " _"]]  # which rows are generated


class Separation(NamedTuple):
    """The share of rows classified correctly as real or generated, and its standard error."""

    accuracy: float
    standard_error: float


def statistics(z: Float[Array, "q ..."]) -> Float[Array, "q k"]:
    """For each z the means of z, z², z³, z⁴ and of the product of neighbours along each axis: [Q, K]."""
    axes = tuple(range(1, z.ndim))
    found = [jnp.mean(z**power, axis=axes) for power in (1, 2, 3, 4)]
    for axis in axes:
        if z.shape[axis] > 1:
            one, next_one = (jnp.take(z, jnp.arange(i, z.shape[axis] - 1 + i), axis=axis) for i in (0, 1))
            found.append(jnp.mean(one * next_one, axis=axes))
    return jnp.stack(found, axis=1)


def best_accuracy_at_start(x: Float[np.ndarray, "q ..."], gamma: float) -> float:
    """E_x Φ(½ √SNR ||x||): the highest accuracy of any classifier of N(0, I) against data noised to `gamma`.

    For one x it is exact except that sigma² is not quite 1; the mixture of all data is closer to noise. No classifier
    exceeds it later on the chain of an exact model either, since no step increases the total variation.
    """
    norms = np.sqrt((np.asarray(x, np.float64).reshape(len(x), -1) ** 2).sum(axis=1))
    return float(np.mean([0.5 * (1 + math.erf(0.5 * math.exp(-gamma / 2) * norm / math.sqrt(2))) for norm in norms]))


def separate(real: Rows, generated: Rows) -> Separation:
    """The accuracy of Fisher's linear discriminant, fitted to half of the rows, on the other half; chance is ½."""
    return _on_the_other_half(real, generated, _discriminant)


def separate_by_trees(real: Rows, generated: Rows) -> Separation:
    """The same for gradient-boosted trees, which use tails and interactions of statistics.

    The number of trees is chosen on a tenth of their half. Fewer rows than `FEWEST_FOR_TREES` are too few. Raises
    `UserError` where scikit-learn is missing.
    """
    return _on_the_other_half(real, generated, _trees)


def _on_the_other_half(real: Rows, generated: Rows, fit: Callable[[Rows, Rows], Classifier]) -> Separation:
    """Fits to every other row and scores the others. Using both halves in turn would not halve the variance: the errors
    of the two classifiers are correlated.

    Non-finite rows are classified as generated and excluded from the fit.
    """
    random = np.random.RandomState(0)
    real, generated = (rows + ROUNDING * random.normal(size=rows.shape) for rows in (real, generated))
    halves = [rows[np.isfinite(rows).all(axis=1)] for rows in (real[::2], generated[::2])]
    of_finite = fit(*halves) if min(map(len, halves)) > 1 else None

    def is_generated(rows: Rows) -> Bool[np.ndarray, " _"]:
        found = ~np.isfinite(rows).all(axis=1)
        if of_finite is not None and not found.all():
            found[~found] = of_finite(rows[~found])
        return found

    right = np.concatenate([~is_generated(real[1::2]), is_generated(generated[1::2])])
    accuracy = float(right.mean())
    return Separation(accuracy, math.sqrt(accuracy * (1 - accuracy) / len(right)))


def _discriminant(real: Rows, generated: Rows) -> Classifier:
    within = np.concatenate([real - real.mean(0), generated - generated.mean(0)])
    scale = within.std(axis=0)
    between = (generated.mean(0) - real.mean(0)) / scale
    covariance = (within / scale).T @ (within / scale) / len(within) + RIDGE * np.eye(len(scale))
    direction = np.linalg.solve(covariance, between) / scale
    middle = direction @ (real.mean(0) + generated.mean(0)) / 2
    return lambda rows: rows @ direction > middle


def _trees(real: Rows, generated: Rows) -> Classifier:
    model = import_sklearn("ensemble", "classifying real and generated").HistGradientBoostingClassifier(**TREES)
    with one_thread():
        model.fit(np.concatenate([real, generated]), np.repeat([False, True], [len(real), len(generated)]))
    return model.predict
