"""Scores by the gap between the best and the second best dimension of each factor: MIG and SAP.

Both are functions of sums over images, such as counts. Sums of `GROUPS` random groups of images are made once, and the
errors are jackknifed: a score without a group is that of the total less the sums of this group.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Integer, Real

from vdm_jax.evals.disentanglement.common import Coded, alive
from vdm_jax.evals.latent_space import entry

CLASSIFIER_BINS = 40  # of SAP's classifier on one dimension
GROUPS = 10  # of the jackknife
TINY = 1e-300

Counts = Real[np.ndarray, "... d b k"]  # images of each dimension, bin and class
Groups = Integer[np.ndarray, " n"]


def mig(coded: Coded) -> dict[str, Any]:
    """The mutual information gap (Chen et al. 2018): mean over factors of (I of the best dimension - I of the second) /
    H(factor). A dimension is cut into as many equal bins as the factor has values. The error is jackknifed over images,
    with the bins of all; it is a little too small, because other images have other ends of the bins.
    """
    coded = alive(coded)
    groups, _ = group_images(len(coded.codes))
    sizes = [int(size) for size in coded.factors.max(axis=0) + 1]
    binned = {size: equal_bins(coded.codes, size) for size in set(sizes)}
    counts = [
        count_table(binned[size], factor, groups, GROUPS, size, size)
        for factor, size in zip(coded.factors.T, sizes, strict=True)
    ]

    def score(counts: list[np.ndarray]) -> float:
        gaps = [gap(mutual_information(table)) / entropy(table[0].sum(axis=0)) for table in counts]
        return float(np.mean(gaps))

    return _jackknifed(score, counts, len(groups))


def sap(coded: Coded) -> dict[str, Any]:
    """The separated attribute predictability (Kumar et al. 2018): mean over factors of the gap between the two best
    dimensions. A dimension's score is R² of a linear map for an ordered factor; for another factor the accuracy of a
    classifier on this dimension, corrected for chance: (accuracy - chance) / (1 - chance). The classifier takes the
    most frequent value of each of 40 bins, counted on a random half of the images and scored on the other, and the
    reverse. The error is jackknifed over images; it is a little too large where a bin holds few of them.
    """
    coded = alive(coded)
    groups, half = group_images(len(coded.codes))
    codes, binned = coded.codes - coded.codes.mean(axis=0), equal_bins(coded.codes, CLASSIFIER_BINS)
    sums = []
    for factor, ordered in zip(coded.factors.T, coded.ordered, strict=True):
        if ordered:
            sums.append(np.stack([moments(codes[groups == g], factor[groups == g]) for g in range(GROUPS)]))
            continue
        tables = count_table(binned, factor, groups + GROUPS * half, 2 * GROUPS, CLASSIFIER_BINS, int(factor.max()) + 1)
        sums.append(np.stack(np.split(tables, 2), axis=1))  # [groups, halves, D, B, K]

    def score(sums: list[np.ndarray]) -> float:
        gaps = []
        for part, ordered in zip(sums, coded.ordered, strict=True):
            if ordered:
                gaps.append(gap(squared_correlations(part)))
            else:
                gaps.append(gap((corrected_accuracy(part[0], part[1]) + corrected_accuracy(part[1], part[0])) / 2))
        return float(np.mean(gaps))

    return _jackknifed(score, sums, len(groups))


def _jackknifed(score: Callable[[list[np.ndarray]], float], sums: list[np.ndarray], number: int) -> dict[str, Any]:
    """The score of sums with a leading axis of groups, with its error; None for fewer than two images a group."""
    total = [part.sum(axis=0) for part in sums]
    value = score(total)
    if number < 2 * GROUPS:
        return entry(value, None, number)
    each = [score([all_of - part[g] for all_of, part in zip(total, sums, strict=True)]) for g in range(GROUPS)]
    return entry(value, float(np.sqrt((GROUPS - 1) * np.var(each))), number)


def group_images(number: int) -> tuple[Groups, Groups]:
    """The group 0 … 9 and the half 0 or 1 of each image: of equal sizes, in random order, the same in every run."""
    # another generator than the one that may have shuffled the images, which would put them back in order
    place = np.random.default_rng(0).permutation(number)
    return place % GROUPS, place // GROUPS % 2


def gap(scores: Float[np.ndarray, " d"]) -> float:
    """The largest less the second largest, which is 0 where there is one."""
    best = np.sort(scores)[::-1]
    return float(best[0] - (best[1] if len(best) > 1 else 0.0))


def equal_bins(codes: Float[np.ndarray, "n d"], num_bins: int) -> Int[np.ndarray, "n d"]:
    """The bin 0 … B-1 of each code among equal ones between the smallest and the largest of its dimension."""
    low, high = codes.min(axis=0), codes.max(axis=0)
    place = (codes - low) / np.maximum(high - low, TINY) * num_bins
    return np.clip(place.astype(int), 0, num_bins - 1)


def count_table(
    bins: Int[np.ndarray, "n d"],
    factor: Integer[np.ndarray, " n"],
    groups: Groups,
    num_groups: int,
    num_bins: int,
    num_classes: int,
) -> Counts:
    """The number of images of each group, dimension, bin and class, [G, D, B, K], from one count over all."""
    dims = bins.shape[1]
    place = ((groups[:, None] * dims + np.arange(dims)) * num_bins + bins) * num_classes + factor[:, None]
    counts = np.bincount(place.ravel(), minlength=num_groups * dims * num_bins * num_classes)
    return counts.reshape(num_groups, dims, num_bins, num_classes)


def mutual_information(joint: Counts) -> Float[np.ndarray, "... d"]:
    """I(bin; class) of the frequencies [..., D, B, K], nats."""
    return entropy(joint.sum(-1)) + entropy(joint.sum(-2)) - entropy(joint.reshape(*joint.shape[:-2], -1))


def entropy(counts: Real[np.ndarray, "... k"]) -> Float[np.ndarray, "..."]:
    """The entropy of the frequencies along the last axis, nats."""
    p = counts / np.maximum(counts.sum(-1, keepdims=True), 1)
    return np.asarray(-(p * np.log(np.maximum(p, TINY))).sum(-1))


def moments(codes: Float[np.ndarray, "n d"], factor: Integer[np.ndarray, " n"]) -> Float[np.ndarray, "6 d"]:
    """Sums over images of 1, x, x², y, y² and x y, x a code and y the factor; centred codes do not cancel."""
    y = np.broadcast_to(factor[:, None].astype(np.float64), codes.shape)
    return np.stack([part.sum(axis=0) for part in (np.ones_like(codes), codes, codes**2, y, y**2, codes * y)])


def squared_correlations(sums: Float[np.ndarray, "6 d"]) -> Float[np.ndarray, " d"]:
    """R² of a linear map from each dimension to the factor, from `moments`; 0 for a dimension that does not vary."""
    number, x, xx, y, yy, xy = sums
    variances = np.maximum(xx - x**2 / number, 0) * np.maximum(yy - y**2 / number, 0)
    return (xy - x * y / number) ** 2 / np.maximum(variances, TINY)


def corrected_accuracy(train: Counts, test: Counts) -> Float[np.ndarray, "... d"]:
    """The accuracy of the most frequent class of each bin, 0 for that of the most frequent class of all, 1 at best.

    train, test: [..., D, B, K]. An empty bin is given the most frequent class. Worse than chance counts as chance.
    """
    frequent = train.sum(-2, keepdims=True) / np.maximum(train.sum((-2, -1), keepdims=True), 1)
    guess = (train + 1e-6 * frequent).argmax(-1)
    number = np.maximum(test.sum((-2, -1)), 1)
    accuracy = np.take_along_axis(test, guess[..., None], axis=-1).sum((-2, -1)) / number
    chance = test.sum(-2).max(-1) / number
    return np.maximum(0, (accuracy - chance) / np.maximum(1 - chance, 1e-12))
