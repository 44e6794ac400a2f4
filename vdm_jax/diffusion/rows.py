"""Posterior means and draws over the rows of a matrix by matrix products, streamed so that [Q, N] is never held."""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, Key

from vdm_jax.diffusion.gaussian import alpha_sigma

CHUNK = 4_096  # rows whose weights are held at a time
BLOCK = 2_048  # rows of a source that are read at a time

product = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)  # in float32 on accelerators too

Index = Integer[Array, " q"]
Gamma = Float[Array, ""]


def inverse_variance(gamma: Gamma) -> Gamma:
    """1/sigma_t² = 1 + exp(-gamma)."""
    return 1 + jnp.exp(-gamma)


@runtime_checkable
class RowSource(Protocol):
    """N rows, [N, ...], of which slices are read: an array, or one that is mapped into memory and scaled when read."""

    shape: tuple[int, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice) -> Float[np.ndarray, "b ..."]: ...


def blocks(*sources: RowSource | None) -> Iterator[tuple[Float[np.ndarray, "b d"] | None, ...]]:
    """The next `BLOCK` rows of every source, flat; None of a source that is None."""
    for start in range(0, len(next(source for source in sources if source is not None)), BLOCK):
        parts = (None if source is None else source[start : start + BLOCK] for source in sources)
        yield tuple(None if part is None else np.asarray(part).reshape(len(part), -1) for part in parts)


