"""The Fréchet distance as a function of the number of images N, and its limit for N to infinity."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from vdm_jax.base.statistics import standard_error
from vdm_jax.evals.frechet import distance_from

DIVISORS = (8, 4, 2, 1)  # of N
FITTED_SIZES = 3  # fewest sizes for three coefficients
NEGATIVE = "a negative limit: not distinguishable from 0"


def frechet_by_n(
    sets: Mapping[str, Float[np.ndarray, "_ f"]],
    reference: Float[np.ndarray, "m f"],
    *,
    progress: Callable[[range], Iterable[int]] = iter,
) -> dict[str, Any]:
    """The Fréchet distance of each of `sets` (features) to `reference` at N/8, N/4, N/2 and N images, and at 1/N = 0.

    N is the size of the smallest set. The M images of the reference are cut in proportion, since both sizes bias the
    distance, by about c (1/n + 1/m). The distance at N/8 is the mean over eight disjoint eighths, each compared with
    its own eighth of the reference, and so on: every size uses all images once. Noise of the images that enters
    linearly is then equal at all sizes and does not change the slope.

    `extrapolated` is the first coefficient of `fit`, (a, b, c) of a + b/n + c/n² with weights n. Chong & Forsyth 2020,
    arXiv:1911.07023, draw random subsets against a whole reference and fit a line. If n is only a few times the number
    F of features, a line is wrong by a tenth or two of the distance at N; below F a parabola is wrong too. Only sizes
    n, m > F enter the fit; with fewer than three there is no extrapolation, and `why` says so. The error of the
    extrapolation is that of the smallest size in the fit, over its disjoint sets. On Gaussians it is about right for
    three sizes and too large for four.

    The fit removes the effect of N, not the noise of the N images. With F = 16 features, N = M = 1,600 and Gaussians
    at a distance of 2.08, the distance at N is 6.5% too large and the limit right within 0.5% ± 0.3%, means of 200
    draws; a single draw of either has a standard deviation of 4.7%, the same for a line and for a parabola. The limit
    of equal distributions is as often negative as positive; `note` says of a negative one that it stands for 0.

    Returns:
        A JSON object: `num_images`, `num_reference`, `num_sets` and `fitted` by size; `curves`: name -> `distance`,
        `standard_error` (None for a single set) by size, `fit`, `extrapolated`, `extrapolated_standard_error`,
        `note`; `why`.
    """
    num_images, num_features = min(map(len, sets.values())), reference.shape[1]
    divisors = [d for d in DIVISORS if min(num_images, len(reference)) // d >= 2]
    parts = [(d, i) for d in divisors for i in range(d)]
    found: dict[str, dict[int, list[float]]] = {name: {d: [] for d in divisors} for name in sets}
    for k in progress(range(len(parts))):
        d, i = parts[k]
        distance = distance_from(_part(reference, len(reference), d, i))
        for name, features in sets.items():
            found[name][d].append(distance(_part(features, num_images, d, i)))
    sizes, reference_sizes = ([total // d for d in divisors] for total in (num_images, len(reference)))
    fitted = [min(pair) > num_features for pair in zip(sizes, reference_sizes, strict=True)]
    fitted = fitted if sum(fitted) >= FITTED_SIZES else [False] * len(sizes)
    curves = {name: _curve(list(distances.values()), sizes, fitted) for name, distances in found.items()}
    enough = DIVISORS[-FITTED_SIZES] * (num_features + 1)
    why = f"{num_features} features need {enough} images of either kind, at least"
    return {
        "num_images": sizes,
        "num_reference": reference_sizes,
        "num_sets": divisors,
        "fitted": fitted,
        "curves": curves,
        "why": None if any(fitted) else why,
    }


def fit_by_n(num_images: Sequence[int], distances: Sequence[float]) -> list[float]:
    """(a, b, c) of `a + b/n + c/n²` by least squares with weights n. It needs at least three sizes."""
    n = np.asarray(num_images, np.float64)
    return np.polynomial.polynomial.polyfit(1 / n, distances, 2, w=np.sqrt(n)).tolist()


def _part(features: Float[np.ndarray, "_ f"], total: int, divisor: int, i: int) -> Float[np.ndarray, "_ f"]:
    """Piece i of `divisor` equal pieces of the first `total` rows."""
    size = total // divisor
    return features[i * size : (i + 1) * size]


def _curve(distances: Sequence[Sequence[float]], sizes: Sequence[int], fitted: Sequence[bool]) -> dict[str, Any]:
    means = [float(np.mean(values)) for values in distances]
    errors = [standard_error(np.array(values)) for values in distances]
    curve = {"distance": means, "standard_error": errors}
    if not any(fitted):
        return curve | dict.fromkeys(("fit", "extrapolated", "extrapolated_standard_error", "note"))
    first = fitted.index(True)
    fit = fit_by_n(sizes[first:], means[first:])
    note = NEGATIVE if fit[0] < 0 else None
    return curve | {"fit": fit, "extrapolated": fit[0], "extrapolated_standard_error": errors[first], "note": note}
