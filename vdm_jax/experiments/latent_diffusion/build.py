"""From a config of kind "latent_diffusion" to the data set, the space of their latents, and the model."""

from dataclasses import dataclass

import jax
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.experiments.common.build import Experiment, load
from vdm_jax.experiments.common.checks import check_batch, check_data
from vdm_jax.experiments.common.models import make_latent_diffusion
from vdm_jax.experiments.common.space.encoded import EncodedSpace, open_space
from vdm_jax.experiments.latent_diffusion.checks import check_latent_diffusion


@dataclass(frozen=True)
class LatentExperiment(Experiment):
    """What every job starts from; built once a process.

    model: of the latents x of `space`, which are those of the autoencoder times its factor. data: the images.
    """

    space: EncodedSpace


def build_latent_diffusion(config: ConfigDict, folder: str = "") -> LatentExperiment:
    """Checks every setting, loads the data, opens the space and binds the network; nothing is compiled yet. Raises
    `UserError`.

    folder: of the data, where `config.data` names none.
    """
    check_latent_diffusion(config)
    data = load(config.data, folder)
    check_data(data, config.evaluate)
    check_batch(config.train, len(data.train), jax.device_count())
    space = open_space(config.space, data)
    if space is None:
        raise UserError("kind 'latent_diffusion' needs a space: name a trained autoencoder in config.space.workdir")
    return LatentExperiment(config, data, make_latent_diffusion(config, data, space.space), space)
