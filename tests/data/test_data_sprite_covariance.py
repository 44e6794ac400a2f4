"""The covariance from templates and places is that of the images written out."""

import jax.numpy as jnp
import numpy as np

from vdm_jax.data.sprite_covariance import sprite_covariance
from vdm_jax.data.sprites import SpriteGrid


def test_the_covariance_of_a_grid_is_that_of_its_images():
    grid = SpriteGrid("tiny", 12, 3, (0.7, 1.0), (0.0, 0.5), (0, 1, 5), ("square", "heart"))
    images = np.asarray(grid.render(jnp.arange(len(grid))), np.float64).reshape(len(grid), -1)
    np.testing.assert_allclose(sprite_covariance(grid), np.cov(images.T, bias=True), atol=1e-12)
