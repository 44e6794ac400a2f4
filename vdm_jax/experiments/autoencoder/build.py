"""From a config of kind "autoencoder" to the data set and the model."""

from dataclasses import dataclass

import jax
from ml_collections import ConfigDict

from vdm_jax.experiments.autoencoder.checks import check_autoencoder, check_held_out, check_images
from vdm_jax.experiments.common.autoencoders import make_autoencoder
from vdm_jax.experiments.common.build import Experiment, load
from vdm_jax.experiments.common.checks import check_batch, check_data, check_settings
from vdm_jax.models.autoencoder import Autoencoder


@dataclass(frozen=True)
class AutoencoderExperiment(Experiment):
    """What every job starts from; built once a process. Each member of an ensemble has one."""

    model: Autoencoder


def build_autoencoder(config: ConfigDict, folder: str = "") -> AutoencoderExperiment:
    """Checks every setting, loads the data and binds the networks; nothing is compiled yet. Raises `UserError`.

    folder: of the data, where `config.data` names none.
    """
    check_settings(config)
    check_autoencoder(config)
    data = load(config.data, folder)
    check_data(data, config.evaluate)
    check_images(config, data)
    model = make_autoencoder(config, data)
    fewest = model.rate.fewest_images if model.regulariser == "none" else 2
    check_batch(config.train, len(data.train), jax.device_count(), fewest)
    if model.rate.steered_by_held_out:
        check_held_out(config, data, jax.device_count())
    return AutoencoderExperiment(config, data, model)
