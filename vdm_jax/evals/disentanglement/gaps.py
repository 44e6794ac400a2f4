"""Scores by the gap between the best and the second best dimension of each factor: MIG and SAP."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

from vdm_jax.evals.disentanglement.common import Coded, alive
from vdm_jax.evals.latent_space import jackknifed

CLASSIFIER_BINS = 40  # of SAP's classifier on one dimension


def mig(coded: Coded) -> dict[str, Any]:
    """The mutual information gap (Chen et al. 2018): mean over factors of (I of the best dimension - I of the second) /
    H(factor). A dimension is cut into as many equal bins as the factor has values. The error is jackknifed over images.
    """
    coded = alive(coded)
    sizes = [int(size) for size in coded.factors.max(axis=0) + 1]
    binned = {size: equal_bins(coded.codes, size) for size in set(sizes)}

    def score(rows: np.ndarray) -> float:
        gaps = []
        for k, size in enumerate(sizes):
            factor = coded.factors[rows, k]
            found = [mutual_information(column, factor, size) for column in binned[size][rows].T]
            gaps.append(gap(found) / entropy(np.bincount(factor)))
        return float(np.mean(gaps))

    return jackknifed(score, len(coded.codes))


def sap(coded: Coded) -> dict[str, Any]:
    """The separated attribute predictability (Kumar et al. 2018): mean over factors of the gap between the two best
    dimensions. A dimension's score is R² of a linear map for an ordered factor; for another factor the accuracy of a
    classifier on this dimension, corrected for chance: (accuracy - chance) / (1 - chance). The classifier takes the
    most frequent value of each of 40 bins, counted on a random half of the images and scored on the rest. The error is
    jackknifed over images.
    """
    coded = alive(coded)
    binned = equal_bins(coded.codes, CLASSIFIER_BINS)
    counted = np.random.default_rng(0).random(len(binned)) < 0.5  # the same for every group of the jackknife

    def score(rows: np.ndarray) -> float:
        gaps = []
        for k, ordered in enumerate(coded.ordered):
            factor = coded.factors[rows, k]
            if ordered:
                found = squared_correlations(coded.codes[rows], factor)
            else:
                found = [corrected_accuracy(column, factor, counted[rows]) for column in binned[rows].T]
            gaps.append(gap(list(found)))
        return float(np.mean(gaps))

    return jackknifed(score, len(coded.codes))


def gap(scores: list[float]) -> float:
    """The largest less the second largest, which is 0 where there is one."""
    best = sorted(scores)[::-1]
    return float(best[0] - (best[1] if len(best) > 1 else 0.0))


def equal_bins(codes: Float[np.ndarray, "n d"], num_bins: int) -> Int[np.ndarray, "n d"]:
    """The bin 0 … B-1 of each code among equal ones between the smallest and the largest of its dimension."""
    low, high = codes.min(axis=0), codes.max(axis=0)
    place = (codes - low) / np.maximum(high - low, 1e-300) * num_bins
    return np.clip(place.astype(int), 0, num_bins - 1)


def mutual_information(a: Integer[np.ndarray, " n"], b: Integer[np.ndarray, " n"], size: int) -> float:
    """I(a; b) of the empirical distribution, nats. a, b: 0 … size-1."""
    joint = np.bincount(a * size + b, minlength=size * size)
    return entropy(np.bincount(a)) + entropy(np.bincount(b)) - entropy(joint)


def entropy(counts: Integer[np.ndarray, " k"]) -> float:
    """The entropy of the frequencies, nats."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def squared_correlations(codes: Float[np.ndarray, "n d"], factor: Integer[np.ndarray, " n"]) -> np.ndarray:
    """R² of a linear map from each dimension to the factor, [D]."""
    x, y = codes - codes.mean(axis=0), factor - factor.mean()
    return (x * y[:, None]).sum(axis=0) ** 2 / np.maximum((x**2).sum(axis=0) * (y**2).sum(), 1e-300)


def corrected_accuracy(
    bins: Integer[np.ndarray, " n"], factor: Integer[np.ndarray, " n"], counted: Bool[np.ndarray, " n"]
) -> float:
    """The accuracy of the most frequent value in each bin, 0 for that of the most frequent value of all, 1 at best.

    counted: the images whose values are counted; the others are scored.
    """
    counts = np.zeros((CLASSIFIER_BINS, factor.max() + 1))
    np.add.at(counts, (bins[counted], factor[counted]), 1)
    counts += 1e-6 * np.bincount(factor[counted], minlength=counts.shape[1])  # empty bins: the most frequent value
    unseen = factor[~counted]
    accuracy = np.mean(counts.argmax(axis=1)[bins[~counted]] == unseen)
    chance = np.bincount(unseen).max() / len(unseen)
    return max(0.0, float((accuracy - chance) / max(1 - chance, 1e-12)))
