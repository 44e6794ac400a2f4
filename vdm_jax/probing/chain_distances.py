"""How far the curves of chains are from what they are for an exact model, in themselves and in standard errors."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from vdm_jax.diffusion.posterior import Feature

ROUNDING = 1e-5  # two curves that differ by less are the same but for float32
Curves = dict[str, Any]
Found = dict[str, Any]


def backward_distances(feature: Feature, exact: Curves, backward: Curves, num_queries: int) -> Found:
    """Of the curves along a chain from noise from what they are for an exact model: A(t), MMSE(t).

    -> {name: {"largest", "mean", "standard_errors", "mean_standard_errors"}}: over the timesteps, the largest and the
    mean difference, and both in units of the standard error; the largest are at different timesteps as a rule.
    """
    found = {"backward_accuracy": _of_share(backward["accuracy"], exact, "accuracy", num_queries)}
    if feature.values is not None:
        found["backward_squared_error"] = _of_square(feature, backward, exact, 1, num_queries)
    return found


def round_trip_distances(feature: Feature, exact: Curves, round_trip: Curves, num_queries: int) -> Found:
    """The same of the curves of round trips, from R(t) and 2 MMSE(t)."""
    found = {"round_trip_kept": _of_share(round_trip["kept"], exact, "retention", num_queries)}
    if feature.values is not None:
        found["round_trip_squared_error"] = _of_square(feature, round_trip, exact, 2, num_queries)
    return found


def distance_from_chance(accuracy: Sequence[float], num_scored: int) -> dict[str, float]:
    """As in `distances`, of the accuracy on so many examples of two kinds from one half."""
    chance = np.full(len(accuracy), 0.5)
    return _distance(accuracy, chance, chance / math.sqrt(num_scored))


def plateau_distance(
    feature: Feature, generated: Curves, kept: Sequence[float | None], num_queries: int
) -> dict[str, dict[str, float]]:
    """Of what is kept of each class from t = T, where nothing is left of the start, from the class's share of what is
    generated."""
    drawn = [c for c, share in enumerate(kept) if share is not None]
    if not drawn:
        return {}
    q, error = (np.array(generated[name])[drawn] for name in ("share", "share_standard_error"))
    starts = num_queries * feature.prior[drawn]
    own = np.sqrt(q * (1 - q) / starts + 1 / starts**2)
    return {"plateau_by_class": _distance([kept[c] for c in drawn], q, np.hypot(own, error))}


def smallest_square(feature: Feature) -> float:
    """The least squared distance between two values.

    Errors come in lumps of that size or more: where a mean error m is so rare that none was seen among n, its standard
    error is not 0 but at least sqrt(lump m/n).
    """
    square = ((feature.values[:, None] - feature.values[None]) ** 2).sum(axis=2)
    return float(square[square > 1e-9].min())


def _of_share(curve: Sequence[float], exact: Curves, name: str, num_queries: int) -> dict[str, float]:
    share = np.array(exact[name])
    # A query more or less is no distance: where misses are rare their number is Poisson's, with a long tail.
    own = np.sqrt(np.maximum(share * (1 - share), 0) / num_queries + 1 / num_queries**2)
    return _distance(curve, share, np.hypot(own, exact[f"{name}_standard_error"]))


def _of_square(feature: Feature, curves: Curves, exact: Curves, factor: int, num_queries: int) -> dict[str, float]:
    """From so many times MMSE(t)."""
    mmse, error = factor * np.array(exact["mmse"]), factor * np.array(exact["mmse_standard_error"])
    rare = np.sqrt(smallest_square(feature) * mmse / num_queries)
    own = np.maximum(curves["squared_error_standard_error"], rare)
    return _distance(curves["squared_error"], mmse, np.hypot(own, error))


def _distance(curve: Sequence[float], exact: np.ndarray, error: np.ndarray) -> dict[str, float]:
    difference = np.abs(np.array(curve) - exact)
    in_errors = difference / np.maximum(error, ROUNDING)
    return {
        "largest": float(difference.max()),
        "mean": float(difference.mean()),
        "standard_errors": float(in_errors.max()),
        "mean_standard_errors": float(in_errors.mean()),
    }


def far_from_data(distance: Float[np.ndarray, " q"], far: float) -> float:
    """The share of ends that are not within `far` of the data: of those, too, that are no numbers."""
    return float((~(distance <= far)).mean())
