"""Codes of a trained model on the host: of images, drawn from q(w | x), drawn from the prior."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.keys import keys_of, named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.progress import bar
from vdm_jax.evals.batches import map_batches
from vdm_jax.models.code import CodeModel, TimedCode, draw_code
from vdm_jax.models.diffusion import DiffusionModel

Codes = Float[np.ndarray, "n d"]
Levels = Integer[np.ndarray, "n h w c"]


def encode_all(
    model: DiffusionModel, params: PyTree, levels: Levels, batch_size: int, t: float | None = None
) -> tuple[Codes, Codes]:
    """mu, logvar of every image; of E(x, t) at the time t. Batches are all of `batch_size`: one program serves every
    number of images."""
    at = None if model.has_moments or t is None else jnp.float32(t)

    def encode(batch):
        return _encode(model, params, batch, at)

    return map_batches(encode, levels, batch_size, progress=bar("codes"), place=across_devices, whole=True)


def encoder_of(
    model: DiffusionModel, params: PyTree, batch_size: int, t: float | None = None
) -> Callable[[Levels], tuple[Codes, Codes]]:
    """`encode(levels) -> mu, logvar` with these parameters; of E(x, t) at the time t."""
    return lambda levels: encode_all(model, params, levels, batch_size, t)


@partial(jax.jit, static_argnums=0)
def _encode(model: DiffusionModel, params: PyTree, levels: Integer[Array, "b h w c"], t: Float[Array, ""] | None):
    return model.encode(params, model.to_x(levels), t=None if t is None else jnp.full(len(levels), t))


def sample_codes(key: Key[Array, ""], mu: Codes, logvar: Codes) -> Codes:
    """w ~ q(w | x) of every image."""
    return np.asarray(draw_code(key, jnp.asarray(mu), jnp.asarray(logvar)))


def guided(model: DiffusionModel, sample: ConfigDict) -> DiffusionModel:
    """The model with the guidance of `config.sample`, where it reads labels."""
    return replace(model, guidance=sample.guidance) if model.num_labels else model


def reads_condition(model: DiffusionModel) -> bool:
    """Whether the network reads a code or labels."""
    return model.code is not None or model.num_labels > 0


def conditions(
    model: DiffusionModel,
    key: Key[Array, ""],
    levels: Levels,
    moments: tuple[Codes, Codes] | None,
    labels: Int[np.ndarray, " n"] | None,
) -> PyTree:
    """What the network reads of images, [N, ...] arrays on the host: w ~ q(w | x) and the labels; None without either.

    moments: of the codes; None for E(x, t), whose `TimedCode` holds the images.
    """
    labels = jnp.asarray(labels) if model.num_labels else None
    if model.code is None:
        return None if labels is None else np.asarray(model.condition(None, labels))
    if model.has_moments:
        w = sample_codes(key, *moments)
        return w if labels is None else np.asarray(model.condition(jnp.asarray(w), labels))
    noise = jax.random.normal(key, (len(levels), model.code.w_dim))
    beside = None if labels is None else model.condition(None, labels)
    return jax.tree.map(np.asarray, TimedCode(model.to_x(jnp.asarray(levels)), noise, beside))


def prior_conditions(
    model: DiffusionModel,
    params: PyTree,
    key: Key[Array, ""],
    labels: Int[np.ndarray, " m"] | None,
    indices: int | Int[np.ndarray, " n"],
) -> PyTree:
    """What the network reads of new images: w ~ p(w), and a label of one of the M training images at random; None
    without either. As in `prior_codes`, that of image i depends on `key` and i alone."""
    w = None if model.code is None else prior_codes(model.code, params, key, indices)
    if not model.num_labels:
        return w
    indices = np.arange(indices) if np.ndim(indices) == 0 else indices
    keys = keys_of(named_key(key, "labels"), jnp.asarray(indices))
    drawn = jnp.asarray(labels)[jax.vmap(lambda key: jax.random.randint(key, (), 0, len(labels)))(keys)]
    return np.asarray(model.condition(None if w is None else jnp.asarray(w), drawn))


def prior_codes(code: CodeModel, params: PyTree, key: Key[Array, ""], indices: int | Int[np.ndarray, " n"]) -> Codes:
    """w ~ p(w), the model's prior, of the images `indices`; a number N stands for 0 … N - 1. w of image i is a function
    of `key` and i alone."""
    indices = np.arange(indices) if np.ndim(indices) == 0 else indices
    return np.asarray(_draw_prior(code, params, key, indices))


@partial(jax.jit, static_argnums=0)
def _draw_prior(code: CodeModel, params: PyTree, key: Key[Array, ""], indices: Int[Array, " n"]):
    return code.draw_prior(params, keys_of(key, indices), len(indices))
