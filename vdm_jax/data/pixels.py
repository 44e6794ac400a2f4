"""The space of a data set's pixels."""

from vdm_jax.base.space import Space, pixel_space
from vdm_jax.data.dataset import Dataset


def pixels_of(data: Dataset) -> Space:
    """`pixel_space` with the shape and the pixel values of `data`."""
    return pixel_space(data.shape, data.pixel_values)
