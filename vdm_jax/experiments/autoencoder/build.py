"""From a config of kind "autoencoder" to the data set and the model; what a member of an ensemble is called."""

from dataclasses import dataclass

import jax
from ml_collections import ConfigDict

from vdm_jax.base.errors import choose
from vdm_jax.data.dataset import Dataset
from vdm_jax.experiments.autoencoder.checks import check_autoencoder, check_images
from vdm_jax.experiments.common.build import Experiment, given, load
from vdm_jax.experiments.common.checks import check_batch, check_data, check_settings
from vdm_jax.experiments.common.networks import DTYPES
from vdm_jax.experiments.common.rates import rate_mode
from vdm_jax.models.autoencoder import Autoencoder
from vdm_jax.models.decoder_likelihood import LIKELIHOODS
from vdm_jax.models.vq import VectorQuantiser
from vdm_jax.networks.autoencoder import make_backbone


@dataclass(frozen=True)
class AutoencoderExperiment(Experiment):
    """What every job starts from; built once a process. Of an ensemble each member has one."""

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
    check_batch(config.train, len(data.train), jax.device_count(), model.rate.fewest_images)
    return AutoencoderExperiment(config, data, model)
