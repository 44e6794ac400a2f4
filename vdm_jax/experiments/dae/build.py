"""From a config of kind "dae" to the data set, the training images that the DAEs know, and the model."""

from dataclasses import dataclass, replace
from functools import partial

import jax
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from vdm_jax.base.images import to_pixels
from vdm_jax.data.dataset import Dataset, Split
from vdm_jax.experiments.common.build import Experiment, load
from vdm_jax.experiments.common.checks import check_batch, check_data, check_settings
from vdm_jax.experiments.common.networks import make_latent_denoiser
from vdm_jax.experiments.dae.checks import check_dae, check_subset
from vdm_jax.models.dae import DenoisingAutoencoder
from vdm_jax.networks.latent_mlp import LATENT_MLPS

FROM_ZERO = "v"  # of `make_latent_denoiser`: U-Nets, too, add no x to their output


@dataclass(frozen=True)
class DaeExperiment(Experiment):
    """What every job starts from; built once a process.

    subset: the training images that the DAEs know, in an order of their own.
    """

    model: DenoisingAutoencoder
    subset: Split


def build_dae(config: ConfigDict, folder: str = "") -> DaeExperiment:
    """Checks every setting, loads the data and binds the network; nothing is compiled yet. Raises `UserError`.

    folder: of the data, where `config.data` names none.
    """
    check_settings(config, fewest_steps=0)
    check_dae(config)
    data = load(config.data, folder)
    check_data(data, config.evaluate)
    check_subset(config, len(data.train))
    subset = take_subset(data.train, config.subset.num_images, config.subset.seed)
    check_batch(config.train, max(len(subset), config.train.batch_size), jax.device_count())
    return DaeExperiment(config, data, make_dae(config.model, data, pixels_of(subset, data)), subset)


def take_subset(train: Split, num_images: int, seed: int) -> Split:
    """`num_images` (0: all) training images in the order of `seed`, the first of which a smaller number takes."""
    rows = np.random.RandomState(seed).permutation(len(train))[: num_images or None]
    return replace(train, stored=train.stored[rows], labels=None if train.labels is None else train.labels[rows])


def pixels_of(split: Split, data: Dataset) -> Float[np.ndarray, "n h w c"]:
    """The pixels of a split, on the host."""
    return data.pixel_values[split.levels]


def make_dae(settings: ConfigDict, data: Dataset, pixels: Float[np.ndarray, "n h w c"]) -> DenoisingAutoencoder:
    """The DAE of `config.model`, for images with the mean and the variance of `pixels`. Raises `UserError`."""
    shape = (data.num_dims,) if settings.network in LATENT_MLPS else data.shape
    return DenoisingAutoencoder(
        network=make_latent_denoiser(settings, shape, FROM_ZERO),
        network_shape=shape,
        mean=pixels.mean(0),
        deviation=max(float(np.sqrt(pixels.var(0).mean())), 1e-3),  # of a single image 0
        sigma_range=(settings.sigma_min, settings.sigma_max),
        to_x=partial(to_pixels, pixel_values=data.pixel_values),
    )
