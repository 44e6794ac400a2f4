"""Images that a model was not trained on, in the shape and the levels of its own."""

from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.images import levels_to_bytes, resized_levels
from vdm_jax.base.keys import named_key
from vdm_jax.data.dataset import Dataset
from vdm_jax.experiments.common.build import load

SHUFFLED = "shuffled pixels"
Images = Float[np.ndarray, "n h w c"]


def foreign_data(names: list[str], own: Dataset) -> dict[str, Dataset]:
    """The data sets "SOURCE/NAME", by NAME. Raises `UserError`, also where the images of `own` are not square."""
    found = {}
    for each in names:
        source, slash, name = each.partition("/")
        if not slash:
            raise UserError(f"config.reconstruct.foreign has {each!r}; expected SOURCE/NAME, such as npz/mnist")
        found[Path(name).name] = load(ConfigDict(dict(source=source, name=name)))
    if names and (own.shape[0] != own.shape[1] or own.shape[2] not in (1, 3)):
        told = f"images of {own.name!r} are {own.shape}; foreign ones are resized to grey or colour squares alone"
        raise UserError(f"{told}: leave config.reconstruct.foreign empty")
    return found


def as_own(foreign: Dataset, own: Dataset, num_images: int) -> Images:
    """The first test images of `foreign` as pixels of `own`: its size (bicubic), channels, and nearest levels."""
    side, _, channels = own.shape
    found = []
    for image in levels_to_bytes(foreign.test.first(num_images).levels, foreign.num_levels):
        grey = image.mean(2, keepdims=True).round().astype(np.uint8)
        image = image if image.shape[2] == channels else grey.repeat(channels, axis=2)
        found.append(resized_levels(image, side))
    levels = np.round(np.stack(found) / 255 * (own.num_levels - 1)).astype(int)
    return np.asarray(own.pixel_values)[levels]


def shuffled(x: Images, seed: int) -> Images:
    """The images with their values in another order, the same for all: each value keeps its distribution, and no two
    neighbours remain."""
    order = jax.random.permutation(named_key(jax.random.key(seed), SHUFFLED), x[0].size)
    return x.reshape(len(x), -1)[:, np.asarray(order)].reshape(x.shape)