def moments_of_rows(
    mean: RowSource, variance: RowSource | None = None
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Mean and variance of each value over the rows, float64; with variances of the rows Var[mean] + E[variance]."""
    centre = sum(rows.sum(axis=0, dtype=np.float64) for (rows,) in blocks(mean)) / len(mean)
    total = np.zeros_like(centre)
    for rows, noise in blocks(mean, variance):
        total += ((rows - centre) ** 2).sum(axis=0)
        total += 0 if noise is None else noise.sum(axis=0, dtype=np.float64)
    return centre, total / len(mean)


def covariance_of_rows(
    mean: RowSource, variance: RowSource | None = None
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
    """Mean and covariance over the rows, float64; with variances of the rows Cov[mean] + E[diag variance]."""
    centre = sum(rows.sum(axis=0, dtype=np.float64) for (rows,) in blocks(mean)) / len(mean)
    covariance = sum((rows - centre).T @ (rows - centre) for (rows,) in blocks(mean)) / len(mean)
    if variance is None:
        return centre, covariance
    return centre, covariance + np.diag(
        sum(rows.sum(axis=0, dtype=np.float64) for (rows,) in blocks(variance)) / len(mean)
    )


class Rows(NamedTuple):
    """The members of a population as rows, in chunks. Padding has an offset of -inf."""

    x: Float[Array, "m chunk d"]
    offset: Float[Array, "m chunk"]  # -½||x_i||²


def in_chunks(rows: Float[Array | np.ndarray, "n d"], chunk: int) -> Rows:
    """N rows in chunks of at most `chunk`."""
    num = -(-rows.shape[0] // chunk)
    chunk = -(-rows.shape[0] // num)
    pad = num * chunk - rows.shape[0]
    x = jnp.pad(jnp.asarray(rows), ((0, pad), (0, 0)))
    offset = jnp.where(jnp.arange(num * chunk) < rows.shape[0], -0.5 * jnp.sum(x**2, axis=1), -jnp.inf)
    return Rows(x.reshape(num, chunk, -1), offset.reshape(num, chunk))


@runtime_checkable
class Chunked(Protocol):
    """Rows in chunks, of any content; an offset of -inf marks padding."""

    offset: Float[Array, "m chunk"]


def match(rows: Rows, z: Float[Array, "q d"], gamma: Gamma) -> Float[Array, "q chunk"]:
    """sigma_t² log p(x_i | z_t) up to a constant of each query, for one chunk: <z, alpha x_i> - ½||alpha x_i||²."""
    alpha, _ = alpha_sigma(gamma)
    return product(alpha * z, rows.x.T) + alpha**2 * rows.offset[None]


def matrix_posterior(
    x: Float[Array, "n d"], z: Float[Array, "q d"], gamma: Gamma, values: Float[Array, "n k"], chunk: int = CHUNK
) -> Float[Array, "q k"]:
    """E[values_i | z_t] over the rows x_i. One-hot values give class probabilities, the rows themselves E[x | z_t].

    Streamed in chunks of rows with a running log-sum-exp: [Q, N] is never held.
    """
    rows = in_chunks(x, chunk)
    return weighted_mean(rows, z, gamma, chunked_values(values, rows))


def chunked_values(values: Float[Array, "n k"], rows: Chunked) -> Float[Array, "m chunk k"]:
    """Values of every row in the chunks of `rows`, 0 for padding."""
    num, chunk = rows.offset.shape
    return jnp.pad(values, ((0, num * chunk - values.shape[0]), (0, 0))).reshape(num, chunk, -1)


def weighted_mean(
    rows: Rows, z: Float[Array, "q d"], gamma: Gamma, values: Float[Array, "m chunk k"]
) -> Float[Array, "q k"]:
    """`matrix_posterior` of rows and values in chunks."""

    def add(carry, part):
        top, total, sums = carry
        rows, values = part
        # One rounding for the maximum and for what it is subtracted from: 1/sigma² multiplies any other by up to 5e8.
        found = jax.lax.optimization_barrier(match(rows, z, gamma))
        new_top = jnp.maximum(top, found.max(axis=1))
        weights = jnp.exp(inverse_variance(gamma) * (found - new_top[:, None]))
        shrink = jnp.exp(inverse_variance(gamma) * (top - new_top))
        return (new_top, shrink * total + weights.sum(axis=1), shrink[:, None] * sums + product(weights, values)), None

    start = (jnp.full(z.shape[0], -jnp.inf), jnp.zeros(z.shape[0]), jnp.zeros((z.shape[0], values.shape[2])))
    (_, total, sums), _ = jax.lax.scan(add, start, (rows, values))
    return sums / total[:, None]


def best_row(rows: Chunked, num: int, scores: Callable[[Any, Integer[Array, ""]], Float[Array, "q chunk"]]) -> Index:
    """For each of `num` queries the index of the row with the highest score, the first of several.

    scores: (a chunk of rows, its number) -> [Q, chunk], -inf for padding.
    """

    def look(carry, part):
        top, best = carry
        chunk, number = part
        found = scores(chunk, number)
        here = found.argmax(axis=1)
        highest = jnp.take_along_axis(found, here[:, None], axis=1)[:, 0]
        index = number * chunk.offset.shape[0] + here
        return (jnp.maximum(top, highest), jnp.where(highest > top, index, best)), None

    start = (jnp.full(num, -jnp.inf), jnp.zeros(num, jnp.int32))
    (_, best), _ = jax.lax.scan(look, start, (rows, jnp.arange(rows.offset.shape[0], dtype=jnp.int32)))
    return best


class Alike(NamedTuple):
    """The rows sorted so that equal ones follow each other."""

    order: Int[Array, " n"]
    start: Int[Array, " n"]  # of each row, where its equals begin in `order`
    count: Int[Array, " n"]  # of each row, how many these are, itself among them


def equal_rows(*sources: RowSource) -> Alike:
    """Which rows are equal, in each of several matrices, by digests of their bytes."""
    first: dict[bytes, int] = {}
    rows = (parts for block in blocks(*sources) for parts in zip(*block, strict=True))
    group = np.array([first.setdefault(_digest(parts), len(first)) for parts in rows])
    count = np.bincount(group)
    start = np.cumsum(count) - count
    order = np.argsort(group, kind="stable")
    return Alike(*(jnp.asarray(values, jnp.int32) for values in (order, start[group], count[group])))


def _digest(parts: tuple[np.ndarray, ...]) -> bytes:
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).digest()


def pick_alike(equal: Alike, key: Key[Array, ""], index: Index) -> Index:
    """For each row one of those equal to it, each as likely."""
    place = jax.random.randint(key, index.shape, 0, equal.count[index])
    return equal.order[equal.start[index] + place]


class Correlations(NamedTuple):
    """The products of Q clean images and their noise with every member x_i of a population, for any noise level:
    log p(x_i | z_t) = SNR signal + √SNR noise, up to a constant of each query, for z_t = alpha x + sigma eps."""

    signal: Float[Array, "q ..."]  # of rows, [Q, N]: <x_i, x> - ½||x_i||²
    noise: Float[Array, "q ..."]  # of rows, [Q, N]: <x_i, eps>


def correlate(rows: Float[Array, "n d"], x: Float[Array, "q d"], eps: Float[Array, "q d"]) -> Correlations:
    """Two matrix products, that serve all noise levels: 4 Q N D operations once."""
    return Correlations(product(x, rows.T) - 0.5 * jnp.sum(rows**2, axis=1)[None], product(eps, rows.T))


def correlated_posterior(found: Correlations, gamma: Gamma, values: Float[Array, "n k"]) -> Float[Array, "q2 k"]:
    """E[values_i | z_t] of every query with its noise, then of every query with the mirror image of it: [2 Q, K]."""
    snr = jnp.exp(-gamma)
    roots = (jnp.sqrt(snr), -jnp.sqrt(snr))
    weights = (jax.nn.softmax(snr * found.signal + r * found.noise, axis=1) for r in roots)
    return jnp.concatenate([product(each, values) for each in weights])
