"""How diverse generated images are, and how much of the data they cover, by distances between pixels."""

from typing import Any

import numpy as np
from jaxtyping import Float, Integer

NEIGHBOUR = 5  # the radius of a real image is its distance to this nearest other one
Levels = Integer[np.ndarray, "n h w c"]
Distances = Float[np.ndarray, "n m"]


def diversity(made: Levels, real: Levels, others: Levels, num_levels: int) -> dict[str, Any]:
    """{"distance", "distance_real": the mean RMS between two images, generated and real; "distinct", the share of
    generated images that are the first of their kind, and "distinct_real"; "covered", the share of real images with a
    generated one within their radius (coverage of Naeem et al. 2020), and "covered_by_real", the same by as many other
    real images}. RMS are of pixels in [0, 1].

    others: real images that are not in `real`.
    """
    made_rows, real_rows, other_rows = (_rows(images, num_levels) for images in (made, real, others[: len(made)]))
    within = distances(real_rows, real_rows)
    np.fill_diagonal(within, np.inf)
    place = min(NEIGHBOUR, len(real) - 1) - 1
    radius = np.partition(within, place, axis=1)[:, place]
    return {
        "distance": mean_distance(made_rows),
        "distance_real": mean_distance(real_rows),
        "distinct": len(np.unique(made_rows, axis=0)) / len(made),
        "distinct_real": len(np.unique(real_rows, axis=0)) / len(real),
        "covered": covered(real_rows, made_rows, radius),
        "covered_by_real": covered(real_rows, other_rows, radius),
    }


def covered(real: Distances, made: Distances, radius: Float[np.ndarray, " n"]) -> float:
    """The share of rows of `real` with a row of `made` within their radius."""
    return float((distances(real, made).min(axis=1) <= radius).mean())


def mean_distance(rows: Distances) -> float:
    """The mean distance of two different rows."""
    number = len(rows)
    return float(distances(rows, rows).sum() / (number * (number - 1))) if number > 1 else 0.0


def distances(a: Distances, b: Float[np.ndarray, "k m"]) -> Float[np.ndarray, "n k"]:
    """The RMS of the difference of all pairs of rows."""
    square = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    found = np.sqrt(np.maximum(square, 0) / a.shape[1])
    return np.where(found < 1e-7, 0.0, found)


def _rows(levels: Levels, num_levels: int) -> Distances:
    return levels.reshape(len(levels), -1).astype(np.float64) / (num_levels - 1)
