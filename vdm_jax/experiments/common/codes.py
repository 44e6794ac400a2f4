"""Codes of a trained model on the host: of images, drawn from q(w | x), drawn from the prior."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, Key, PyTree

from vdm_jax.base.keys import keys_of
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.progress import bar
from vdm_jax.evals.batches import map_batches
from vdm_jax.models.code import CodeModel, draw_code
from vdm_jax.models.diffusion import DiffusionModel

Codes = Float[np.ndarray, "n d"]
Levels = Integer[np.ndarray, "n h w c"]


def encode_all(model: DiffusionModel, params: PyTree, levels: Levels, batch_size: int) -> tuple[Codes, Codes]:
    """mu, logvar of every image. Batches are all of `batch_size`: one program serves every number of images."""

    def encode(batch):
        return _encode(model, params, batch)

    return map_batches(encode, levels, batch_size, progress=bar("codes"), place=across_devices, whole=True)


def encoder_of(model: DiffusionModel, params: PyTree, batch_size: int) -> Callable[[Levels], tuple[Codes, Codes]]:
    """`encode(levels) -> mu, logvar` with these parameters."""
    return lambda levels: encode_all(model, params, levels, batch_size)


@partial(jax.jit, static_argnums=0)
def _encode(model: DiffusionModel, params: PyTree, levels: Integer[Array, "b h w c"]):
    return model.encode(params, model.to_x(levels))


def sample_codes(key: Key[Array, ""], mu: Codes, logvar: Codes) -> Codes:
    """w ~ q(w | x) of every image."""
    return np.asarray(draw_code(key, jnp.asarray(mu), jnp.asarray(logvar)))


def prior_codes(code: CodeModel, params: PyTree, key: Key[Array, ""], indices: int | Int[np.ndarray, " n"]) -> Codes:
    """w ~ p(w), the model's prior, of the images `indices`; a number N stands for 0 … N - 1. w of image i is a function
    of `key` and i alone."""
    indices = np.arange(indices) if np.ndim(indices) == 0 else indices
    return np.asarray(_draw_prior(code, params, key, indices))


@partial(jax.jit, static_argnums=0)
def _draw_prior(code: CodeModel, params: PyTree, key: Key[Array, ""], indices: Int[Array, " n"]):
    return code.draw_prior(params, keys_of(key, indices), len(indices))
