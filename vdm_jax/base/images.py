"""Images as levels 0 … K-1, and as the pixel values that models see."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer


def even_pixel_values(num_levels: int) -> Float[np.ndarray, " k"]:
    """K evenly spaced values in ±(1 - 1/K), the convention of VDM: `(2 k + 1) / K - 1`. -> [K], float32."""
    return ((2 * np.arange(num_levels) + 1) / num_levels - 1).astype(np.float32)


def to_pixels(
    levels: Integer[Array | np.ndarray, "*shape"], pixel_values: Float[Array | np.ndarray, " k"]
) -> Float[Array, "*shape"]:
    """Levels 0 … K-1 to the values `pixel_values[level]` that models see."""
    return jnp.asarray(pixel_values)[levels]


def to_unit(levels: np.ndarray, num_levels: int) -> Float[np.ndarray, "*shape"]:
    """Levels 0 … K-1 to [0, 1], for figures and image metrics."""
    return (np.asarray(levels) / (num_levels - 1)).astype(np.float32)


def image_grid(images: Float[np.ndarray, "n h w c"], num_columns: int, pad: int = 1) -> Float[np.ndarray, "H W c"]:
    """Images in [0, 1], row by row on a mid-grey background, `pad` pixels apart."""
    n, h, w, c = images.shape
    num_rows = -(-n // num_columns)
    grid = np.full((num_rows * (h + pad) + pad, num_columns * (w + pad) + pad, c), 0.5, np.float32)
    for i, image in enumerate(images):
        top, left = pad + (i // num_columns) * (h + pad), pad + (i % num_columns) * (w + pad)
        grid[top : top + h, left : left + w] = image
    return grid
