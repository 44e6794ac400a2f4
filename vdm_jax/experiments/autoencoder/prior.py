"""Priors of latents: N(0, I), Gaussians fitted to latents, codes by their frequencies at each place.

Draw i of each is a function of its key alone, so that a set may be made in parts.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int64, Key, PyTree

from vdm_jax.base.keys import normal

FITTED = 10_000  # latents, at most, that a prior is fitted to
PRIOR, COVARIANCE = "prior", "prior_covariance"
Latents = Float[np.ndarray, "n ..."]


class LatentPrior(NamedTuple):
    """What latents are drawn from.

    params: arrays; an argument of what is compiled.
    draw: `draw(params, keys [B]) -> u [B, *latent]`.
    """

    params: PyTree
    draw: Callable[[PyTree, Key[Array, " b"]], Float[Array, "b ..."]]


def make_priors(code: str, means: Latents) -> dict[str, LatentPrior]:
    """The priors of a code "gaussian", "deterministic" or "quantised", by the names of their sets of images.

    means: latents of images, [N, *latent]: quantised ones of a quantised code. Of "gaussian" only their shape counts.
    """
    if code == "gaussian":
        return {PRIOR: per_component(np.zeros_like(means[0]), np.ones_like(means[0]))}
    if code == "quantised":
        return {PRIOR: LatentPrior({"latents": jnp.asarray(means)}, _draw_by_place)}
    return {
        PRIOR: per_component(means.mean(axis=0), means.std(axis=0)),
        COVARIANCE: with_covariance(means),
    }


def per_component(mean: Float[np.ndarray, "..."], deviation: Float[np.ndarray, "..."]) -> LatentPrior:
    """A Gaussian with independent components."""
    return LatentPrior({"mean": jnp.asarray(mean), "deviation": jnp.asarray(deviation)}, _draw_independent)


def with_covariance(latents: Latents) -> LatentPrior:
    """A Gaussian with the mean and the covariance of the latents [N, *latent], which may be singular."""
    flat = latents.reshape(len(latents), -1).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(flat, rowvar=False, bias=True).reshape(flat.shape[1], flat.shape[1]))
    factor = (vectors * np.sqrt(np.maximum(values, 0.0))).astype(np.float32)
    return LatentPrior({"mean": jnp.asarray(latents.mean(axis=0)), "factor": jnp.asarray(factor)}, _draw_correlated)


def _draw_independent(params: PyTree, keys: Key[Array, " b"]) -> Float[Array, "b ..."]:
    mean, deviation = params["mean"], params["deviation"]
    return mean[None] + deviation[None] * normal(keys, (len(keys), *mean.shape))


def _draw_correlated(params: PyTree, keys: Key[Array, " b"]) -> Float[Array, "b ..."]:
    mean, factor = params["mean"], params["factor"]
    noise = normal(keys, (len(keys), factor.shape[1]))
    return mean[None] + (noise @ factor.T).reshape(len(keys), *mean.shape)


def _draw_by_place(params: PyTree, keys: Key[Array, " b"]) -> Float[Array, "b ..."]:
    """At each place the code that a random one of the images has there: the codes' frequencies, places independent."""
    latents = params["latents"].reshape(len(params["latents"]), -1, params["latents"].shape[-1])
    num_images, num_places = latents.shape[:2]
    chosen = jax.vmap(lambda key: jax.random.randint(key, (num_places,), 0, num_images))(keys)
    return latents[chosen, jnp.arange(num_places)[None]].reshape(len(keys), *params["latents"].shape[1:])


def code_frequencies(latents: Latents, num_codes: int) -> Float[np.ndarray, " k"]:
    """The share of each of K = `num_codes` codes among the quantised latents [N, *places, C], largest first."""
    counts = code_counts(latents, 1)[0]
    shares = np.zeros(max(num_codes, len(counts)))
    shares[: len(counts)] = np.sort(counts)[::-1] / counts.sum()
    return shares


def code_counts(latents: Latents, num_groups: int) -> Int64[np.ndarray, "g k"]:
    """How often each code that occurs is used in the quantised latents [N, *places, C] of each group of images.

    Image n is in group n mod G.
    """
    rows = np.ascontiguousarray(latents.reshape(-1, latents.shape[-1]))
    names, code = np.unique(rows.view([("", rows.dtype)] * rows.shape[1]), return_inverse=True)
    group = np.repeat(np.arange(len(latents)) % num_groups, len(rows) // len(latents))
    counts = np.bincount(group * len(names) + code.reshape(-1), minlength=num_groups * len(names))
    return counts.reshape(num_groups, len(names))
