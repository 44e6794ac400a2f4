"""Exact curves: what the best probe of each feature gets right at each noise level, measured without any training.

The posterior is exact; what is averaged is over clean images and noise. The same images and noise serve every level, so
that curves are smooth and what can be computed of them is computed once; a level gets more of them until its standard
errors are small enough. Errors are those of the means of batches, which are independent, so that within a batch images
may be spread evenly over the data and noise may come with its mirror image.
"""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.diffusion.optimal import Feature, Scores, score
from vdm_jax.probing.windows import share_known

Means = Float[np.ndarray, "n f s"]  # of n batches, for each feature and each of `Scores`
FEWEST_BATCHES = 8  # before a level may end; errors from fewer are not to be believed
GROUPS = 8  # of batches, one of which at a time is left out to see how much windows move


class Instrument(NamedTuple):
    """`draw(key) -> queries`: a batch of clean images and noise, in whatever form serves all levels.
    `means(queries, gamma) -> [F, S]`: of each feature each of `Scores`, over the batch."""

    draw: Callable[[Key[Array, ""]], PyTree]
    means: Callable[[PyTree, Float[Array, ""]], Float[Array, "f s"]]
    num_queries: int  # of a batch


class Level(NamedTuple):
    """What is found at one noise level.

    features: {name: {"accuracy", "accuracy_standard_error", "retention", …, "information_nats", …, "mmse", …, "r2",
    …}}, r2 and mmse for features with values alone. without: {name: [G]}, the share known (`share_known`) when each
    group of batches is left out.
    """

    gamma: float
    num_queries: int
    features: dict[str, dict[str, float]]
    without: dict[str, Float[np.ndarray, " g"]]


def make_instrument(
    draw: Callable[[Key[Array, ""]], PyTree],
    classes: Callable[[PyTree, Float[Array, ""]], dict[str, Float[Array, "q c"]]],
    features: dict[str, Feature],
    num_queries: int,
) -> Instrument:
    """Compiled. classes: p(c | z_t) of each query of `draw` at a level."""

    def means(queries, gamma):
        p = classes(queries, gamma)
        return jnp.stack([jnp.stack(score(feature, p[name])).mean(axis=1) for name, feature in features.items()])

    return Instrument(jax.jit(draw), jax.jit(means), num_queries)


def measure_curve(
    instrument: Instrument,
    features: dict[str, Feature],
    gammas: Float[np.ndarray, " m"],
    *,
    key: Key[Array, ""],
    max_queries: int,
    tolerance: float,
    done: Sequence[dict[str, Any]] = (),
    keep: Callable[[dict[str, Any]], None] = lambda row: None,
    progress: Callable[[range], Iterable[int]] = iter,
) -> list[Level]:
    """The curves at each of `gammas`, batch by batch; levels of one gamma are one.

    A level ends when the standard errors of accuracy, retention, R² = 1 - MMSE/variance and information/entropy are all
    below `tolerance`, or with the batch that brings `max_queries`. (Stopping looks at the sample's own errors: where
    what matters is rare they come out a little small.) keep gets a row of JSON for every batch; given back as `done`,
    these are not measured again: so a measurement may be killed and gone on with.
    """
    own, where = np.unique(gammas, return_inverse=True)
    found: list[list[np.ndarray]] = [[] for _ in own]
    num_batches = max(2, -(-max_queries // instrument.num_queries))

    def draw(batch):
        return jax.block_until_ready(instrument.draw(jax.random.fold_in(key, batch)))

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # a program of small products keeps one core busy, not all
        ahead = {}
        for batch in progress(range(num_batches)):
            left = [i for i, means in enumerate(found) if not is_enough(features, means, tolerance)]
            if not left:
                break
            if batch < len(done):
                row = done[batch]
            else:
                queries = ahead.pop(batch) if batch in ahead else pool.submit(draw, batch)
                if batch + 1 < num_batches:
                    ahead[batch + 1] = pool.submit(draw, batch + 1)
                measured = pool.map(
                    lambda i, of: jax.device_get(instrument.means(of, jnp.float32(own[i]))),
                    left,
                    [queries.result()] * len(left),
                )
                row = {"step": batch, "levels": left, "means": [means.tolist() for means in measured]}
                keep(row)
            for i, means in zip(row["levels"], row["means"], strict=True):
                found[i].append(np.array(means, np.float64))
    groups = min(GROUPS, *(len(means) for means in found))
    levels = [describe_level(features, g, np.array(m), instrument, groups) for g, m in zip(own, found, strict=True)]
    return [levels[i] for i in where.reshape(-1)]


def is_enough(features: dict[str, Feature], means: list[np.ndarray], tolerance: float) -> bool:
    """Whether these batches [F, S] of a level will do."""
    if len(means) < FEWEST_BATCHES:
        return False
    return worst_error(features, summarise(features, np.array(means))) < tolerance


def describe_level(
    features: dict[str, Feature], gamma: float, means: Means, instrument: Instrument, groups: int
) -> Level:
    """Of the means of all batches of one level."""
    without: dict[str, list[float]] = {name: [] for name in features}
    for group in range(groups):
        others = summarise(features, means[np.arange(len(means)) % groups != group])
        for name, feature in features.items():
            without[name].append(float(share_known(feature, others[name])))
    shares = {name: np.array(values) for name, values in without.items()}
    return Level(float(gamma), len(means) * instrument.num_queries, summarise(features, means), shares)


def summarise(features: dict[str, Feature], means: Means) -> dict[str, dict[str, float]]:
    """Of each feature each curve and its standard error, from the spread of the batches."""
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
