"""From a config of kind "score" to the data set and the model."""

from dataclasses import dataclass

import jax
from ml_collections import ConfigDict

from vdm_jax.base.errors import choose
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.likelihood import LevelLikelihood
from vdm_jax.diffusion.samplers import make_times
from vdm_jax.diffusion.schedules import Schedule, ddpm_linear
from vdm_jax.diffusion.score_matching.objectives import geometric_sigmas, variance_exploding
from vdm_jax.experiments.common.build import Experiment, load
from vdm_jax.experiments.common.checks import check_batch, check_data, check_settings
from vdm_jax.experiments.common.networks import PIXEL_NETWORKS, make_denoiser
from vdm_jax.experiments.score.checks import check_score, numbers_of
from vdm_jax.models.diffusion import DiffusionObjective
from vdm_jax.models.score import ScoreModel

EXPLODING, PRESERVING = "ve", "vp"
PROCESSES = {
    EXPLODING: "y = x + sigma eps at falling sigmas (NCSN)",
    PRESERVING: "DDPM's linear table",
}


@dataclass(frozen=True)
class ScoreExperiment(Experiment):
    """What every job starts from; built once a process."""

    model: ScoreModel


def build_score(config: ConfigDict, folder: str = "") -> ScoreExperiment:
    """Checks every setting, loads the data and binds the network; nothing is compiled yet. Raises `UserError`.

    folder: of the data, where `config.data` names none.
    """
    check_settings(config)
    check_score(config)
    schedule = noise_levels(config.noise)
    make_times(schedule, config.sample.num_steps, config.sample.grid)
    data = load(config.data, folder)
    check_data(data, config.evaluate)
    check_batch(config.train, len(data.train), jax.device_count())
    return ScoreExperiment(config, data, make_score_model(config, data, schedule))


def noise_levels(noise: ConfigDict) -> Schedule:
    """The table of noise of the section `noise`. Raises `UserError` for sigmas that do not fall."""
    choose("config.noise.process", noise.process, PROCESSES)
    if noise.process == PRESERVING:
        return ddpm_linear(noise.num_steps)
    if noise.sigmas:
        return variance_exploding(numbers_of("config.noise.sigmas", noise.sigmas))
    return variance_exploding(geometric_sigmas(noise.sigma_max, noise.sigma_min, noise.num_levels))


def make_score_model(config: ConfigDict, data: Dataset, schedule: Schedule) -> ScoreModel:
    """The model of a config for images like those of `data`."""
    model = config.model
    return ScoreModel(
        network=make_denoiser(
            model,
            data.shape,
            section="model",
            default="multiscale",
            networks=PIXEL_NETWORKS,
            dtype=model.dtype,
        ),
        noise=schedule,
        objective=DiffusionObjective(loss="mean_square", weighting="simple"),
        prediction="eps",
        code=None,
        shape=data.shape,
        likelihood=LevelLikelihood(data.pixel_values),
        x_range=(float(data.pixel_values[0]), float(data.pixel_values[-1])),
        matching=config.objective.matching,
    )
