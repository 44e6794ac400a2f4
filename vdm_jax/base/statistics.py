"""Statistics of comparisons: means with standard errors, paired differences and their t intervals.

Settings that share images, noise and batches are compared by paired differences: seed by seed, or image by image. The
result names what varies, because an error over images says nothing about another seed.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Real

Over = Literal["seeds", "images", "evaluation draws"]
FEWEST = {"seeds": 3, "images": 2, "evaluation draws": 2}  # values that an interval takes


class Estimate(NamedTuple):
    """A mean over independent values.

    Attributes:
        mean: [...], in the unit of the values.
        error: [...], its standard error; NaN where n is 1.
        n: number of values.
        over: what varies between the values.
    """

    mean: Real[np.ndarray, "..."]
    error: Real[np.ndarray, "..."]
    n: int
    over: Over


class Difference(NamedTuple):
    """The mean of paired differences.

    Attributes:
        mean: [...], in the unit of the values.
        error: [...], its standard error; NaN where n is 1.
        n: number of pairs.
        over: what varies between the pairs.
        degrees_of_freedom: of the t distribution, n - 1.
        interval: (low [...], high [...]), or None where there are too few pairs.
        reason: why there is no interval; empty where there is one.
    """

    mean: Real[np.ndarray, "..."]
    error: Real[np.ndarray, "..."]
    n: int
    over: Over
    degrees_of_freedom: int
    interval: tuple[Real[np.ndarray, "..."], Real[np.ndarray, "..."]] | None
    reason: str


def mean_and_error(values: Real[np.ndarray, "n ..."], over: Over) -> Estimate:
    """Mean and standard error s / √n over the first axis, s² with n - 1 degrees of freedom.

    Raises:
        ValueError: there is no value.
    """
    n = len(values)
    if n == 0:
        raise ValueError("no values; a mean takes at least one")
    mean = np.asarray(values.mean(0))
    if n == 1:
        return Estimate(mean, np.full_like(mean, np.nan, np.float64), n, over)
    with np.errstate(invalid="ignore"):  # an infinite value has no error
        return Estimate(mean, np.asarray(values.std(0, ddof=1) / math.sqrt(n)), n, over)


def standard_error(values: Real[np.ndarray, " n"]) -> float | None:
    """The error of `mean_and_error` for a record; None of one value."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


def paired_difference(
    a: Real[np.ndarray, "n ..."], b: Real[np.ndarray, "_ ..."], over: Over, level: float = 0.95
) -> Difference:
    """The mean of a - b with a t interval; `a[i]` and `b[i]` are of one seed, one image or one evaluation draw.

    Args:
        a, b: values in the same order of pairs.
        over: what varies between the pairs.
        level: probability that the interval covers the true mean, for normal differences.

    Returns:
        The difference. Fewer than three seeds, or fewer than two other pairs, have no interval.

    Raises:
        ValueError: the shapes differ, there is no pair, or `level` is not between 0 and 1.
    """
    if a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape} differ; paired values have one shape")
    if not 0 < level < 1:
        raise ValueError(f"level={level}; expected a probability between 0 and 1")
    found = mean_and_error(a - b, over)
    degrees = found.n - 1
    if found.n < FEWEST[over]:
        reason = f"n = {found.n}; an interval over {over} takes at least {FEWEST[over]}"
        return Difference(*found, degrees, None, reason)
    half = t_quantile((1 + level) / 2, degrees) * found.error
    return Difference(*found, degrees, (found.mean - half, found.mean + half), "")


def t_quantile(probability: float, degrees_of_freedom: int) -> float:
    """The quantile of Student's t distribution: P(T <= quantile) = `probability`."""
    from scipy.special import stdtrit  # jax depends on scipy

    return float(stdtrit(degrees_of_freedom, probability))
