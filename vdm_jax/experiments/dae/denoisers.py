"""The DAEs that the jobs compare: trained, optimal on training sets of several sizes, and linear."""

from typing import NamedTuple

import jax
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.data.dataset import Dataset
from vdm_jax.experiments.dae.build import DaeExperiment, pixels_of, take_subset
from vdm_jax.models.dae import Dae, DenoisingAutoencoder, fit_linear, linear_dae, optimal_dae

Pixels = Float[np.ndarray, "_ h w c"]
TRAINED, OPTIMAL, LINEAR = "trained", "optimal", "linear"


class Known(NamedTuple):
    """A DAE and the training images that it knows."""

    dae: Dae
    images: Pixels
    sigma_range: tuple[float, float] = (0.0, np.inf)  # of the sigmas that it takes

    def takes(self, sigma: float) -> bool:
        """Whether it is made for this sigma."""
        return self.sigma_range[0] <= sigma <= self.sigma_range[1]


def known_daes(model: DenoisingAutoencoder, params: PyTree, images: Pixels, *, linear: bool = True) -> dict[str, Known]:
    """The trained, the optimal and perhaps the linear DAE of the images of the subset."""
    found = {
        TRAINED: Known(Partial(model.denoise, params), images, model.sigma_range),
        OPTIMAL: Known(optimal_dae(images), images),
    }
    return found | ({LINEAR: Known(linear_dae(fit_linear(images)), images)} if linear else {})


def optimal_by_size(data: Dataset, subset: ConfigDict, sizes: list[int]) -> dict[str, Known]:
    """The optimal DAEs of the first so many images in the order of the subset; of all where there are fewer."""
    found = {}
    for size in sizes:
        images = pixels_of(take_subset(data.train, size, subset.seed), data)
        found[f"{OPTIMAL} {len(images)}"] = Known(optimal_dae(images), images)
    return found


def noisy(key: Key[Array, ""], images: Pixels, sigma: float) -> Pixels:
    """Images plus noise of deviation sigma; the noise is the same at every sigma."""
    return images + np.float32(sigma) * np.asarray(jax.random.normal(named_key(key, "eps"), images.shape))


def unit_of(data: Dataset) -> float:
    """The difference of the largest and the smallest pixel value, by which distances are put in [0, 1] pixels."""
    return float(data.pixel_values[-1] - data.pixel_values[0])


def images_of(experiment: DaeExperiment) -> tuple[Pixels, Pixels]:
    """The pixels of the subset and of the test images that the jobs use."""
    config, data, subset = experiment.config, experiment.data, experiment.subset
    return pixels_of(subset, data), pixels_of(data.test.first(config.evaluate.num_images), data)
