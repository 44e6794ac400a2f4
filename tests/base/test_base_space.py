import jax
import numpy as np

from vdm_jax.data.pixels import pixels_of
from vdm_jax.data.sources import load_data


def test_the_space_of_pixels_is_the_identity():
    data = load_data("digits")
    space, levels = pixels_of(data), data.test.first(5).levels
    mean, variance = jax.jit(space.moments)(space.params, levels)
    assert variance is None and space.log_prob is None and space.fingerprint == "" and space.shape == (8, 8, 1)
    np.testing.assert_array_equal(mean, data.pixel_values[levels])
    np.testing.assert_array_equal(space.decode(space.params, mean), mean)
    assert space.x_range == (float(data.pixel_values[0]), float(data.pixel_values[-1]))
