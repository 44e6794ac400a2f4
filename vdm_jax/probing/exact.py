"""Exact curves: the scores of the best probe of each feature at each noise level, measured without any training.

The posterior is exact; averages are over clean images and noise. The same images and noise serve every noise level, so
that curves are smooth and their correlations are computed once. A noise level gets more of them until its standard
errors are small enough. Errors are those of the means of batches. Batches are independent, so that within a batch the
images may be spread evenly over the data and each noise may be used with its mirror image.
"""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.base.program import Program, as_partial
from vdm_jax.diffusion.posterior import Feature, Scores, score
from vdm_jax.probing.population import Population
from vdm_jax.probing.windows import share_known

Means = Float[np.ndarray, "n f s"]  # of n batches, for each feature and each of `Scores`
FEWEST_BATCHES = 8  # before a noise level may end; standard errors from fewer are unreliable
GROUPS = 8  # of batches; windows are recomputed without one of them at a time


class CurveEstimator(NamedTuple):
    """`draw(key) -> queries`: a batch of clean images and noise, in a form that serves all noise levels.
    `means(queries, gamma) -> [F, S]`: for each feature the mean of each of `Scores` over the batch."""

    draw: Callable[[Key[Array, ""]], PyTree]
    means: Callable[[PyTree, Float[Array, ""]], Float[Array, "f s"]]
    num_queries: int  # of a batch


class CurvePoint(NamedTuple):
    """The curves at one noise level.

    features: {name: {"accuracy", "accuracy_standard_error", "retention", …, "information_nats", …, "mmse", …, "r2",
    …}}, r2 and mmse for features with values alone. without: {name: [G]}, the share known (`share_known`) without each
    group of batches.
    """

    gamma: float
    num_queries: int
    features: dict[str, dict[str, float]]
    without: dict[str, Float[np.ndarray, " g"]]


def make_estimator(
    draw: Callable[[Key[Array, ""]], PyTree],
    classes: Callable[[PyTree, Float[Array, ""]], dict[str, Float[Array, "q c"]]],
    features: dict[str, Feature],
    num_queries: int,
) -> CurveEstimator:
    """A compiled estimator. classes: p(c | z_t) of each query of `draw` at a noise level."""

    def means(classes, queries, gamma):
        p = classes(queries, gamma)
        return jnp.stack([jnp.stack(score(feature, p[name])).mean(axis=1) for name, feature in features.items()])

    def draw_queries(draw, key):
        return draw(key)

    return CurveEstimator(Program(draw_queries, as_partial(draw)), Program(means, as_partial(classes)), num_queries)


def population_estimator(population: Population, num_images: int) -> CurveEstimator:
    """Batches of `num_images` members of the population, each with eps and with -eps. Random x are drawn anew."""

    def draw(access, key):
        eps = jax.random.normal(named_key(key, "eps"), (num_images, *population.shape))
        index = access.spread(named_key(key, "x"), num_images)
        return access.posterior.correlate(index, eps, named_key(key, "space"))

    posterior = population.posterior
    return make_estimator(Partial(draw, population.access), posterior.classes_from, population.features, 2 * num_images)


def measure_curve(
    estimator: CurveEstimator,
    features: dict[str, Feature],
    gammas: Float[np.ndarray, " m"],
    *,
    key: Key[Array, ""],
    max_queries: int,
    tolerance: float,
    done: Sequence[dict[str, Any]] = (),
    keep: Callable[[dict[str, Any]], None] = lambda row: None,
    progress: Callable[[range], Iterable[int]] = iter,
) -> list[CurvePoint]:
    """The curves at each of `gammas`, batch by batch; equal gammas are measured once.

    A noise level ends when the standard errors of accuracy, retention, R² = 1 - MMSE/variance and information/entropy
    are all below `tolerance`, or with the batch that reaches `max_queries`. (Stopping depends on the sample's own
    errors, which are a little too small where the decisive events are rare.) `keep` gets a row of JSON for every batch.
    Rows passed as `done` are not measured again, so that a killed measurement can continue.
    """
    own, where = np.unique(gammas, return_inverse=True)
    found: list[list[np.ndarray]] = [[] for _ in own]
    num_batches = max(2, -(-max_queries // estimator.num_queries))

    def draw(batch):
        return jax.block_until_ready(estimator.draw(jax.random.fold_in(key, batch)))

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # a program of small products keeps one core busy, not all
        ahead = {}
        for batch in progress(range(num_batches)):
            remaining = [i for i, means in enumerate(found) if not is_enough(features, means, tolerance)]
            if not remaining:
                break
            if batch < len(done):
                row = done[batch]
            else:
                queries = ahead.pop(batch) if batch in ahead else pool.submit(draw, batch)
                if batch + 1 < num_batches:
                    ahead[batch + 1] = pool.submit(draw, batch + 1)
                measured = pool.map(
                    lambda i, of: jax.device_get(estimator.means(of, jnp.float32(own[i]))),
                    remaining,
                    [queries.result()] * len(remaining),
                )
                row = {"step": batch, "levels": remaining, "means": [means.tolist() for means in measured]}
                keep(row)
            for i, means in zip(row["levels"], row["means"], strict=True):
                found[i].append(np.array(means, np.float64))
    groups = min(GROUPS, *(len(means) for means in found))
    points = [describe_point(features, g, np.array(m), estimator, groups) for g, m in zip(own, found, strict=True)]
    return [points[i] for i in where.reshape(-1)]


def is_enough(features: dict[str, Feature], means: list[np.ndarray], tolerance: float) -> bool:
    """Whether the standard errors of these batches [F, S] of a noise level are below `tolerance`."""
    if len(means) < FEWEST_BATCHES:
        return False
    return worst_error(features, summarise(features, np.array(means))) < tolerance


def describe_point(
    features: dict[str, Feature], gamma: float, means: Means, estimator: CurveEstimator, groups: int
) -> CurvePoint:
    """The curves at one noise level from the means of all its batches."""
    without: dict[str, list[float]] = {name: [] for name in features}
    for group in range(groups):
        others = summarise(features, means[np.arange(len(means)) % groups != group])
        for name, feature in features.items():
            without[name].append(float(share_known(feature, others[name])))
    shares = {name: np.array(values) for name, values in without.items()}
    return CurvePoint(float(gamma), len(means) * estimator.num_queries, summarise(features, means), shares)


def summarise(features: dict[str, Feature], means: Means) -> dict[str, dict[str, float]]:
    """Each curve of each feature and its standard error, from the spread of the batches."""
    return {name: _summarise(feature, Scores(*means[:, i].T)) for i, (name, feature) in enumerate(features.items())}


def _summarise(feature: Feature, scores: Scores) -> dict[str, float]:
    curves = {
        "accuracy": scores.accuracy,
        "retention": scores.retention,
        "information_nats": feature.entropy - scores.entropy,
    }
    if feature.values is not None:
        curves |= {"mmse": scores.mmse, "r2": 1 - scores.mmse / feature.variance}
    found = {}
    for name, values in curves.items():
        found[name] = float(values.mean())
        error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        found[f"{name}_standard_error"] = float(error)
    return found


def worst_error(features: dict[str, Feature], found: dict[str, dict[str, float]]) -> float:
    """The largest standard error of accuracy, retention, R² and information as a part of the entropy."""
    errors = []
    for name, values in found.items():
        errors += [values[f"{kind}_standard_error"] for kind in ("accuracy", "retention", "r2") if kind in values]
        errors.append(values["information_nats_standard_error"] / features[name].entropy)
    return max(errors)
