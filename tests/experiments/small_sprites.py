"""A grid of few sprites, and the experiments on it, for the tests of exact curves, chains and their probes."""

import jax.numpy as jnp
from vdm_jax.configs import probes

from vdm_jax.data.sprite_data import make_sprite_data
from vdm_jax.data.sprites import SpriteGrid
from vdm_jax.diffusion.prediction import to_prediction
from vdm_jax.experiments.common.build import fixed_table
from vdm_jax.experiments.common.trained_model import TrainedModel
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.experiments.probes.build import ProbeExperiment
from vdm_jax.launch import store
from vdm_jax.launch.run import run_built

GRID = SpriteGrid("tiny", 16, 4, (0.7, 1.0), (0.0, 0.5), (0, 3, 6), ("square", "heart"))
FEW = {
    "exact.num_timesteps": 4,
    "exact.max_queries": 2_000,
    "exact.batch_size": 500,
    "chains.num_queries": 1_000,
    "chains.batch_size": 500,
    "chains.samplers": "exact,ddim:30",
}


def experiment(space=None, **settings) -> ProbeExperiment:
    """settings: SECTION__NAME."""
    config = probes.get_config()
    config.update_from_flattened_dict(FEW | {name.replace("__", "."): value for name, value in settings.items()})
    return ProbeExperiment(config, make_sprite_data(GRID), fixed_table(config.diffusion), space)


def run_jobs(built, workdir, *jobs: str) -> str:
    """Runs the jobs as a launch does, after the checks of the folder."""
    return run_built(KINDS, built, built.config, workdir, jobs)


def check(built, workdir, *jobs: str) -> None:
    """The checks of the folder alone."""
    store.check(KINDS, built.config, workdir, KINDS["probes"].inputs(built), built, jobs)


def model_of(posterior, schedule, step):
    """A model that has been trained to this posterior's own denoiser."""

    def denoise(z, t):
        gamma = jnp.maximum(schedule.gamma(t[0]), -20.0)
        return to_prediction("x", posterior.mean(z, gamma), z, gamma)

    about = {"step": step, "weights": "ema", "fingerprint": f"weights of {step}"}
    return TrainedModel(denoise, (-1.0, 1.0), about)
