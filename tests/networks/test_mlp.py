"""The denoiser of vectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.networks.mlp import make_mlp_denoiser


@pytest.mark.slow
def test_it_starts_at_zero_and_every_parameter_but_the_last_layer_waits_for_that(key):
    model = make_mlp_denoiser(5, width=8, num_blocks=2)
    params = model.init(key)
    z, t = jnp.ones((3, 5)), jnp.array([0.0, 0.5, 1.0])
    np.testing.assert_array_equal(model.apply(params, z, t), np.zeros((3, 5)))
    grads = jax.grad(lambda params: model.apply(params, z, t).sum())(params)
    assert np.abs(grads["out"]["kernel"]).max() > 0 and np.abs(grads["in"]["kernel"]).max() == 0


def test_it_reads_the_vector_and_the_time(key):
    model = make_mlp_denoiser(5, width=8, num_blocks=2)
    params = model.init(key)
    params["out"]["kernel"] = jnp.ones((8, 5))
    z = jax.random.normal(jax.random.key(1), (1, 5))
    out = model.apply(params, jnp.concatenate([z, z, -z]), jnp.array([0.2, 0.7, 0.2]))
    assert np.abs(out[0] - out[1]).max() > 1e-3 and np.abs(out[0] - out[2]).max() > 1e-3
