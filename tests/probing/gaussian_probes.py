"""Probes of which side of two Gaussians a point came from: an ensemble small enough to train in a test."""

import jax
import jax.numpy as jnp
import numpy as np

from vdm_jax.base.mesh import make_mesh
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.probing.ensemble import Ensemble, Training
from vdm_jax.probing.example_sources import ExampleSource, make_forward_source
from vdm_jax.probing.heads import make_heads, make_members
from vdm_jax.probing.nets import make_net

FEATURES = {
    "side": Feature(np.array([0.5, 0.5])),
    "value": Feature(np.array([0.5, 0.5]), np.array([[-1.0], [1.0]])),
}
POINTS = jnp.array([[-1.0], [1.0]])
TIMESTEPS = np.array([100, 300, 500])
GAMMAS = jnp.array([-1.0, 0.0, 1.0])


def side_source(num: int = 2) -> ExampleSource:
    """x = ±1 with its side; index 0 … num - 1, even and odd."""
    return make_forward_source(lambda i, key: POINTS[i % 2], lambda i: {"side": i % 2, "value": i % 2}, np.arange(num))


def make_ensemble(
    *,
    net: str = "mlp",
    members: str = "separate",
    seeds=(0, 1),
    devices: int = 1,
    batching: str = "map",
    features=("side", "value"),
    hidden=(8,),
    **training,
) -> Ensemble:
    heads = make_heads({name: FEATURES[name] for name in features}, "values")
    members = make_members(heads, members, seeds)
    settings = dict(
        batch_size=32, num_updates=12, updates_per_round=4, learning_rate=0.02, patience=9, num_validation=64
    )
    net = make_net(net, (1,), members.num_outputs, hidden=hidden)
    feed = side_source()
    mesh = make_mesh(devices)
    return Ensemble(net, members, feed, feed, Training(**settings | training), POINTS, mesh, batching)


def key_of(seed: int = 0):
    return jax.random.key(seed)
