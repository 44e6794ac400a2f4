"""The VAE-VDM on real digits with linear networks: all of the model but the time its networks take."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from configs import digits
from vdm_jax.base.keys import named_key
from vdm_jax.data.sources import load_data
from vdm_jax.experiments.common.codes import encode_all
from vdm_jax.experiments.common.models import make_vae_vdm
from vdm_jax.models.diffusion import DiffusionModel
from vdm_jax.networks.network import Network

W_DIM = 16
DATA = load_data("digits")
LEVELS = DATA.test.levels[:12]
TERMS = ("reconstruction", "prior", "diffusion")


def linear_decoder(reads_w: bool = True) -> Network:
    """prediction = z + linear(z, t, w)."""

    def init(key):
        shapes = {"z": (64, 64), "t": (1, 64), "w": (W_DIM, 64)}
        return {name: 0.1 * jax.random.normal(named_key(key, name), shape) for name, shape in shapes.items()}

    def apply(params, z, t, w=None, *, key=None):
        h = z.reshape(-1, 64) @ params["z"] + t.reshape(-1, 1) @ params["t"]
        if reads_w and w is not None:
            h = h + w @ params["w"]
        return z + h.reshape(z.shape)

    return Network(init, apply)


def linear_encoder() -> Network:
    def init(key):
        return {"moments": 0.1 * jax.random.normal(key, (64, 2 * W_DIM))}

    def apply(params, x, *, key=None):
        mu, logvar = jnp.split(x.reshape(-1, 64) @ params["moments"], 2, axis=1)
        return mu, logvar

    return Network(init, apply)


def make(deltas=(), *, network=None, **of_the_code) -> DiffusionModel:
    """The model of configs/digits.py with `deltas` and linear networks; its code, if any, changed by `of_the_code`."""
    config = digits.get_config("beta1")
    config.update_from_flattened_dict(dict(deltas))
    model = make_vae_vdm(config, DATA)
    code = None if model.code is None else replace(model.code, **({"encoder": linear_encoder()} | of_the_code))
    return replace(model, network=network or linear_decoder(), code=code)


LINEAR = make()
compiled = functools.cache(jax.jit)


def loss_and_metrics(model, seed=0, batch=None):
    params = model.init(jax.random.key(0))
    batch = {"levels": LEVELS} if batch is None else batch
    return compiled(model.loss_fn)(params, model.init_carry(), batch, jax.random.key(seed), 0)


def coded(model, params, levels=LEVELS) -> dict[str, np.ndarray]:
    mu, logvar = encode_all(model, params, levels, 5)
    return {"levels": levels, "mu": mu, "logvar": logvar}


def keys_of_images() -> jax.Array:
    return jax.random.split(jax.random.key(5), len(LEVELS))
