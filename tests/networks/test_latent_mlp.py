"""The thesis' denoisers of vectors: what each layer computes, and the output that starts at zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.pytrees import num_parameters
from vdm_jax.networks.blocks import time_embedding
from vdm_jax.networks.latent_mlp import EMBEDDING, LATENT_MLPS, make_latent_mlp

D, WIDTH = 5, 8
Z, T = np.random.RandomState(0).standard_normal((3, D)).astype(np.float32), jnp.array([0.0, 0.5, 1.0])


def dense(layer, h):
    return h @ layer["kernel"] + layer["bias"][None]


def swish(h):
    return h / (1 + np.exp(-h))


def norm(layer, h):
    h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-6)
    return swish(h * layer["scale"][None] + layer["bias"][None])


def by_hand(kind, params):
    """DIFF-MLP and DIFF-ConcMLP of two layers, DIFF-ResMLP of one more at each end."""
    params = jax.tree.map(np.asarray, params)
    embedding = np.asarray(time_embedding(T, EMBEDDING))
    h = dense(params["in"], Z) if kind == "resmlp" else Z
    for i in range(2):
        time = dense(params[f"time{i}_2"], swish(dense(params[f"time{i}_1"], embedding)))
        if kind == "mlp":
            h = swish(dense(params[f"layer{i}"], h) + time)
        elif kind == "concmlp":
            h = swish(dense(params[f"layer{i}"], np.concatenate([h, time], axis=-1)))
        else:
            inner = swish(dense(params[f"first{i}"], norm(params[f"norm{i}"], h)) + time)
            h = h + dense(params[f"second{i}"], inner)
    return dense(params["out"], norm(params["norm_out"], h) if kind == "resmlp" else h)


@pytest.mark.parametrize("kind", LATENT_MLPS)
def test_each_computes_what_the_thesis_draws(key, kind):
    network = make_latent_mlp((D,), kind=kind, width=WIDTH, num_layers=2, zero_init=False)
    params = network.init(key)
    np.testing.assert_allclose(network.apply(params, jnp.asarray(Z), T), by_hand(kind, params), atol=1e-5)
    last = WIDTH * D + D
    own = {
        "mlp": D * WIDTH + WIDTH * WIDTH + 2 * WIDTH,
        "concmlp": (D + WIDTH) * WIDTH + 2 * WIDTH * WIDTH + 2 * WIDTH,
        "resmlp": D * WIDTH + WIDTH + 4 * (WIDTH * WIDTH + WIDTH) + 3 * 2 * WIDTH,
    }
    assert num_parameters(params) == own[kind] + last + 2 * (EMBEDDING * WIDTH + WIDTH + WIDTH * WIDTH + WIDTH)


@pytest.mark.parametrize("kind", LATENT_MLPS)
def test_the_output_starts_at_zero(key, kind):
    network = make_latent_mlp((D,), kind=kind, width=WIDTH, num_layers=2)
    assert not np.any(network.apply(network.init(key), jnp.asarray(Z), T))


def test_an_unknown_network_is_named():
    with pytest.raises(UserError, match="did you mean 'resmlp'"):
        make_latent_mlp((D,), kind="resmpl")
