"""The Fréchet distance between two sets of features, reported with N, the network and the real-against-real floor."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vdm_jax.base.errors import UserError


class FeatureNetwork(NamedTuple):
    """The origin of features. Scores are comparable only if all three fields are equal."""

    name: str  # such as "classifier trained on digits"; the score is named after it
    hash: str  # of the parameters
    resize: str  # of the images before the network: "none", "28x28 bilinear"


def moments(features: Float[np.ndarray, "n f"]) -> tuple[Float[np.ndarray, " f"], Float[np.ndarray, "f f"]]:
    """Mean and covariance (divided by n - 1), float64."""
    mean, centred = _centred(features)
    return mean, centred.T @ centred


def _centred(features: Float[np.ndarray, "n f"]) -> tuple[Float[np.ndarray, " f"], Float[np.ndarray, "n f"]]:
    """The mean, and X such that the covariance is XᵀX, float64."""
    if len(features) < 2:
        raise UserError(f"{len(features)} image(s) for a Fréchet distance; a covariance needs at least 2")
    features = np.asarray(features, np.float64)
    mean = features.mean(0)
    return mean, (features - mean) / np.sqrt(len(features) - 1)


class Target(NamedTuple):
    """The Gaussian of the reference. Its root is computed once."""

    mean: Float[np.ndarray, " f"]
    root: Float[np.ndarray, "f f"]  # S^½
    trace: float  # of S


def make_target(mean: Float[np.ndarray, " f"], covariance: Float[np.ndarray, "f f"]) -> Target:
    """The Gaussian with the symmetric root of its covariance; eigenvalues are clipped at 0."""
    eigenvalues, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.clip(eigenvalues, 0, None))) @ vectors.T
    return Target(mean, root, float(np.trace(covariance)))


def distance_to(target: Target, mean: Float[np.ndarray, " f"], covariance: Float[np.ndarray, "f f"]) -> float:
    """`||m1 - m2||² + tr S1 + tr S2 - 2 Σ √eig(S1^½ S2 S1^½)`, float64, eigenvalues clipped at 0.

    The squared 2-Wasserstein distance of N(m1, S1), the target, and N(m2, S2). S1^½ S2 S1^½ is symmetric (S1 S2 is
    not), so `eigvalsh` also handles singular covariances, of fewer images than features.
    """
    middle = np.linalg.eigvalsh(target.root @ covariance @ target.root)
    traces = target.trace + np.trace(covariance) - 2 * np.sqrt(np.clip(middle, 0, None)).sum()
    return max(0.0, float(np.sum((target.mean - mean) ** 2) + traces))  # a value below 0 is rounding


def gaussian_distance(
    mean_1: Float[np.ndarray, " f"],
    covariance_1: Float[np.ndarray, "f f"],
    mean_2: Float[np.ndarray, " f"],
    covariance_2: Float[np.ndarray, "f f"],
) -> float:
    """`distance_to` of two Gaussians. It is symmetric."""
    return distance_to(make_target(mean_1, covariance_1), mean_2, covariance_2)


def frechet_distance(features_1: Float[np.ndarray, "n f"], features_2: Float[np.ndarray, "m f"]) -> float:
    """`gaussian_distance` of the moments of two sets. Its bias is positive and about proportional to 1/n + 1/m."""
    return distance_from(features_2)(features_1)


def distance_from(reference: Float[np.ndarray, "m f"]) -> Callable[[Float[np.ndarray, "n f"]], float]:
    """Returns `features -> frechet_distance(features, reference)`. The work on the reference is done once.

    With X and Y the centred features over √(n - 1) and √(m - 1), S1 = XᵀX and S2 = YᵀY. The non-zero eigenvalues of
    S1^½ S2 S1^½, [F, F], are those of X S2 Xᵀ, [n, n], which is smaller if there are fewer images than features.
    """
    mean, y = _centred(reference)
    covariance = cache(lambda: y.T @ y)
    target = cache(lambda: make_target(mean, covariance()))

    def distance(features: Float[np.ndarray, "n f"]) -> float:
        own_mean, x = _centred(features)
        num_features = x.shape[1]
        if min(len(x), len(y)) >= num_features:
            return distance_to(target(), own_mean, x.T @ x)
        if max(len(x), len(y)) < num_features:
            product = x @ y.T if len(x) < len(y) else y @ x.T
            middle = product @ product.T
        else:
            middle = x @ covariance() @ x.T if len(x) < num_features else y @ (x.T @ x) @ y.T
        traces = np.sum(x**2) + np.sum(y**2) - 2 * np.sqrt(np.clip(np.linalg.eigvalsh(middle), 0, None)).sum()
        return max(0.0, float(np.sum((mean - own_mean) ** 2) + traces))

    return distance


def frechet_report(
    generated: Float[np.ndarray, "n f"],
    held_out: Float[np.ndarray, "m f"],
    reference: Float[np.ndarray, "r f"],
    network: FeatureNetwork,
) -> dict[str, Any]:
    """The distance of generated images to real ones, and its floor, the distance of other real images to the same.

    Args:
        generated, held_out: features. Both are cut to the smaller number N, so that the distance and its floor have the
            same finite-sample bias.
        reference: features of real images, none of which is in `held_out`.

    Returns:
        `distance`, `real_vs_real_floor`, `num_images` N, `num_reference`, `num_features`, `network`.
    """
    num_images = min(len(generated), len(held_out))
    distance = distance_from(reference)
    return {
        "distance": distance(generated[:num_images]),
        "real_vs_real_floor": distance(held_out[:num_images]),
        "num_images": num_images,
        "num_reference": len(reference),
        "num_features": reference.shape[1],
        "network": network._asdict(),
    }
