"""From a config of kind "degradation" to the data set, the degradation and the restoration."""

from dataclasses import dataclass

import jax
import numpy as np
from ml_collections import ConfigDict

from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.degradation.chains import ForwardProcess
from vdm_jax.diffusion.degradation.functions import DEGRADATIONS, Degrade, make_degradation
from vdm_jax.diffusion.degradation.user import user_degradation
from vdm_jax.diffusion.likelihood import LevelLikelihood
from vdm_jax.experiments.common.build import Experiment, load
from vdm_jax.experiments.common.checks import check_batch, check_data, check_settings
from vdm_jax.experiments.common.networks import make_denoiser
from vdm_jax.experiments.degradation.checks import FUNCTION, check_degradation
from vdm_jax.models.degradation import RestorationModel

IMAGES_AT_ONCE = 10_000  # of the mean image


@dataclass(frozen=True)
class RestorationExperiment(Experiment):
    """What every job starts from; built once a process."""

    model: RestorationModel


def build_degradation(config: ConfigDict, folder: str = "") -> RestorationExperiment:
    """Checks every setting, loads the data and binds the degradation and the network; nothing is compiled yet. Raises
    `UserError`.

    folder: of the data, where `config.data` names none.
    """
    check_settings(config)
    check_degradation(config)
    data = load(config.data, folder)
    check_data(data, config.evaluate)
    check_batch(config.train, len(data.train), jax.device_count())
    return RestorationExperiment(config, data, make_restoration(config, data))


def make_restoration(config: ConfigDict, data: Dataset) -> RestorationModel:
    """The model of a config, for images like those of `data`. Raises `UserError`."""
    settings, model = config.degradation, config.model
    low, high = (float(value) for value in data.pixel_values[[0, -1]])
    return RestorationModel(
        network=make_denoiser(
            model, data.shape, section="model", default="multiscale", dropout=model.dropout, dtype=model.dtype
        ),
        process=ForwardProcess(degradation_of(settings, data), float(settings.noise)),
        num_steps=settings.num_steps,
        shape=data.shape,
        likelihood=LevelLikelihood(data.pixel_values),
        loss=settings.loss,
        x_range=(low, high),
    )


def degradation_of(settings: ConfigDict, data: Dataset) -> Degrade:
    """D of `config.degradation`. Raises `UserError`."""
    if settings.name == FUNCTION:
        return user_degradation(settings.function, data.shape)
    kind = DEGRADATIONS[settings.name]
    own = {name: settings[name] for name in kind.takes} | ({"mean": mean_image(data)} if kind.of_mean else {})
    return make_degradation(settings.name, data.shape, **own)


def mean_image(data: Dataset) -> np.ndarray:
    """The mean of the training images, in pixel values, float32."""
    total, number = np.zeros(data.shape), len(data.train)
    values = data.pixel_values.astype(np.float64)
    levels = data.train.levels
    for start in range(0, number, IMAGES_AT_ONCE):
        total += values[levels[start : start + IMAGES_AT_ONCE]].sum(axis=0)
    return (total / number).astype(np.float32)
