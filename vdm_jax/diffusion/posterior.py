"""The exact posterior over a finite population, and what follows from it: best probes, denoiser, sampler.

p(x_i | z_t) is a softmax over the population of -||z_t - alpha_t x_i||²/(2 sigma_t²). Nothing here is trained. The
posterior of a class gives the accuracy that no probe can exceed, the probability that noising and sampling back keeps
the class, and the information that remains. `finite_posterior` serves any rows by matrix products; a population with
more structure makes its own `Posterior` (`data/sprite_posterior.py`), and so does one whose x are random
(`mixture_posterior.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Integer, Key, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.prediction import Prediction
from vdm_jax.diffusion.rows import (
    CHUNK,
    Rows,
    best_row,
    chunked_values,
    correlate,
    correlated_posterior,
    equal_rows,
    in_chunks,
    inverse_variance,
    match,
    pick_alike,
    product,
    weighted_mean,
)
from vdm_jax.diffusion.samplers import sample_by_x
from vdm_jax.diffusion.schedules import Schedule

Queries = Float[Array, "q ..."]
Probabilities = Float[Array, "q c"]
Index = Integer[Array, " q"]
Gamma = Float[Array, ""]


@dataclass(frozen=True)
class Feature:
    """One of C classes of each member of a population, perhaps each with a value.

    prior: [C], the share of each class, sums to 1. values: [C, K], what is regressed: K = 1 for a scalar,
    (cos kθ, sin kθ) for an angle; None for a class without a value.
    """

    prior: Float[np.ndarray, " c"]
    values: Float[np.ndarray, "c k"] | None = None

    @property
    def entropy(self) -> float:
        """The entropy of the class, nats."""
        p = self.prior[self.prior > 0]
        return float(-(p * np.log(p)).sum())

    @property
    def variance(self) -> float:
        """The variance of the value, summed over its components: the squared error of predicting the prior mean."""
        mean = self.prior @ self.values
        return float(self.prior @ (self.values**2).sum(1) - (mean**2).sum())


class Scores(NamedTuple):
    """The scores of each query, [Q]; their means are the exact curves. `mmse` is 0 for a feature without values."""

    accuracy: Float[Array, " q"]  # max_c p(c|z): of the best probe
    retention: Float[Array, " q"]  # Σ_c p(c|z)²: the probability of the same class after noising to t and sampling back
    entropy: Float[Array, " q"]  # H(c|z), nats; the information is the feature's entropy less its mean
    mmse: Float[Array, " q"]  # E||v - E[v|z]||² given z, summed over components


def score(feature: Feature, probabilities: Probabilities) -> Scores:
    """The scores of the best probe of each query from the exact class posterior p(c | z_t)."""
    p = probabilities
    entropy = -jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1.0)), 0.0), axis=1)
    mmse = jnp.zeros(p.shape[0])
    if feature.values is not None:
        values = jnp.asarray(feature.values)
        mean, square = product(p, values), product(p, jnp.sum(values**2, axis=1))
        mmse = jnp.maximum(square - jnp.sum(mean**2, axis=1), 0.0)
    return Scores(p.max(axis=1), jnp.sum(p**2, axis=1), entropy, mmse)


class Posterior(NamedTuple):
    """The exact posterior of a population, every member as likely as every other; an index counts its members.

    A pytree: each function is a `jax.tree_util.Partial` that carries its arrays. Hand the posterior to compiled
    functions as an argument, so that no program holds the population as a constant.

    classes: (z, gamma) -> {feature: p(c | z_t) [Q, C]}.
    draw: (key, z, gamma) -> x ~ p(x | z_t).
    mean: (z, gamma) -> E[x | z_t], the optimal denoiser.
    nearest: x without noise -> the index of the member that is most likely, the first of several.
    alike: (key, index) -> one of the members with the same x, each as likely.
    correlate: (index, eps, key=None) -> `Correlations` of the clean members with these indices and of the noise, or
        what else serves all noise levels. Members whose x is random are drawn with the key; without one they are means.
    classes_from: (correlations, gamma) -> `classes` of their z_t at any noise level, first with eps and then with
        -eps, [2 Q, C], for a small part of the cost.
    moments: index -> mean and variance of x of these members; a variance of None: x is not random. None: the members
        are not held.
    """

    classes: Callable[[Queries, Gamma], dict[str, Probabilities]]
    draw: Callable[[Key[Array, ""], Queries, Gamma], Queries]
    mean: Callable[[Queries, Gamma], Queries]
    nearest: Callable[[Queries], Index]
    alike: Callable[[Key[Array, ""], Index], Index]
    correlate: Callable[..., PyTree]
    classes_from: Callable[[PyTree, Gamma], dict[str, Probabilities]]
    moments: Callable[[Index], tuple[Queries, Queries | None]] | None = None


def one_hot_classes(
    labels: Mapping[str, Integer[np.ndarray, " n"]], features: Mapping[str, Feature]
) -> Float[Array, "n k"]:
    """The classes of each member, those of all features beside each other."""
    sizes = {name: len(feature.prior) for name, feature in features.items()}
    return jnp.concatenate([jax.nn.one_hot(labels[name], size) for name, size in sizes.items()], axis=1)


def by_feature(p: Float[Array, "q k"], features: Mapping[str, Feature]) -> dict[str, Probabilities]:
    """The probabilities of each feature, from columns as those of `one_hot_classes`."""
    sizes = [len(feature.prior) for feature in features.values()]
    parts = jnp.split(p, np.cumsum(sizes)[:-1].tolist(), axis=1)
    return dict(zip(features, parts, strict=True))


def finite_posterior(
    rows: Float[np.ndarray, "n ..."],
    labels: Mapping[str, Integer[np.ndarray, " n"]],
    features: Mapping[str, Feature],
    chunk: int = CHUNK,
) -> Posterior:
    """The posterior over any rows x_i [N, ...] by matrix products.

    labels: the class of each row by feature. chunk: rows whose weights [Q, chunk] are held at a time. `correlate` holds
    [Q, N], twice.
    """
    shape, num = rows.shape[1:], len(rows)
    flat = np.asarray(rows, np.float32).reshape(num, -1)
    held = in_chunks(flat, chunk)
    one_hot = one_hot_classes(labels, features)

    def row(rows, index):
        return rows.x[index // rows.x.shape[1], index % rows.x.shape[1]].reshape(-1, *shape)

    def moments(rows, index):
        return row(rows, index), None

    def classes(rows, values, z, gamma):
        return by_feature(weighted_mean(rows, z.reshape(len(z), -1), gamma, values), features)

    def mean(rows, z, gamma):
        return weighted_mean(rows, z.reshape(len(z), -1), gamma, rows.x).reshape(-1, *shape)

    def draw(rows, key, z, gamma):
        def perturbed(chunk, number):
            logits = inverse_variance(gamma) * match(chunk, z.reshape(len(z), -1), gamma)
            return logits + jax.random.gumbel(jax.random.fold_in(named_key(key, "row"), number), logits.shape)

        return row(rows, best_row(rows, len(z), perturbed))

    def nearest(rows, z):
        return best_row(rows, len(z), lambda chunk, _: product(z.reshape(len(z), -1), chunk.x.T) + chunk.offset[None])

    def correlate_rows(rows, index, eps, key=None):
        every = rows.x.reshape(-1, rows.x.shape[2])[:num]
        return correlate(every, every[index], eps.reshape(len(index), -1))

    def classes_from(values, found, gamma):
        return by_feature(correlated_posterior(found, gamma, values), features)

    return Posterior(
        classes=Partial(classes, held, chunked_values(one_hot, held)),
        draw=Partial(draw, held),
        mean=Partial(mean, held),
        nearest=Partial(nearest, held),
        alike=Partial(pick_alike, equal_rows(flat)),
        correlate=Partial(correlate_rows, held),
        classes_from=Partial(classes_from, one_hot),
        moments=Partial(moments, held),
    )


def denoiser_within(
    rows: Float[Array, "n d"], allowed: Bool[Array, "q n"], schedule: Schedule
) -> Callable[[Queries, Float[Array, " q"]], Prediction]:
    """`denoise(z_t, t)`: E[x | z_t] and E[eps | z_t] over the rows that each query allows, at one t for all.

    With all rows allowed it is the optimal denoiser of the finite data set; with those of the class of the query's
    image, it is the optimal denoiser given the class: its error is lower by an area, over log SNR, equal to the entropy
    of the class. Holds [Q, N].
    """
    held = Rows(rows, -0.5 * jnp.sum(rows**2, axis=1))

    def denoise(z, t):
        gamma = schedule.gamma(t[0])
        alpha, sigma = alpha_sigma(gamma)
        # one rounding for the maximum and for what it is subtracted from, as in `rows.weighted_mean`
        found = jax.lax.optimization_barrier(match(held, z.reshape(len(z), -1), gamma))
        found = jnp.where(allowed, found, -jnp.inf)
        weights = jax.nn.softmax(inverse_variance(gamma) * (found - found.max(axis=1, keepdims=True)), axis=1)
        x = product(weights, rows).reshape(z.shape)
        return Prediction(x, (z - alpha * x) / sigma)

    return denoise


Draw = Callable[[Key[Array, ""], Queries, Gamma], Queries]
"""`draw(key, z_t, gamma_t) -> x ~ p(x | z_t)`"""


def sample_exactly(
    key: Key[Array, ""],
    draw: Draw,
    schedule: Schedule,
    z: Queries,
    times: Float[Array, " n"],
    keep: tuple[int, ...] | None = None,
    first: Integer[Array, ""] | None = None,
) -> tuple[Queries, Float[Array, "k q ..."]]:
    """The exact diffusion model on any grid of times: x_i ~ p(· | z_t), then z_s ~ q(z_s | z_t, x_i), repeatedly.

    The z of a run have the joint distribution of the noising process on any grid. Ancestral sampling with E[x | z_t]
    needs small steps instead. Returns z at times[-1], and z at times[k] for each k of `keep` (None: all of them).
    `first`: as in `sample`.
    """

    def x_fn(key, z_t, t):
        return draw(key, z_t, schedule.gamma(t))

    keep = tuple(range(times.size)) if keep is None else keep
    return sample_by_x(named_key(key, "exact"), x_fn, schedule, z, times, "ancestral", keep, first)
