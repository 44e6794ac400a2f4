"""Whether the values of noised data are normally distributed: tests of single components, corrected for their number.

A component is one value of z_t over the data and the noise. Three tests are made of each:

- `dagostino`: skewness and kurtosis are those of a normal distribution (D'Agostino & Pearson 1973);
- `energy`: the energy distance to the normal distribution of the sample's mean and variance (Székely & Rizzo 2005);
- `standard`: the energy distance to N(0, 1), from which chains start.

The statistics of the first two do not change where z is scaled or shifted. p-values are shares of normal samples of the
same size whose statistic is at least as large: the χ² distribution that stands for the first in textbooks makes
p-values of 1e-4 too small by a factor of two at 2,000 values, and it is the smallest ones that a correction is about.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from vdm_jax.base.keys import named_key

TAIL = 0.01  # share of the simulated statistics that the exponential tail of a null distribution is fitted to
VALUES_AT_ONCE = 2_000_000  # of simulated samples
MEAN_DISTANCE = 2 / math.sqrt(math.pi)  # E|Z - Z'| of N(0, 1)

Statistic = Callable[[Float[np.ndarray, "n d"]], Float[np.ndarray, " d"]]


def dagostino_statistic(z: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
    """K², the squared z-scores of skewness and kurtosis of each column. n >= 20."""
    from scipy.stats import normaltest

    return np.asarray(normaltest(z, axis=0).statistic)


def energy_statistic(z: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
    """`standard_statistic` of each column after its mean and deviation are taken out."""
    return standard_statistic((z - z.mean(axis=0)) / z.std(axis=0, ddof=1))


def standard_statistic(z: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
    """n times the energy distance 2 E|z - Z| - E|Z - Z'| - E|z - z'| between each column and N(0, 1).

    E|z - Z| = 2 φ(z) + z (2 Φ(z) - 1). The mean over all n² pairs of a sample is a sum over its sorted values.
    """
    from scipy.special import ndtr

    n = len(z)
    ordered = np.sort(z, axis=0)
    to_normal = 2 * np.exp(-0.5 * ordered**2) / math.sqrt(2 * math.pi) + ordered * (2 * ndtr(ordered) - 1)
    ranks = (2 * np.arange(1, n + 1) - 1 - n)[:, None]
    within = 2 / n**2 * (ranks * ordered).sum(axis=0)
    return n * (2 * to_normal.mean(axis=0) - MEAN_DISTANCE - within)


TESTS: dict[str, Statistic] = {
    "dagostino": dagostino_statistic,
    "energy": energy_statistic,
    "standard": standard_statistic,
}
DISTANCES = ("energy", "standard")  # tests whose statistic is a distance


class Null(NamedTuple):
    """A statistic of samples from N(0, 1): R simulated values in ascending order."""

    values: Float[np.ndarray, " r"]

    def p_values(self, statistics: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """(1 + number of values at least as large)/(R + 1); beyond the largest 1% of the values, an exponential tail.

        The tail has the mean excess of these 1%: without it no p-value is below 1/(R + 1), and none survives the
        correction for many tests. With 20,000 samples of 1,000 values it is right to about a factor of 2 down to 1e-5.
        """
        n = len(self.values)
        tail = max(1, round(TAIL * n))
        start = self.values[-tail - 1]
        excess = (self.values[-tail:] - start).mean()
        counted = (1 + n - np.searchsorted(self.values, statistics, side="left")) / (n + 1)
        beyond = tail / n * np.exp(-np.maximum(statistics - start, 0) / excess)
        return np.where(statistics > start, beyond, counted)


def simulate_nulls(key: Key[Array, ""], num_values: int, num_samples: int) -> dict[str, Null]:
    """The null distribution of each of `TESTS` from `num_samples` samples of `num_values` draws from N(0, 1)."""
    at_once = max(1, VALUES_AT_ONCE // num_values)
    found: dict[str, list[np.ndarray]] = {name: [] for name in TESTS}
    for start in range(0, num_samples, at_once):
        own = jax.random.fold_in(named_key(key, "null"), start)
        samples = jax.random.normal(own, (num_values, min(at_once, num_samples - start)))
        samples = np.asarray(samples, np.float64)
        for name, statistic in TESTS.items():
            found[name].append(statistic(samples))
    return {name: Null(np.sort(np.concatenate(values))) for name, values in found.items()}


def holm(p: Float[np.ndarray, "*shape"], level: float) -> Bool[np.ndarray, "*shape"]:
    """Which hypotheses are rejected: the chance of any false rejection is at most `level`, however tests depend on
    each other (Holm 1979)."""
    ordered = np.sort(p, axis=None)
    accepted = np.flatnonzero(ordered > level / np.arange(p.size, 0, -1))
    return p < ordered[accepted[0]] if len(accepted) else np.ones(p.shape, bool)


def benjamini_hochberg(p: Float[np.ndarray, "*shape"], level: float) -> Bool[np.ndarray, "*shape"]:
    """Which hypotheses are rejected: the expected share of false ones among them is at most `level`, for tests that
    are independent or depend positively on each other (Benjamini & Hochberg 1995)."""
    ordered = np.sort(p, axis=None)
    passed = np.flatnonzero(ordered <= level * np.arange(1, p.size + 1) / p.size)
    return p <= ordered[passed[-1]] if len(passed) else np.zeros(p.shape, bool)


CORRECTIONS = {"holm": holm, "benjamini_hochberg": benjamini_hochberg}


class Tested(NamedTuple):
    """One test of D components at M noise levels.

    p: p-values. rejected: after the correction over all D M of them. distance: how much larger the statistic is than
    that of normal samples on average, over the number of values. Of `DISTANCES` it estimates the energy distance, which
    does not grow with the sample.
    """

    p: Float[np.ndarray, "m d"]
    rejected: Bool[np.ndarray, "m d"]
    distance: Float[np.ndarray, "m d"]


def measure_components(
    samples: Callable[[int], Float[np.ndarray, "n d"]],
    num_levels: int,
    nulls: Mapping[str, Null],
    *,
    correction: str,
    level: float,
) -> dict[str, Tested]:
    """Each test of the components of `samples(i)`, the noised values at noise level i, float64.

    Args:
        samples: of level i, n values of each of D components.
        num_levels: M.
        nulls: of samples of n values, from `simulate_nulls`.
        correction: one of `CORRECTIONS`.
        level: of significance, after the correction.
    """
    statistics: dict[str, list[np.ndarray]] = {name: [] for name in nulls}
    n = 0
    for i in range(num_levels):
        z = samples(i)
        n = len(z)
        for name in nulls:
            statistics[name].append(TESTS[name](z))
    found = {}
    for name, null in nulls.items():
        values = np.stack(statistics[name])
        p = null.p_values(values)
        found[name] = Tested(p, CORRECTIONS[correction](p, level), (values - null.values.mean()) / n)
    return found


def varying(x: Float[np.ndarray, "n d"], least: float = 1e-12) -> Bool[np.ndarray, " d"]:
    """Which components differ between images: their variance is at least `least` times the largest."""
    variance = x.var(axis=0)
    return variance > least * variance.max(initial=0.0)
