"""Scores by draws in which one factor is fixed: Z-diff (Higgins et al. 2017) and FactorVAE (Kim & Mnih 2018)."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vdm_jax.base.sklearn import import_sklearn, one_thread
from vdm_jax.evals.disentanglement.common import Coded, Codes, ImagePool, alive, over_seeds

PAIRS = 64  # of images a point of Z-diff; images a vote of FactorVAE
POINTS = (800, 400)  # that the classifier is fitted to, and that it is scored on
SEEDS = 3


def z_diff(coded: Coded, num_seeds: int = SEEDS) -> dict[str, Any]:
    """The accuracy of a linear classifier of the factor that pairs of images have in common.

    A point is the mean of |u - u'| over 64 pairs with one value of a random factor; codes are scaled to unit variance.
    Chance is 1/F. The error is over seeds of the draws.
    """
    coded = alive(coded)
    codes = coded.codes / np.maximum(coded.codes.std(axis=0), 1e-12)
    pool, scores = ImagePool(coded.factors), []
    for seed in range(num_seeds):
        random = np.random.RandomState(seed)
        factor = random.randint(0, pool.num_factors, sum(POINTS))
        if pool.num_factors == 1:  # nothing to choose
            scores.append(1.0)
            continue
        points = difference_points(codes, pool.draw_fixed(random, factor, 2 * PAIRS))
        model = import_sklearn("linear_model", "Z-diff").LogisticRegression(max_iter=300, C=10.0)
        with one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(points[: POINTS[0]], factor[: POINTS[0]])
        scores.append(float(np.mean(model.predict(points[POINTS[0] :]) == factor[POINTS[0] :])))
    return over_seeds(scores, POINTS[1])


def difference_points(codes: Codes, index: Int[np.ndarray, "p s"]) -> Float[np.ndarray, "p d"]:
    """The mean of |u - u'| over pairs of neighbouring columns of the index."""
    return np.stack([np.abs(codes[row[::2]] - codes[row[1::2]]).mean(axis=0) for row in index])


def factor_vae(coded: Coded, num_seeds: int = SEEDS) -> dict[str, Any]:
    """The accuracy of a majority vote: which factor is fixed, by the dimension whose variance shrinks most.

    A vote is the dimension with the smallest variance over 64 images with one value of a random factor, relative to its
    variance over all images. Dimensions without variance do not vote. The error is over seeds of the draws.
    """
    coded = alive(coded)
    variance = np.maximum(coded.codes.var(axis=0), 1e-300)
    pool, scores = ImagePool(coded.factors), []
    for seed in range(num_seeds):
        random = np.random.RandomState(seed)
        factor = random.randint(0, pool.num_factors, sum(POINTS))
        drawn = pool.draw_fixed(random, factor, PAIRS)
        vote = np.array([(coded.codes[row].var(axis=0) / variance).argmin() for row in drawn])
        counts = np.zeros((coded.codes.shape[1], pool.num_factors))
        np.add.at(counts, (vote[: POINTS[0]], factor[: POINTS[0]]), 1)
        predicted = counts.argmax(axis=1)[vote[POINTS[0] :]]
        scores.append(float(np.mean(predicted == factor[POINTS[0] :])))
    return over_seeds(scores, POINTS[1])
