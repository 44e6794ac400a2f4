"""Mode coverage: does a model generate every kind of image as often as the data contain it?

A reader classifies the images. The counts are compared with the shares of the data by a chi-square test, and with the
counts of real images by the same reader, so that errors of the reader are not attributed to the model.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Integer

ENOUGH = 5.0  # fewest expected images in every cell for the chi-square distribution
SIMULATIONS = 4_000
SEED = 0


def histogram(
    labels: dict[str, Integer[np.ndarray, " n"]], names: Sequence[str], sizes: dict[str, int]
) -> Int[np.ndarray, " k"]:
    """The number of images with each combination of the labels `names`; the first name is the slowest index."""
    shape = tuple(sizes[name] for name in names)
    cells = np.ravel_multi_index(tuple(np.asarray(labels[name]) for name in names), shape)
    return np.bincount(cells, minlength=int(np.prod(shape)))


def mode_coverage(counts: Int[np.ndarray, " k"], shares: Float[np.ndarray, " k"]) -> dict[str, Any]:
    """The coverage of the modes of the data, with probabilities `shares`, by N generated images, `counts` of each mode.

    num_modes      modes of the data, shares > 0; images of other modes make chi-square and KL infinite
    num_hit        modes with an image; num_hit_expected: its mean for N images of the data, Σ 1 - (1 - p)^N
    chi_square     Σ (n - N p)²/(N p), with `degrees_of_freedom` and `p_value`, the probability that N images of the
                   data have at least this value: by the distribution, or by simulation if cells are small
                   (`p_value_by`)
    kl_nats        KL(generated || data) of the two histograms; kl_expected_nats: its mean for N images of the data
    """
    num_images, real = int(counts.sum()), shares > 0
    found: dict[str, Any] = {
        "num_images": num_images,
        "num_modes": int(real.sum()),
        "num_hit": int((counts[real] > 0).sum()),
        "num_hit_expected": float((-np.expm1(num_images * np.log1p(-np.minimum(shares[real], 1 - 1e-12)))).sum()),
        "degrees_of_freedom": int(real.sum()) - 1,
    }
    if num_images == 0:
        return found | dict.fromkeys(("chi_square", "p_value", "p_value_by", "kl_nats", "kl_expected_nats"))
    expected = num_images * shares[real]
    outside = counts[~real].sum() > 0
    chi_square = np.inf if outside else float(((counts[real] - expected) ** 2 / expected).sum())
    p_value, by = _p_value(chi_square, shares[real], num_images, found["degrees_of_freedom"])
    hit = counts > 0
    observed = counts[hit] / num_images
    with np.errstate(divide="ignore"):
        kl = float(np.sum(observed * (np.log(observed) - np.log(shares[hit]))))
    tested = {"chi_square": chi_square, "p_value": p_value, "p_value_by": by}
    return found | tested | {"kl_nats": max(kl, 0.0), "kl_expected_nats": _expected_kl(shares[real], num_images)}


def _expected_kl(shares: Float[np.ndarray, " k"], num_images: int) -> float:
    """Σ_k E[n/N log(n/(N p_k))] with n ~ Binomial(N, p_k); about (K - 1)/2N for many images, far less for few."""
    from scipy.stats import binom

    n, total = np.arange(1, num_images + 1), 0.0
    for share, how_many in zip(*np.unique(shares, return_counts=True), strict=True):
        part = n / num_images
        total += how_many * np.sum(binom.pmf(n, num_images, share) * part * np.log(part / share))
    return float(total)


def _p_value(chi_square: float, shares: Float[np.ndarray, " k"], num_images: int, degrees: int) -> tuple[float, str]:
    if degrees == 0:
        return 1.0, "there is one mode"
    if num_images * shares.min() >= ENOUGH:
        from scipy.stats import chi2

        return float(chi2.sf(chi_square, degrees)), "chi-square distribution"
    expected = num_images * shares
    draws = np.random.default_rng(SEED).multinomial(num_images, shares / shares.sum(), size=SIMULATIONS)
    simulated = ((draws - expected) ** 2 / expected).sum(1)
    return _rank(chi_square, simulated), "simulation"


def same_source(counts: Int[np.ndarray, " k"], reference: Int[np.ndarray, " k"]) -> dict[str, Any]:
    """Tests whether two sets of images, counted by the same reader, have one distribution: `p_value`, `p_value_by`.

    Errors of the reader affect both sets equally, so the test is valid for any error rate. It is the chi-square test of
    homogeneity; if cells are small, the p-value comes from shuffling the images among the sets.
    """
    kept = counts + reference > 0
    counts, reference = counts[kept], reference[kept]
    n, m = int(counts.sum()), int(reference.sum())
    if n == 0 or m == 0:
        return {"p_value": None, "p_value_by": None}
    pooled = counts + reference
    expected = pooled * n / (n + m)

    def statistic(counts):  # both rows of the table: their deviations are opposite
        return ((counts - expected) ** 2 / expected).sum(-1) * (n + m) / m

    if len(pooled) == 1:
        return {"p_value": 1.0, "p_value_by": "there is one mode"}
    if min(expected.min(), (pooled - expected).min()) >= ENOUGH:
        from scipy.stats import chi2

        return {"p_value": float(chi2.sf(statistic(counts), len(pooled) - 1)), "p_value_by": "chi-square distribution"}
    draws = np.random.default_rng(SEED).multivariate_hypergeometric(pooled, n, size=SIMULATIONS, method="marginals")
    return {"p_value": _rank(statistic(counts), statistic(draws)), "p_value_by": "simulation"}


def _rank(value: float, simulated: Float[np.ndarray, " s"]) -> float:
    """(1 + number of simulated values at least as large) / (1 + number of simulated values): valid for any number."""
    return float((1 + (simulated >= value * (1 - 1e-9)).sum()) / (1 + len(simulated)))
