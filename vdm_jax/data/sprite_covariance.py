"""The covariance of the pixels over a whole grid of sprites, without the images."""

import numpy as np
from jaxtyping import Float

from vdm_jax.data.sprites import SpriteGrid


def sprite_covariance(grid: SpriteGrid) -> Float[np.ndarray, "d d"]:
    """Cov[x] over all images of `grid`, pixels of ±1, d = side².

    Every template is equally often at every place: the products of the templates' pixels are added up over the places.
    """
    side, window = grid.side, grid.window
    masks = grid.templates.reshape(grid.num_templates, -1).astype(np.float64)
    together = (masks.T @ masks / len(grid)).reshape(window, window, window, window)
    alone = masks.sum(axis=0).reshape(window, window) / len(grid)
    products, mean = np.zeros((side, side, side, side)), np.zeros((side, side))
    for top in grid.offsets:
        rows = slice(top, top + window)
        for left in grid.offsets:
            columns = slice(left, left + window)
            products[rows, columns, rows, columns] += together
            mean[rows, columns] += alone
    return 4 * (products.reshape(side**2, side**2) - np.outer(mean, mean))
