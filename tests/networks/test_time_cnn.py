"""The coursework's denoiser: its parameter count by hand, where the time enters, and how far a pixel reaches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.pytrees import num_parameters
from vdm_jax.networks.sizes import TIME_CNN_SIZES
from vdm_jax.networks.time_cnn import frequency_features, make_time_cnn


def test_parameters_are_those_of_the_source():
    convolutions = [(7, 1, 16), (7, 16, 32), (7, 32, 32), (7, 32, 16), (3, 16, 1)]
    layers = [(32, 128), (128, 128), (128, 16)]
    by_hand = sum(k * k * i * o + o for k, i, o in convolutions) + sum(i * o + o for i, o in layers)
    network = make_time_cnn((28, 28, 1), **TIME_CNN_SIZES["coursework"])
    assert num_parameters(jax.eval_shape(network.init, jax.random.key(0))) == by_hand == 124_177


def test_frequencies_grow_exponentially():
    found = np.asarray(frequency_features(jnp.array([0.0, 0.25])))
    assert found.shape == (2, 32)
    np.testing.assert_allclose(found[0], [0.0] * 16 + [1.0] * 16)
    np.testing.assert_allclose(found[1, [0, 1, 16]], [1, np.sin(0.75 * np.pi), 0], atol=1e-6)


def test_where_the_time_enters_and_how_far_a_pixel_reaches(key):
    """With no other weights than those of the time the output is one value everywhere, but at the edges. A pixel
    reaches 3 + 3 + 1 pixels: the last kernel is 3x3."""
    network = make_time_cnn((20, 20, 1), widths=(2, 2))

    @jax.jit
    def run(params, z):
        blind = jax.tree.map(lambda leaf: leaf + 0.1, params) | {"conv1": jax.tree.map(jnp.zeros_like, params["conv1"])}
        out, pull = jax.vjp(lambda z: network.apply(params, z, jnp.array([0.1, 0.9])), z)
        return network.apply(blind, z, jnp.array([0.1, 0.9])), pull(jnp.zeros_like(out).at[0, 10, 10, 0].set(1))[0]

    found, reached = map(np.asarray, run(network.init(key), jnp.zeros((2, 20, 20, 1))))
    inner = found[:, 4:-4, 4:-4]
    np.testing.assert_allclose(inner, np.broadcast_to(inner[:, :1, :1], inner.shape), rtol=1e-5)
    assert abs(inner[0, 0, 0, 0] - inner[1, 0, 0, 0]) > 1e-3, "the two times give two values"
    assert np.flatnonzero(np.abs(reached[0, :, :, 0]).max(0) > 0).tolist() == list(range(3, 18))


def test_layers_have_a_width():
    with pytest.raises(UserError, match=r"widths=\(\); expected a whole number above 0"):
        make_time_cnn((8, 8, 1), widths=())
