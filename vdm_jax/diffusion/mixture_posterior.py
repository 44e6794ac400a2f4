"""The exact posterior of a stochastic code: every member of the population is a diagonal Gaussian, u ~ N(mu_i, s_i²).

p(z_t | i) = N(alpha_t mu_i, alpha_t² s_i² + sigma_t²) for each value. Over all images of a population the curves are
the truth about the pair of data and encoder: no probe exceeds them. At t = 0 they start at what the code holds.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Integer, Key

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.mixture_rows import CHUNK, Mixture, log_weights, make_mixture, noise_scale, streamed_mean
from vdm_jax.diffusion.posterior import Feature, Posterior, by_feature, one_hot_classes
from vdm_jax.diffusion.rows import RowSource, best_row, chunked_values, equal_rows, pick_alike

NEAREST_VARIANCE = 1e-8  # of the mean variance of u: what `nearest` adds to the variance of every value

Gamma = Float[Array, ""]
Index = Integer[Array, " q"]
Latents = Float[Array, "q d"]


class NoisyPair(NamedTuple):
    """Q clean latents and their noise, which serve all noise levels: z_t = alpha_t u ± sigma_t eps."""

    u: Latents
    eps: Latents


def mixture_posterior(
    mean: RowSource,
    variance: RowSource,
    labels: Mapping[str, Integer[np.ndarray, " n"]],
    features: Mapping[str, Feature],
    chunk: int = CHUNK,
) -> Posterior:
    """The posterior over members u ~ N(mean_i, diag variance_i), [N, ...] each.

    `draw` and `mean` are of u given z_t: of the member and of its u. `nearest` is the most likely member for a clean u,
    which is the one with the nearest mean where all variances are equal. `alike`: members with the same mean and
    variance. `correlate(index, eps, key)` draws u of these members; without a key u is their mean. Batches of many
    queries are faster: the weights of the members are computed once for each batch and noise level.

    labels: the class of each member by feature. chunk: members whose weights [Q, chunk] are held at a time.
    """
    shape, mixture = mean.shape[1:], make_mixture(mean, variance, chunk)
    one_hot = chunked_values(one_hot_classes(labels, features), mixture.members)

    def flat(x):
        return x.reshape(len(x), -1)

    def classes(mixture, one_hot, z, gamma):
        return by_feature(mean_value(mixture, one_hot, *scaled(mixture, flat(z), gamma)), features)

    def draw(mixture, key, z, gamma):
        return draw_latents(mixture, key, flat(z), gamma).reshape(z.shape)

    def denoise(mixture, z, gamma):
        return mean_latents(mixture, flat(z), gamma).reshape(z.shape)

    def nearest(mixture, u):
        return most_likely(mixture, flat(u))

    def correlate(mixture, index, eps, key=None):
        return noisy_pair(mixture, index, flat(eps), key)

    def classes_from(mixture, one_hot, pair, gamma):
        a, _ = noise_scale(gamma)
        return by_feature(mean_value(mixture, one_hot, a, a * (pair.u - mixture.centre[None]), pair.eps), features)

    def moments(mixture, index):
        mean, variance = centred_moments(mixture, index)
        return (mixture.centre[None] + mean).reshape(-1, *shape), variance.reshape(-1, *shape)

    return Posterior(
        classes=Partial(classes, mixture, one_hot),
        draw=Partial(draw, mixture),
        mean=Partial(denoise, mixture),
        nearest=Partial(nearest, mixture),
        alike=Partial(pick_alike, equal_rows(mean, variance)),
        correlate=Partial(correlate, mixture),
        classes_from=Partial(classes_from, mixture, one_hot),
        moments=Partial(moments, mixture),
    )


def scaled(mixture: Mixture, z: Latents, gamma: Gamma) -> tuple[Gamma, Latents]:
    """alpha_t/sigma_t, and (z_t - alpha_t centre)/sigma_t."""
    a, sigma = noise_scale(gamma)
    return a, z / sigma - a * mixture.centre[None]


def mean_value(
    mixture: Mixture, values: Float[Array, "m chunk k"], a: Gamma, y: Latents, eps: Latents | None = None
) -> Float[Array, "r k"]:
    """E[value_i | z_t] of z_t from `scaled`. With eps, y is noise-free: first of y + eps, then of y - eps."""
    num = len(y) if eps is None else 2 * len(y)

    def weigh(members):
        return log_weights(members, mixture.spread, a, y, eps)

    return streamed_mean(mixture.members, values, (num, values.shape[2]), weigh, lambda _, values: values)


def mean_latents(mixture: Mixture, z: Latents, gamma: Gamma) -> Latents:
    """E[u | z_t]: given the member, (alpha s² z + sigma² mu)/(alpha² s² + sigma²) for each value."""
    a, y = scaled(mixture, z, gamma)
    size = z.shape[1]

    def terms(members, _):
        h = 1 / (1 + a**2 * members.variance)
        return jnp.concatenate([h * members.mean, a * members.variance * h]).T

    def weigh(members):
        return log_weights(members, mixture.spread, a, y)

    found = streamed_mean(mixture.members, None, (len(z), 2 * size), weigh, terms)
    return mixture.centre[None] + found[:, :size] + y * found[:, size:]


def draw_latents(mixture: Mixture, key: Key[Array, ""], z: Latents, gamma: Gamma) -> Latents:
    """u ~ p(u | z_t): a member, then u given the member, with the variance s² sigma²/(alpha² s² + sigma²)."""
    a, y = scaled(mixture, z, gamma)

    def perturbed(members, number):
        logits = log_weights(members, mixture.spread, a, y)
        return logits + jax.random.gumbel(jax.random.fold_in(named_key(key, "row"), number), logits.shape)

    index = best_row(mixture.members, len(z), perturbed)
    mean, variance = centred_moments(mixture, index)
    h = 1 / (1 + a**2 * variance)
    u = h * mean + a * variance * h * y + jnp.sqrt(variance * h) * jax.random.normal(named_key(key, "latent"), z.shape)
    return mixture.centre[None] + u


def most_likely(mixture: Mixture, u: Latents) -> Index:
    """argmax_i p(u | i), the first of several, with `NEAREST_VARIANCE` added to every variance."""
    a = jax.lax.rsqrt(NEAREST_VARIANCE * jnp.mean(mixture.spread))
    y = a * (u - mixture.centre[None])
    return best_row(mixture.members, len(u), lambda members, _: log_weights(members, mixture.spread, a, y))


def noisy_pair(mixture: Mixture, index: Index, eps: Latents, key: Key[Array, ""] | None) -> NoisyPair:
    """u ~ N(mu_i, s_i²) of the members with these indices; the means without a key."""
    mean, variance = centred_moments(mixture, index)
    u = mixture.centre[None] + mean
    return NoisyPair(u if key is None else u + jnp.sqrt(variance) * jax.random.normal(key, u.shape), eps)


def centred_moments(mixture: Mixture, index: Index) -> tuple[Latents, Latents]:
    """The means of these members, less the centre, and their variances."""
    chunk = mixture.members.offset.shape[1]
    return tuple(x[index // chunk, :, index % chunk] for x in (mixture.members.mean, mixture.members.variance))
