"""Scores by draws in which one factor is fixed: Z-diff (Higgins et al. 2017) and FactorVAE (Kim & Mnih 2018)."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vdm_jax.base.sklearn import import_sklearn, one_thread
from vdm_jax.evals.disentanglement.common import Coded, Codes, ImagePool, alive, over_seeds

PAIRS = 64  # of images a point of Z-diff; images a vote of FactorVAE
# that the classifier is fitted to, and that it is scored on. With 256 dimensions 800 are 0.05 to 0.09 below 10,000
POINTS = (5_000, 2_500)
SEEDS = 3
NUMBERS = 1 << 22  # gathered at a time: what stays in cache


def z_diff(coded: Coded, num_seeds: int = SEEDS) -> dict[str, Any]:
    """The accuracy of a linear classifier of the factor that pairs of images have in common.

    A point is the mean of |u - u'| over 64 pairs with a random factor in common, each pair with a value of its own;
    codes are scaled to unit variance. Chance is 1/F, thus 1 where one factor varies. The error is over seeds of the
    draws.
    """
    coded = alive(coded)
    if len(coded.names) == 1:  # a classifier needs two classes
        return over_seeds([1.0] * num_seeds, POINTS[1])
    codes = (coded.codes / np.maximum(coded.codes.std(axis=0), 1e-300)).astype(np.float32)
    pool, scores = ImagePool(coded.factors), []
    for seed in range(num_seeds):
        random = np.random.RandomState(seed)
        factor = random.randint(0, pool.num_factors, sum(POINTS))
        pairs = pool.draw_fixed(random, np.repeat(factor, PAIRS), 2)
        points = difference_points(codes, pairs.reshape(len(factor), 2 * PAIRS))
        model = import_sklearn("linear_model", "Z-diff").LogisticRegression(max_iter=300, C=10.0)
        with one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(points[: POINTS[0]], factor[: POINTS[0]])
        scores.append(float(np.mean(model.predict(points[POINTS[0] :]) == factor[POINTS[0] :])))
    return over_seeds(scores, POINTS[1])


def difference_points(codes: Codes, index: Int[np.ndarray, "p s"]) -> Float[np.ndarray, "p d"]:
    """The mean of |u - u'| over pairs of neighbouring columns of the index."""
    parts = [np.abs(codes[rows[:, ::2]] - codes[rows[:, 1::2]]).mean(axis=1) for rows in _parts(index, codes)]
    return np.concatenate(parts)


def least_variances(codes: Codes, index: Int[np.ndarray, "p s"]) -> Int[np.ndarray, " p"]:
    """The dimension whose variance over the images of a row of the index is the smallest part of that over all."""
    scaled = (codes / np.maximum(codes.std(axis=0), 1e-300)).astype(np.float32)
    return np.concatenate([scaled[rows].var(axis=1).argmin(axis=1) for rows in _parts(index, codes)])


def _parts(index: Int[np.ndarray, "p s"], codes: Codes) -> list[Int[np.ndarray, "_ s"]]:
    per_row = index.shape[1] * codes.shape[1]
    return np.array_split(index, max(1, -(-len(index) * per_row // NUMBERS)))


def factor_vae(coded: Coded, num_seeds: int = SEEDS) -> dict[str, Any]:
    """The accuracy of a majority vote: which factor is fixed, by the dimension whose variance shrinks most.

    A vote is the dimension with the smallest variance over 64 images with one value of a random factor, relative to its
    variance over all images. Dimensions without variance do not vote. The error is over seeds of the draws.
    """
    coded = alive(coded)
    pool, scores = ImagePool(coded.factors), []
    for seed in range(num_seeds):
        random = np.random.RandomState(seed)
        factor = random.randint(0, pool.num_factors, sum(POINTS))
        drawn = pool.draw_fixed(random, factor, PAIRS)
        vote = least_variances(coded.codes, drawn)
        counts = np.zeros((coded.codes.shape[1], pool.num_factors))
        np.add.at(counts, (vote[: POINTS[0]], factor[: POINTS[0]]), 1)
        predicted = counts.argmax(axis=1)[vote[POINTS[0] :]]
        scores.append(float(np.mean(predicted == factor[POINTS[0] :])))
    return over_seeds(scores, POINTS[1])
