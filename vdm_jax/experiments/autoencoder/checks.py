"""Checks of the settings of autoencoders: every mistake is found before a job starts."""

import math

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.data.dataset import Dataset
from vdm_jax.evals.inception_weights import read_weights
from vdm_jax.experiments.common.autoencoders import CLASSIFIER, INCEPTION, LIKELIHOOD, check_names
from vdm_jax.experiments.common.checks import check_numbers

FACTOR = 4  # by which spatial latents are smaller than the image
SMALLEST_FOR_PATCHES = 16  # side of an image that has several patches for the discriminator
NUMBERS = (
    (
        "1 to 65,536",
        lambda value: 1 <= value <= 65_536,
        "model.latents model.latent_channels model.channels reconstruction.discriminator_channels",
    ),
    ("2 to 1,000,000", lambda value: 2 <= value <= 1_000_000, "quantiser.num_codes sample.interpolation_steps"),
    (
        "at least 1",
        lambda value: value >= 1,
        "encode.batch_size evaluate.readout_steps sample.interpolations sample.traversals",
    ),
    ("at least 10", lambda value: value >= 10, "evaluate.readout_images evaluate.prior_images"),
    ("0 for none, or at least 10", lambda value: value == 0 or value >= 10, "evaluate.disentanglement_images"),
    ("at least 0", lambda value: value >= 0, "reconstruction.discriminator_start"),
    ("a number from 0 to below 1", lambda value: 0 <= value < 1, "quantiser.decay"),
    (
        "a number not below 0",
        lambda value: 0 <= value < math.inf,
        "quantiser.commitment quantiser.restart_below regulariser.lambda_od regulariser.lambda_d "
        "reconstruction.perceptual reconstruction.discriminator",
    ),
    ("a number above 0", lambda value: 0 < value < math.inf, "model.sigma evaluate.on_data"),
)


def check_autoencoder(config: ConfigDict) -> None:
    """Raises `UserError` for an unknown name, a number out of range, or an unusable file."""
    check_names(config)
    check_numbers(config, NUMBERS)
    own = config.reconstruction
    if own.loss != LIKELIHOOD and own.perceptual and own.features == INCEPTION:
        if not own.inception:
            way = "name the npz file of its weights in config.reconstruction.inception (configs/README.md, FID)"
            raise UserError(f"config.reconstruction.features='inception': {way}")
        read_weights(own.inception)


def check_images(config: ConfigDict, data: Dataset) -> None:
    """Raises `UserError` for images that these networks and losses do not take."""
    height, width, channels = data.shape
    images = f"the images of {data.name!r} have {height}x{width} pixels"
    if height % FACTOR or width % FACTOR:
        way = "--config.data.size resizes a folder of images"
        raise UserError(f"{images}, and an autoencoder needs sides divisible by {FACTOR}; {way}")
    if config.model.conditional and not data.num_classes:
        why = f"config.model.conditional=True needs labels, and data {data.name!r} have none"
        raise UserError(f"{why}; set config.model.conditional=False, or add labels to the data")
    own, smallest = config.reconstruction, min(height, width)
    if own.loss == LIKELIHOOD:
        return
    if own.discriminator and smallest < SMALLEST_FOR_PATCHES:
        why = f"config.reconstruction.discriminator={own.discriminator}: {images}"
        least = f"a discriminator of patches needs at least {SMALLEST_FOR_PATCHES}x{SMALLEST_FOR_PATCHES}"
        raise UserError(f"{why}, and {least}; set config.reconstruction.discriminator=0")
    if own.perceptual and own.features == CLASSIFIER and not data.num_classes:
        why = f"config.reconstruction.perceptual={own.perceptual} needs labels for its classifier"
        raise UserError(f"{why}, and data {data.name!r} have none; set config.reconstruction.perceptual=0")
    if own.perceptual and own.features == INCEPTION and channels not in (1, 3):
        why = f"InceptionV3 takes images of 1 or 3 channels, and those of {data.name!r} have {channels}"
        raise UserError(f"config.reconstruction.features='inception': {why}; set config.reconstruction.perceptual=0")


def check_held_out(config: ConfigDict, data: Dataset, num_devices: int) -> None:
    """Raises `UserError` for fewer validation images than a rate mode needs that is steered by them."""
    parts = config.train.accumulate * num_devices
    if len(data.validation) < parts:
        needs = f"config.rate.mode={config.rate.mode!r} needs {parts} validation images, one for each device and part"
        raise UserError(f"{needs} of a batch (config.train.accumulate); data {data.name!r} have {len(data.validation)}")
