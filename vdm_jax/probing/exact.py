"""Exact curves: what the best probe of each feature gets right at each noise level, measured without any training.

The posterior is exact; what is averaged is over clean images and noise. The same images and noise serve every level, so
that curves are smooth, and a level gets more of them until its standard errors are small enough.
"""

import math
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import noised
from vdm_jax.diffusion.optimal import Feature, Scores, score

Classes = Callable[[Float[Array, "q ..."], Float[Array, ""]], dict[str, Float[Array, "q c"]]]
Point = Callable[[Key[Array, ""], Float[Array, ""]], dict[str, Scores]]
FEWEST_BATCHES = 2


def make_point(draw: Callable[[Key[Array, ""]], Float[Array, "q ..."]], classes: Classes, features: dict) -> Point:
    """-> `point(key, gamma)`, compiled: the scores of fresh queries z_t = alpha x + sigma eps, x = draw(key)."""

    def point(key, gamma):
        x = draw(named_key(key, "x"))
        z = noised(x, jax.random.normal(named_key(key, "eps"), x.shape), gamma)
        return {name: score(features[name], p) for name, p in classes(z, gamma).items()}

    return jax.jit(point)


def measure_level(
    point: Point, features: dict[str, Feature], gamma: float, *, key: Key[Array, ""], max_queries: int, tolerance: float
) -> dict[str, Any]:
    """Means and standard errors at one noise level, from batches until every standard error is below `tolerance`.

    Errors of accuracy, retention, R² = 1 - MMSE/variance and information/entropy are all judged by `tolerance`; after
    `max_queries`, and the rest of the batch, no more are made. Stopping looks at the sample's own errors: where what
    matters is rare they come out a little small, so at least two batches are made.

    -> {"gamma", "num_queries", "features": {name: {"accuracy", "accuracy_standard_error", "retention", …,
    "information_nats", …, "mmse", …, "r2", …}}}, r2 and mmse for features with values alone.
    """
    scores: dict[str, Scores] | None = None
    for batch in count():
        fresh = jax.device_get(point(jax.random.fold_in(key, batch), jnp.float32(gamma)))
        scores = fresh if scores is None else jax.tree.map(lambda *both: np.concatenate(both), scores, fresh)
        found = {name: summarise(feature, scores[name]) for name, feature in features.items()}
        num_queries = len(next(iter(scores.values())).accuracy)
        enough = batch + 1 >= FEWEST_BATCHES and worst_error(features, found) < tolerance
        if enough or num_queries >= max_queries:
            return {"gamma": float(gamma), "num_queries": num_queries, "features": found}


def summarise(feature: Feature, scores: Scores) -> dict[str, float]:
    """Means over the queries and their standard errors."""
    information = feature.entropy - np.asarray(scores.entropy, np.float64)
    curves = {"accuracy": scores.accuracy, "retention": scores.retention, "information_nats": information}
    if feature.values is not None:
        curves |= {"mmse": scores.mmse, "r2": 1 - np.asarray(scores.mmse, np.float64) / feature.variance}
    found = {}
    for name, values in curves.items():
        values = np.asarray(values, np.float64)
        found[name] = float(values.mean())
        found[f"{name}_standard_error"] = float(values.std(ddof=1) / math.sqrt(len(values)))
    return found


def worst_error(features: dict[str, Feature], found: dict[str, dict[str, float]]) -> float:
    """The largest standard error of accuracy, retention, R² and information as a part of the entropy."""
    errors = []
    for name, values in found.items():
        errors += [values[f"{kind}_standard_error"] for kind in ("accuracy", "retention", "r2") if kind in values]
        errors.append(values["information_nats_standard_error"] / features[name].entropy)
    return max(errors)


def measure_curve(
    point: Point,
    features: dict[str, Feature],
    gammas: Float[np.ndarray, " m"],
    *,
    key: Key[Array, ""],
    max_queries: int,
    tolerance: float,
    done: dict[int, dict[str, Any]] | None = None,
    keep: Callable[[int, dict[str, Any]], None] = lambda index, level: None,
    progress: Callable[[range], Iterable[int]] = iter,
) -> list[dict[str, Any]]:
    """`measure_level` at each of `gammas`.

    Levels in `done`, by index, are not measured again, and `keep` gets each new one: so a measurement may be killed and
    gone on with.
    """
    levels = dict(done or {})
    for index in progress(range(len(gammas))):
        if index not in levels:
            levels[index] = measure_level(
                point, features, gammas[index], key=key, max_queries=max_queries, tolerance=tolerance
            )
            keep(index, levels[index])
    return [levels[index] for index in range(len(gammas))]
