"""The exact posterior over a finite data set, and what follows from it: best probes, retention, denoiser, sampler.

p(x_i | z_t) is a softmax over the data of -||z_t - alpha_t x_i||²/(2 sigma_t²). Nothing here is trained: a class's
exact posterior gives the accuracy that no probe can exceed, the chance that noising and sampling back keeps the class,
and the information that is left. The owner of the data gives the posterior; `matrix_posterior` does it for any array.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Key

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.samplers import sample_by_x
from vdm_jax.diffusion.schedules import Schedule

Queries = Float[Array, "q ..."]
Probabilities = Float[Array, "q c"]


@dataclass(frozen=True)
class Feature:
    """What a probe is asked for: one of C classes, each with its share of the data and perhaps with a value.

    prior: [C], sums to 1. values: [C, K], what is regressed: K = 1 for a scalar, (cos kθ, sin kθ) for an angle; None
    for a class that is only told apart.
    """

    prior: Float[np.ndarray, " c"]
    values: Float[np.ndarray, "c k"] | None = None

    @property
    def entropy(self) -> float:
        """Of the class, nats: what is there to know."""
        p = self.prior[self.prior > 0]
        return float(-(p * np.log(p)).sum())

    @property
    def variance(self) -> float:
        """Of the value, summed over its components: the error of who knows nothing."""
        mean = self.prior @ self.values
        return float(self.prior @ (self.values**2).sum(1) - (mean**2).sum())


class Scores(NamedTuple):
    """Of each query, [Q]; their means are the exact curves. Without values `mmse` is zero."""

    accuracy: Float[Array, " q"]  # max_c p(c|z): of the best probe
    retention: Float[Array, " q"]  # Σ_c p(c|z)²: noised to t and sampled back, the class is the same
    entropy: Float[Array, " q"]  # H(c|z), nats; the information is the feature's entropy less its mean
    mmse: Float[Array, " q"]  # E||v - E[v|z]||² given z, summed over components


def score(feature: Feature, probabilities: Probabilities) -> Scores:
    """What the exact class posterior p(c | z_t) of each query says of the best probe there."""
    p = probabilities
    entropy = -jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1.0)), 0.0), axis=1)
    mmse = jnp.zeros(p.shape[0])
    if feature.values is not None:
        values = jnp.asarray(feature.values)
        mean = p @ values
        mmse = jnp.maximum(p @ jnp.sum(values**2, axis=1) - jnp.sum(mean**2, axis=1), 0.0)
    return Scores(p.max(axis=1), jnp.sum(p**2, axis=1), entropy, mmse)


def matrix_posterior(
    x: Float[Array, "n d"], z: Float[Array, "q d"], gamma: Float[Array, ""], values: Float[Array, "n k"], chunk: int
) -> Float[Array, "q k"]:
    """E[values_i | z_t] over the rows x_i, streamed in chunks of rows with a running log-sum-exp: [N, Q] is never held.

    One-hot values give class probabilities, the rows themselves the optimal denoiser E[x | z_t].
    """
    num_chunks = -(-x.shape[0] // chunk)
    pad = num_chunks * chunk - x.shape[0]
    alpha, _ = alpha_sigma(gamma)
    rows = jnp.pad(x, ((0, pad), (0, 0))).reshape(num_chunks, chunk, -1)
    held = jnp.pad(values, ((0, pad), (0, 0))).reshape(num_chunks, chunk, -1)
    real = (jnp.arange(num_chunks * chunk) < x.shape[0]).reshape(num_chunks, chunk)

    def add(carry, part):
        top, total, sums = carry
        rows, held, real = part
        logits = (alpha * z @ rows.T - 0.5 * alpha**2 * jnp.sum(rows**2, axis=1)[None]) * inverse_variance(gamma)
        logits = jnp.where(real[None], logits, -jnp.inf)
        new_top = jnp.maximum(top, logits.max(axis=1))
        weights = jnp.exp(logits - new_top[:, None])
        shrink = jnp.exp(top - new_top)
        return (new_top, shrink * total + weights.sum(axis=1), shrink[:, None] * sums + weights @ held), None

    start = (jnp.full(z.shape[0], -jnp.inf), jnp.zeros(z.shape[0]), jnp.zeros((z.shape[0], values.shape[1])))
    (_, total, sums), _ = jax.lax.scan(add, start, (rows, held, real))
    return sums / total[:, None]


class Correlations(NamedTuple):
    """What Q clean images and their noise say of each of N rows x_i of the data, at any noise level:
    log p(x_i | z_t) = SNR signal + √SNR noise, up to a constant, for z_t = alpha x + sigma eps."""

    signal: Float[Array, "q n"]  # <x_i, x> - ½||x_i||²
    noise: Float[Array, "q n"]  # <x_i, eps>


def correlate(rows: Float[Array, "n d"], x: Float[Array, "q d"], eps: Float[Array, "q d"]) -> Correlations:
    """Two matrix products, that serve all noise levels: 4 Q N D operations once."""
    return Correlations(x @ rows.T - 0.5 * jnp.sum(rows**2, axis=1)[None], eps @ rows.T)


def correlated_posterior(
    found: Correlations, gamma: Float[Array, ""], values: Float[Array, "n k"]
) -> Float[Array, "q2 k"]:
    """E[values_i | z_t] of every query with its noise, then of every query with the noise's mirror image: [2 Q, K]."""
    snr = jnp.exp(-gamma)
    roots = (jnp.sqrt(snr), -jnp.sqrt(snr))
    return jnp.concatenate([jax.nn.softmax(snr * found.signal + r * found.noise, axis=1) @ values for r in roots])


def inverse_variance(gamma: Float[Array, ""]) -> Float[Array, ""]:
    """1/sigma_t² = 1 + exp(-gamma)."""
    return 1 + jnp.exp(-gamma)


Draw = Callable[[Key[Array, ""], Queries, Float[Array, ""]], Queries]
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
    """The exact diffusion model on any grid of times: x_i ~ p(· | z_t), then z_s ~ q(z_s | z_t, x_i), over and over.

    The z of a run have the joint distribution of the noising process however coarse the grid is, unlike
    ancestral sampling with E[x | z_t], which needs small steps. -> z at times[-1] and at times[k] for each k of `keep`,
    all of them where it is None. `first`: as in `sample`.
    """

    def x_fn(key, z_t, t):
        return draw(key, z_t, schedule.gamma(t))

    keep = tuple(range(times.size)) if keep is None else keep
    return sample_by_x(named_key(key, "exact"), x_fn, schedule, z, times, "ancestral", keep, first)
