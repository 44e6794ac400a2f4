"""Distances of the curves of chains from those of an exact model, absolute and in standard errors.

A chain may diverge. Its numbers are then NaN, and None where a line of JSON had them.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from vdm_jax.diffusion.posterior import Feature

ROUNDING = 1e-5  # differences of curves below this are float32 rounding
Curves = dict[str, Any]
Found = dict[str, Any]


def backward_distances(feature: Feature, exact: Curves, backward: Curves, num_queries: int) -> Found:
    """The distances of the curves along chains from noise to those of an exact model: A(t), MMSE(t).

    Returns {name: {"largest", "mean", "standard_errors", "mean_standard_errors"}}: over the timesteps the largest and
    the mean difference, and both in standard errors. The two largest are usually at different timesteps.
    """
    found = {"backward_accuracy": _of_share(backward["accuracy"], exact, "accuracy", num_queries)}
    if feature.values is not None:
        found["backward_squared_error"] = _of_square(feature, backward, exact, 1, num_queries)
    return found


def round_trip_distances(feature: Feature, exact: Curves, round_trip: Curves, num_queries: int) -> Found:
    """The same for the curves of round trips, to R(t) and 2 MMSE(t)."""
    found = {"round_trip_kept": _of_share(round_trip["kept"], exact, "retention", num_queries)}
    if feature.values is not None:
        found["round_trip_squared_error"] = _of_square(feature, round_trip, exact, 2, num_queries)
    return found


def distance_from_chance(accuracy: Sequence[float], num_scored: int) -> dict[str, float]:
    """The distance of an accuracy on `num_scored` examples of two equally frequent kinds from one half."""
    chance = np.full(len(accuracy), 0.5)
    return _distance(accuracy, chance, chance / math.sqrt(num_scored))


def plateau_distance(
    feature: Feature, generated: Curves, kept: Sequence[float | None], num_queries: int
) -> dict[str, dict[str, float]]:
    """The distance of the share of each class kept from t = T, where nothing of the start remains, to the class's share
    of the generated ends."""
    drawn = [c for c, share in enumerate(kept) if share is not None]
    if not drawn:
        return {}
    q, error = (np.array(generated[name])[drawn] for name in ("share", "share_standard_error"))
    starts = num_queries * feature.prior[drawn]
    own = np.sqrt(q * (1 - q) / starts + 1 / starts**2)
    return {"plateau_by_class": _distance([kept[c] for c in drawn], q, np.hypot(own, error))}


def smallest_square(feature: Feature) -> float:
    """The smallest squared distance between two values.

    A single error is at least this large. Where a mean error m is so rare that none of n examples has one, its standard
    error is not 0 but at least sqrt(smallest_square m/n).
    """
    square = ((feature.values[:, None] - feature.values[None]) ** 2).sum(axis=2)
    return float(square[square > 1e-9].min())


def _of_share(curve: Sequence[float | None], exact: Curves, name: str, num_queries: int) -> dict[str, float]:
    share = np.array(exact[name])
    # One query is within the error: rare errors have a Poisson distribution with a long tail.
    own = np.sqrt(np.maximum(share * (1 - share), 0) / num_queries + 1 / num_queries**2)
    return _distance(curve, share, np.hypot(own, exact[f"{name}_standard_error"]))


def _of_square(feature: Feature, curves: Curves, exact: Curves, factor: int, num_queries: int) -> dict[str, float]:
    """The distance to `factor` times MMSE(t)."""
    mmse, error = factor * np.array(exact["mmse"]), factor * np.array(exact["mmse_standard_error"])
    rare = np.sqrt(smallest_square(feature) * mmse / num_queries)
    own = np.maximum(np.asarray(curves["squared_error_standard_error"], np.float64), rare)
    return _distance(curves["squared_error"], mmse, np.hypot(own, error))


def _distance(curve: Sequence[float | None], exact: np.ndarray, error: np.ndarray) -> dict[str, float]:
    difference = np.abs(np.asarray(curve, np.float64) - exact)
    in_errors = difference / np.maximum(error, ROUNDING)
    return {
        "largest": float(difference.max()),
        "mean": float(difference.mean()),
        "standard_errors": float(in_errors.max()),
        "mean_standard_errors": float(in_errors.mean()),
    }


def far_from_data(distance: Float[np.ndarray, " q"], far: float) -> float:
    """The share of ends that are not within `far` of the data; non-finite ends count as far."""
    return float((~(distance <= far)).mean())
