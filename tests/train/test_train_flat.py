"""Updates of vectors against the same updates of trees."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.mesh import make_mesh, replicate
from vdm_jax.train.checkpoint import to_parts
from vdm_jax.train.flat import layout_of
from vdm_jax.train.optimizer import make_optimizer
from vdm_jax.train.state import as_trees, as_vectors, averaged, init_state
from vdm_jax.train.step import make_train_step

PARAMS = {"net": {"kernel": np.ones((3, 2), np.float32), "bias": np.zeros(2, np.float32)}, "gamma": np.float32(2)}
X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
SOME = {"net": {"kernel": True, "bias": True}, "gamma": False}


def loss_fn(params, carry, batch, key, step):
    error = batch @ params["net"]["kernel"] + params["net"]["bias"][None] - params["gamma"] * batch[:, :2]
    return jnp.sum(error**2, axis=1) * jnp.where(step == 2, jnp.nan, 1.0), {}


def train(flat: bool, decays, num_devices: int = 1, **settings):
    layout = layout_of(PARAMS)
    of_vectors = None if decays is None else lambda _: layout.spread(decays)
    chosen = of_vectors if flat or decays is None else lambda _: decays
    optimizer = make_optimizer(0.1, num_steps=9, weight_decay=0.5, clip=0.3, decays=chosen)
    mesh = make_mesh(num_devices)
    step = make_train_step(
        loss_fn, optimizer, jax.random.key(0), mesh=mesh, batch_fn=lambda data, _: data, ema_decay=0.8, **settings
    )
    state = replicate(init_state(PARAMS, optimizer, {"kept": jnp.float32(1)}), mesh)
    state = replicate(as_vectors(state), mesh) if flat else state
    for _ in range(4):
        state, metrics = step(state, X)
    assert (state.layout is not None) == flat
    return state, metrics


@pytest.mark.parametrize("decays", [None, SOME])
@pytest.mark.parametrize("settings", [{}, {"accumulate": 2, "num_devices": 2}, {"steps_per_call": 2}])
def test_vectors_and_trees_take_the_same_steps(decays, settings):
    """With clipping, weight decay of some, averages, and an update that is skipped."""
    (flat, flat_metrics), (trees, metrics) = (train(flat, decays, **settings) for flat in (True, False))
    assert int(flat.skipped) == 1
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
    jax.tree.map(close, jax.device_get((as_trees(flat), flat_metrics)), jax.device_get((trees, metrics)))


def test_the_trees_come_back_bit_for_bit_and_are_what_is_saved():
    state, _ = train(False, SOME)
    vectors = as_vectors(state)
    assert vectors.params.shape == (9,) and jax.tree.structure(as_trees(vectors)) == jax.tree.structure(state)
    for found in (as_trees(vectors), as_trees(state)):
        jax.tree.map(np.testing.assert_array_equal, found, state)
    jax.tree.map(np.testing.assert_array_equal, averaged(vectors), state.ema_params)
    jax.tree.map(np.testing.assert_array_equal, to_parts(vectors), to_parts(state))


def test_a_tree_that_was_taken_apart_outlives_the_vector():
    state, _ = train(True, None)
    weights = averaged(state)
    before = jax.device_get(weights)
    spoil = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf * 0, state), donate_argnums=0)
    jax.block_until_ready(spoil(state))
    jax.tree.map(np.testing.assert_array_equal, weights, before)


def test_parameters_of_several_dtypes_stay_trees():
    state = init_state(PARAMS | {"half": jnp.zeros(3, jnp.bfloat16)}, make_optimizer(0.1, num_steps=1))
    assert as_vectors(state) is state
