"""Real or generated, without any training by gradients: classifiers of a few statistics of z_t, linear ones and trees.

Their accuracy on what they were not fitted to is at most ½(1 + TV), TV the total variation distance of the two sets'
distributions: 50% where they are the same (a classifier two-sample test, Lopez-Paz & Oquab 2017). A better classifier
may see more; one of these that is above 50% is never wrong about it.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vdm_jax.base.sklearn import import_sklearn, one_thread

ROUNDING = 1e-5  # statistics that differ by less are the same but for float32: drowned in noise of that deviation
RIDGE = 1e-6  # of standardised statistics, so that two that always agree do no harm
TREES = {"learning_rate": 0.05, "max_iter": 2_000, "max_leaf_nodes": 8, "early_stopping": True, "random_state": 0}
FEWEST_FOR_TREES = 120  # rows of each set: half of them to be fitted to, in leaves of twenty

Rows = Float[np.ndarray, "_ k"]
Classifier = Callable[[Rows], Bool[np.ndarray, " _"]]  # which rows are generated


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


def tell_apart(real: Rows, generated: Rows) -> Told:
    """The accuracy of Fisher's linear discriminant of the one half of the rows on the other; chance is ½."""
    return _on_the_other_half(real, generated, _discriminant)


def tell_apart_by_trees(real: Rows, generated: Rows) -> Told:
    """The same of gradient-boosted trees, which see what lies in tails and in several statistics together; as many
    trees as a tenth of their half bears out. Of rows fewer than `FEWEST_FOR_TREES` they say nothing. Raises `UserError`
    where scikit-learn is missing."""
    return _on_the_other_half(real, generated, _trees)


def _on_the_other_half(real: Rows, generated: Rows, fit: Callable[[Rows, Rows], Classifier]) -> Told:
    """Asking both halves by turns would look twice as exact, and is not: their two classifiers err together.

    What is not finite no data are: it is taken for generated, and none of it is fitted to."""
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
    return Told(accuracy, math.sqrt(accuracy * (1 - accuracy) / len(right)))


def _discriminant(real: Rows, generated: Rows) -> Classifier:
    within = np.concatenate([real - real.mean(0), generated - generated.mean(0)])
    scale = within.std(axis=0)
    between = (generated.mean(0) - real.mean(0)) / scale
    covariance = (within / scale).T @ (within / scale) / len(within) + RIDGE * np.eye(len(scale))
    direction = np.linalg.solve(covariance, between) / scale
    middle = direction @ (real.mean(0) + generated.mean(0)) / 2
    return lambda rows: rows @ direction > middle


def _trees(real: Rows, generated: Rows) -> Classifier:
    model = import_sklearn("ensemble", "telling real from generated").HistGradientBoostingClassifier(**TREES)
    with one_thread():
        model.fit(np.concatenate([real, generated]), np.repeat([False, True], [len(real), len(generated)]))
    return model.predict
