"""From batches of chains to curves with their standard errors."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, Key

from vdm_jax.diffusion.posterior import Feature
from vdm_jax.probing.chains.distances import (
    Curves,
    Found,
    backward_distances,
    distance_from_chance,
    far_from_data,
    plateau_distance,
    round_trip_distances,
)
from vdm_jax.probing.chains.process import Backward, Guess, RoundTrip
from vdm_jax.probing.chains.two_samples import separate
from vdm_jax.probing.windows import Noise, Windows, jackknife_errors, windows_of

GROUPS = 20  # of chains; the errors of windows leave out one at a time
WITHOUT = "known_without"  # the share known without each group of chains, [G, M], G at most the number of chains
T = TypeVar("T")


def gather(
    measure: Callable[[Key[Array, ""], int], T],
    key: Key[Array, ""],
    num_queries: int,
    batch_size: int,
    progress: Callable[[range], Iterable[int]] = iter,
) -> T:
    """`measure(key, n)` of as many batches as `num_queries` needs, joined along the axis of the queries.

    That axis is the first of an array with one axis, else the second.
    """
    parts = [
        jax.device_get(measure(jax.random.fold_in(key, batch), batch_size))
        for batch in progress(range(max(1, -(-num_queries // batch_size))))
    ]
    return jax.tree.map(lambda *arrays: np.concatenate(arrays, axis=min(arrays[0].ndim - 1, 1)), *parts)


def mean_and_error(values: Float[np.ndarray, "*m q"] | Bool[np.ndarray, "*m q"]) -> tuple[Any, Any]:
    """Means over the last axis and their standard errors, as plain numbers or lists."""
    values = np.asarray(values, np.float64)
    error = values.std(axis=-1, ddof=1) / math.sqrt(values.shape[-1])
    return values.mean(axis=-1).tolist(), error.tolist()


def curves_of(**values: np.ndarray) -> Curves:
    """{NAME: mean, NAME_standard_error: …} for each of the values."""
    found: Curves = {}
    for name, per_query in values.items():
        found[name], found[f"{name}_standard_error"] = mean_and_error(per_query)
    return found


def shares(labels: Integer[np.ndarray, " q"], num_classes: int) -> Curves:
    """The share of each class."""
    return curves_of(share=labels[None] == np.arange(num_classes)[:, None])


def summarise_backward(features: Mapping[str, Feature], found: Backward, far: float) -> Found:
    """{"readers": {reader: {name: {"backward": curves over timesteps, "generated": share of each class}}},
    "real_or_generated": {"accuracy", "standard_error"}, "far_from_data"}; the last is the share of ends farther than
    `far` from the data."""
    separations = [separate(real, generated) for real, generated in zip(found.real, found.generated, strict=True)]
    return {
        "readers": {
            reader: {
                name: {
                    "backward": backward_curves(features[name], guess),
                    "generated": shares(found.labels[reader][name], len(features[name].prior)),
                }
                for name, guess in guesses.items()
            }
            for reader, guesses in found.guesses.items()
        },
        "real_or_generated": {
            "accuracy": [each.accuracy for each in separations],
            "standard_error": [each.standard_error for each in separations],
        },
        "far_from_data": far_from_data(found.distance, far),
    }


def backward_curves(feature: Feature, guess: Guess) -> Curves:
    """Curves over timesteps from the guesses at z_t of each chain, and the share known without each group of chains."""
    curves = curves_of(accuracy=guess.right, cross_entropy_nats=guess.cross_entropy)
    known = 1 - np.asarray(guess.cross_entropy, np.float64) / feature.entropy
    if feature.values is not None:
        error = np.asarray(guess.squared_error, np.float64)
        known = 1 - error / feature.variance
        curves |= curves_of(squared_error=error, r2=known)
    groups = np.array_split(np.arange(known.shape[1]), min(GROUPS, known.shape[1]))
    return curves | {WITHOUT: [np.delete(known, group, axis=1).mean(axis=1).tolist() for group in groups]}


def summarise_round_trip(features: Mapping[str, Feature], found: RoundTrip, far: float) -> Found:
    """At one timestep: {"readers": {reader: {name: {"kept", "kept_standard_error", "squared_error", …}}},
    "far_from_data"}.

    squared_error: between the values before and after. Without values, also "kept_by_class" and its standard error,
    over the starts of each class; None for a class that was never drawn.
    """
    return {
        "readers": {
            reader: {
                name: _round_trip_point(feature, found.before[name], after[name]) for name, feature in features.items()
            }
            for reader, after in found.after.items()
        },
        "far_from_data": far_from_data(found.distance, far),
    }


def _round_trip_point(feature: Feature, before: np.ndarray, after: np.ndarray) -> Curves:
    kept = before == after
    point = curves_of(kept=kept)
    if feature.values is not None:
        return point | curves_of(squared_error=((feature.values[before] - feature.values[after]) ** 2).sum(axis=1))
    by_class = [
        mean_and_error(kept[before == c]) if (before == c).sum() > 1 else (None, None)
        for c in range(len(feature.prior))
    ]
    point["kept_by_class"], point["kept_by_class_standard_error"] = map(list, zip(*by_class, strict=True))
    return point


def describe_sampler(
    features: Mapping[str, Feature],
    exact: Mapping[str, Curves],
    noise: Noise,
    backward: Found,
    round_trips: Sequence[Found],
    num_queries: int,
    reader: str,
) -> Found:
    """One sampler's curves and their distances to the exact ones.

    exact: by feature, curves over the timesteps. backward: of `summarise_backward`. round_trips: a
    `summarise_round_trip` for each timestep, or none. Returns {"features": {name: {"backward", "generated", "plateau",
    "windows", "windows_standard_error", "distances"}}, "features_by": {reader: the same}, "real_or_generated",
    "far_from_data"}, with round trips also "round_trip" of each feature and "far_after_round_trip". "features" are by
    `reader`, "features_by" by the others. The distance of real or generated is to one half.
    """
    found = {
        by: {
            name: _describe_feature(
                feature,
                exact[name],
                noise,
                mine[name],
                [trip["readers"][by][name] for trip in round_trips],
                num_queries,
            )
            for name, feature in features.items()
        }
        for by, mine in backward["readers"].items()
    }
    separation = backward["real_or_generated"]
    separation = separation | {"distance": distance_from_chance(separation["accuracy"], num_queries)}
    about = {"real_or_generated": separation, "far_from_data": backward["far_from_data"]}
    if round_trips:
        about["far_after_round_trip"] = [trip["far_from_data"] for trip in round_trips]
    return {"features": found.pop(reader), "features_by": found} | about


def _describe_feature(
    feature: Feature,
    exact: Curves,
    noise: Noise,
    mine: Found,
    points: Sequence[Curves],
    num_queries: int,
) -> Found:
    windows, errors = backward_windows(feature, mine["backward"], noise)
    found = {
        "backward": {name: curve for name, curve in mine["backward"].items() if name != WITHOUT},
        "generated": mine["generated"],
        "plateau": plateau(feature, mine["generated"]["share"]),
        "windows": windows,
        "windows_standard_error": errors,
        "distances": backward_distances(feature, exact, mine["backward"], num_queries),
    }
    if not points:
        return found
    round_trip = {key: [point[key] for point in points] for key in points[0]}
    distant = found["distances"] | round_trip_distances(feature, exact, round_trip, num_queries)
    if "kept_by_class" in round_trip:
        distant |= plateau_distance(feature, mine["generated"], round_trip["kept_by_class"][-1], num_queries)
    return found | {"round_trip": round_trip, "distances": distant}


def plateau(feature: Feature, generated: Sequence[float]) -> dict[str, float]:
    """The values of the curves at t = T, where z_t is noise.

    forward, backward: the accuracy of always predicting the most frequent class of the data, or of the generated ends.
    kept: of round trips, whose start has the class shares of the data and whose end those of the generated ends; for
    the starts of one class it is that class's share of the generated ends.
    """
    q = np.asarray(generated, np.float64)
    found = {"forward": float(feature.prior.max()), "backward": float(q.max()), "kept": float(feature.prior @ q)}
    if feature.values is not None:
        square = ((feature.values[:, None] - feature.values[None]) ** 2).sum(axis=2)
        found["squared_error"] = float(feature.prior @ square @ q)
    return found


def backward_windows(feature: Feature, curves: Curves, noise: Noise) -> tuple[Windows, Windows]:
    """The timesteps at which 95%, 50% and 5% of the information is decided: R², or 1 - cross-entropy/H; and their
    standard errors, over groups of chains."""
    own = np.asarray(curves["cross_entropy_nats" if feature.values is None else "r2"], np.float64)
    known = 1 - own / feature.entropy if feature.values is None else own
    without = curves.get(WITHOUT)  # an older line has none
    errors = {} if without is None else jackknife_errors(noise, np.asarray(without, np.float64))
    return windows_of(noise, known), errors
