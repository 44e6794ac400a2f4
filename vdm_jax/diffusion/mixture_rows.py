"""The weights of a mixture of diagonal Gaussians given z_t, streamed over its members so that [Q, N] is never held.

Member i of the population is u ~ N(mu_i, diag s_i²). In units of sigma_t, with a = alpha_t/sigma_t and h_i = 1/(1 + a²
s_i²) for each value,

    log p(z_t | i) = -½ Σ_d [h_id (y_d - a mu_id)² - ln h_id] + const,  y = z_t/sigma_t = a u + eps.

h depends on the noise level, so that the products of y and y² with N rows are computed anew at each of them. Where the
noise and s_i² are small the terms of the expanded square are large and cancel: squares of differences are summed then.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PyTree

from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.rows import RowSource, moments_of_rows, product

CHUNK = 2_048  # members whose weights are held at a time
LANES = 64  # a chunk is a multiple: equal members have equal weights
SMALLEST_SIGMA = 1e-6  # less noise is computed as this much
LARGEST_SQUARE = 1e4  # of y in products; a float32 sum that large has an error of about 0.001
DIMENSIONS = 4  # whose squares are summed at a time
QUERIES = 50  # whose squares are summed at a time

Gamma = Float[Array, ""]
Values = Float[Array, "q d"]
Weights = Float[Array, "r chunk"]


class Gaussians(NamedTuple):
    """The members in chunks, values before members, so that the members of a chunk are vector lanes.

    Padding has an offset of -inf.
    """

    mean: Float[Array, "m d chunk"]  # less `centre`
    variance: Float[Array, "m d chunk"]
    offset: Float[Array, "m chunk"]  # 0


class Mixture(NamedTuple):
    """N members with equal shares; a pytree."""

    members: Gaussians
    centre: Float[Array, " d"]  # the mean of the means
    spread: Float[Array, " d"]  # the variance of u, Var[mu] + E[s²]


def make_mixture(mean: RowSource, variance: RowSource, chunk: int = CHUNK) -> Mixture:
    """N members in chunks of about `chunk`. The rows are read chunk by chunk: the host holds no copy of them."""
    number, size = len(mean), math.prod(mean.shape[1:])
    num_chunks = -(-number // chunk)
    chunk = -(-number // (num_chunks * LANES)) * LANES
    centre, spread = moments_of_rows(mean, variance)
    means, variances = (jnp.zeros((num_chunks, size, chunk)) for _ in range(2))
    offset = np.full((num_chunks, chunk), -np.inf, np.float32)
    for i, start in enumerate(range(0, number, chunk)):
        rows = slice(start, min(start + chunk, number))
        means = _with_chunk(means, i, _columns(mean[rows], chunk, centre))
        variances = _with_chunk(variances, i, _columns(variance[rows], chunk))
        offset[i, : rows.stop - start] = 0
    members = Gaussians(means, variances, jnp.asarray(offset))
    return Mixture(members, jnp.asarray(centre, jnp.float32), jnp.asarray(spread, jnp.float32))


def _columns(
    rows: Float[np.ndarray, "b ..."], chunk: int, less: Float[np.ndarray, " d"] | float = 0.0
) -> Float[np.ndarray, "d chunk"]:
    """Rows as columns, filled with 0 to a whole chunk."""
    found = (rows.reshape(len(rows), -1) - less).astype(np.float32).T
    return np.pad(found, ((0, 0), (0, chunk - found.shape[1])))


@partial(jax.jit, donate_argnums=0)
def _with_chunk(
    held: Float[Array, "m d chunk"], number: int | Integer[Array, ""], columns: Float[Array, "d chunk"]
) -> Float[Array, "m d chunk"]:
    """Writes one chunk in place."""
    return jax.lax.dynamic_update_index_in_dim(held, columns, number, 0)


def noise_scale(gamma: Gamma) -> tuple[Gamma, Gamma]:
    """a = alpha_t/sigma_t and sigma_t, which is at least `SMALLEST_SIGMA`."""
    alpha, sigma = alpha_sigma(gamma)
    sigma = jnp.maximum(sigma, SMALLEST_SIGMA)
    return alpha / sigma, sigma


def squares(y: Values, mean: Float[Array, "d chunk"], h: Float[Array, "d chunk"]) -> Float[Array, "q chunk"]:
    """Σ_d h_d (y_d - mean_d)², from the differences themselves.

    Slices inside the innermost loop let XLA fuse it into one pass over a block of sums that stays in the cache.
    """
    num, size = y.shape
    mean, h = (jnp.pad(x, ((0, -size % DIMENSIONS), (0, 0))) for x in (mean, h))
    y = jnp.pad(y, ((0, -num % QUERIES), (0, -size % DIMENSIONS)))

    def of_block(y):
        def add(total, first):
            for d in range(DIMENSIONS):
                row = jax.lax.dynamic_slice_in_dim(y, first + d, 1, axis=1)
                difference = row - jax.lax.dynamic_slice_in_dim(mean, first + d, 1)
                total = total + difference * difference * jax.lax.dynamic_slice_in_dim(h, first + d, 1)
            return total, None

        return jax.lax.scan(add, jnp.zeros((QUERIES, h.shape[1])), jnp.arange(0, y.shape[1], DIMENSIONS))[0]

    return jax.lax.map(of_block, y.reshape(-1, QUERIES, y.shape[1])).reshape(-1, h.shape[1])[:num]


def log_weights(
    members: Gaussians, spread: Float[Array, " d"], a: Gamma, y: Values, eps: Values | None = None
) -> Weights:
    """log p(z_t | i) of one chunk, up to a constant of each query, [Q, chunk].

    y: (z_t - alpha_t centre)/sigma_t. With eps, of y + eps and then of y - eps, [2 Q, chunk]: what is even in eps and
    what is odd are computed once.
    """
    h = 1 / (1 + a**2 * members.variance)
    mean = a * members.mean
    shrunk = h * mean
    at_mean = jnp.sum(shrunk * mean, axis=0)[None]

    def by_products():
        squared = y**2 if eps is None else y**2 + eps**2
        return product(jnp.concatenate([squared, -2 * y], axis=1), jnp.concatenate([h, shrunk])) + at_mean

    def by_squares():
        distance = squares(y, mean, h)
        return distance if eps is None else distance + product(eps**2, h)

    largest = a**2 * jnp.max(jnp.where(members.offset == 0, spread @ h, 0.0))
    distance = jax.lax.cond(largest > LARGEST_SQUARE, by_squares, by_products)
    even = 0.5 * (jnp.sum(jnp.log(h), axis=0)[None] - distance) + members.offset[None]
    if eps is None:
        return even
    odd = product(jnp.concatenate([-y * eps, eps], axis=1), jnp.concatenate([h, shrunk]))
    return jnp.concatenate([even + odd, even - odd])


def streamed_mean(
    members: Gaussians,
    values: PyTree,
    size: tuple[int, int],
    weigh: Callable[[Gaussians], Weights],
    value: Callable[[Gaussians, PyTree], Float[Array, "chunk k"]],
) -> Float[Array, "r k"]:
    """E[value_i | z_t] of R queries with a running log-sum-exp: [R, N] is never held.

    values: in chunks. size: (R, K). weigh: a chunk -> log weights [R, chunk]. value: (chunk, values) -> [chunk, K].
    """

    def add(carry, part):
        top, total, sums = carry
        found = jax.lax.optimization_barrier(weigh(part[0]))  # one rounding for the maximum and what it is taken from
        new_top = jnp.maximum(top, found.max(axis=1))
        weights, shrink = jnp.exp(found - new_top[:, None]), jnp.exp(top - new_top)
        sums = shrink[:, None] * sums + product(weights, value(*part))
        return (new_top, shrink * total + weights.sum(axis=1), sums), None

    start = (jnp.full(size[0], -jnp.inf), jnp.zeros(size[0]), jnp.zeros(size))
    (_, total, sums), _ = jax.lax.scan(add, start, (members, values))
    return sums / total[:, None]
