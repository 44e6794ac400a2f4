"""From the scores of trained probes to curves over timesteps with their errors, and the gaps to the exact curves."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Integer

from vdm_jax.diffusion.posterior import Feature
from vdm_jax.probing.windows import Noise, Windows, jackknife_errors, share_known, windows_of

HASH = np.uint64(2654435769)  # 2^32 over the golden ratio
GROUPS = 8  # of clean images; windows are recomputed without one of them at a time
Scores = Mapping[str, Float[np.ndarray, "m n s b"]]  # of examples: timestep, batch, seed, place in the batch
Images = Int[np.ndarray, "m n b"]


def summarise_scores(feature: Feature, scores: Scores, images: Images | None = None) -> dict[str, np.ndarray]:
    """Means over seeds and examples, and their standard errors as NAME_standard_error: [M] each.

    Besides the scores, `information_nats` = H - cross-entropy and `r2` (`_curves`). images: the clean image of each
    example; without them all are different. The error has two parts: of the images, which the seeds share, and of the
    seeds, where there are several. A small grid has few held-out images, each shown with many noises. The first part
    treats images as clusters, so that it estimates the deviation between held-out splits.
    """
    found = {}
    for name, values in _curves(feature, scores).items():
        by_seed = values.mean(axis=(1, 3))
        variance = by_seed.var(axis=1, ddof=1) / by_seed.shape[1] if by_seed.shape[1] > 1 else np.zeros(len(values))
        for m, examples in enumerate(values.mean(axis=2).reshape(len(values), -1)):
            cluster = np.arange(len(examples)) if images is None else images[m].reshape(-1)
            variance[m] += error_of_clusters(examples, cluster) ** 2
        found[name] = by_seed.mean(axis=1)
        found[f"{name}_standard_error"] = np.sqrt(variance)
    return found


def error_of_clusters(values: Float[np.ndarray, " n"], cluster: Int[np.ndarray, " n"]) -> float:
    """Standard error of the mean of values that are independent between clusters only."""
    _, place = np.unique(cluster, return_inverse=True)
    sums = np.bincount(place, values - values.mean())
    return math.sqrt(len(sums) / max(len(sums) - 1, 1) * (sums**2).sum()) / len(values)


def summarise_known(feature: Feature, scores: Scores, images: Images) -> dict[str, np.ndarray]:
    """The share known (`share_known`), from which windows follow: `by_seed` [M, S], and `without` [M, G], its mean over
    seeds without each group of clean images, the same images at every timestep."""
    share = share_known(feature, _curves(feature, scores))
    group = group_of(images)
    examples = share.mean(axis=2)
    without = [
        [own[of != left_out].mean() for left_out in range(GROUPS)] for own, of in zip(examples, group, strict=True)
    ]
    return {"by_seed": share.mean(axis=(1, 3)), "without": np.array(without)}


def group_of(images: Int[np.ndarray, "*n"]) -> Int[np.ndarray, "*n"]:
    """One of `GROUPS` for each number: the top bits of its product with the golden ratio (Knuth's multiplicative hash).

    The low bits of an index that counts factors would depend on one factor.
    """
    return ((images.astype(np.uint64) * HASH % 2**32) * GROUPS >> np.uint64(32)).astype(int)


def _curves(feature: Feature, scores: Scores) -> dict[str, np.ndarray]:
    """Curves of every example. r2 = 1 - mse/variance. With `spread` the variance is that of the examples, which on a
    small test split is not that of all data; its error follows from the ratio's linear part."""
    curves = {name: np.asarray(values, np.float64) for name, values in scores.items()}
    if "cross_entropy" in curves:
        curves["information_nats"] = feature.entropy - curves["cross_entropy"]
    if "spread" in curves:
        spread = curves.pop("spread")
        share = (curves["mse"].mean((1, 2, 3)) / spread.mean((1, 2, 3)))[:, None, None, None]
        own = spread.mean((1, 2, 3))[:, None, None, None]
        curves["r2"] = 1 - share - (curves["mse"] - share * spread) / own
    elif "mse" in curves:
        curves["r2"] = 1 - curves["mse"] / feature.variance
    return curves


def with_prior_of(feature: Feature, labels: Integer[np.ndarray, " n"]) -> Feature:
    """The feature with the shares of these labels as its prior; each class counts one more, so that none is 0."""
    counts = np.bincount(labels, minlength=len(feature.prior)) + 1.0
    return Feature(counts / counts.sum(), feature.values)


def probe_windows(noise: Noise, known: Mapping[str, np.ndarray]) -> tuple[Windows, Windows]:
    """The timesteps at which a probe has 95%, 50% and 5% of the information, from `summarise_known`: (mean over seeds,
    standard error). The error is of the seeds, where there are several, and of the images, which they share."""
    each = [windows_of(noise, share) for share in known["by_seed"].T]
    of_images = jackknife_errors(noise, known["without"].T)
    windows: Windows = {}
    errors: Windows = {}
    for level, of_image in of_images.items():
        times = [one[level] for one in each]
        windows[level] = None if None in times else float(np.mean(times))
        sure = of_image is not None and windows[level] is not None
        of_seeds = np.var(times, ddof=1) / len(times) if sure and len(times) > 1 else 0.0
        errors[level] = math.sqrt(of_image**2 + of_seeds) if sure else None
    return windows, errors


def compare(probe: Mapping[str, Any], exact: Mapping[str, Any], shortfall: float) -> dict[str, Any]:
    """The gap of the probe to the exact curve: `exact_minus_probe` {score: [M]} with its standard errors.

    Where the probe was judged by the exact posterior of its own examples (`NAME_missed`), the gap is that: images and
    noise are the same, so that its error is a fraction of the error of the difference of two curves. `falls_short`:
    [M], whether the gap of accuracy or of R² is larger than `shortfall`.
    """
    gaps: dict[str, list[float]] = {}
    for name in ("accuracy", "r2", "information_nats"):
        error = f"{name}_standard_error"
        if f"{name}_missed" in probe:
            gaps[name], gaps[error] = probe[f"{name}_missed"], probe[f"{name}_missed_standard_error"]
        elif name in probe and name in exact:
            gaps[name] = (np.asarray(exact[name]) - np.asarray(probe[name])).tolist()
            gaps[error] = [math.hypot(*pair) for pair in zip(exact[error], probe[error], strict=True)]
    judged = np.array([gaps[name] for name in ("accuracy", "r2") if name in gaps])
    return {"exact_minus_probe": gaps, "falls_short": (judged.max(axis=0) > shortfall).tolist()}
