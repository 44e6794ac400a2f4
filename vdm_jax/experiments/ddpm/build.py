"""From a config of kind "ddpm" to the data set and the model."""

import math

import jax
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.diffusion.objective import WEIGHTINGS
from vdm_jax.diffusion.samplers import make_times
from vdm_jax.experiments.common.build import Experiment, fixed_table, load
from vdm_jax.experiments.common.checks import SEED, check_batch, check_data, check_numbers, check_settings
from vdm_jax.experiments.common.models import make_ddpm
from vdm_jax.experiments.common.samplers.job import check_samplers
from vdm_jax.experiments.ddpm.round_trip import marks_of, times_of_text

NUMBERS = (
    (
        "at least 1",
        lambda value: value >= 1,
        "model.num_heads model.patch evaluate.reader_images evaluate.reader_steps sample.num_paths "
        "round_trip.num_shown round_trip.batch_size",
    ),
    (
        "at least 0",
        lambda value: value >= 0,
        "round_trip.num_full round_trip.frechet_images",
    ),
    ("0 for none, or at least 2", lambda value: value == 0 or value >= 2, "round_trip.num_images"),
    ("at least 2", lambda value: value >= 2, "round_trip.timesteps"),
    ("a number between 0 and 1", lambda value: 0 < value < 1, "round_trip.step_beta"),
    (*SEED, "round_trip.seed"),
    ("1 to 65,536", lambda value: 1 <= value <= 65_536, "model.channels"),
    ("1 to 1,000", lambda value: 1 <= value <= 1_000, "model.num_blocks"),
    ("-30 to 30", lambda value: abs(value) <= 30, "model.fourier_min model.fourier_max"),
    ("0 to 1,000,000", lambda value: 0 <= value <= 1_000_000, "evaluate.coverage_images"),
    ("above 0 and below 1", lambda value: 0 < value < 1, "evaluate.sprite_tolerance"),
    ("a number above 0", lambda value: 0 < value < math.inf, "diffusion.pixel_max"),
)


def build_ddpm(config: ConfigDict, folder: str = "") -> Experiment:
    """Checks every setting, loads the data and binds the network; nothing is compiled yet. Raises `UserError`.

    folder: of the data, where `config.data` names none.
    """
    check_settings(config)
    check_numbers(config, NUMBERS)
    check_samplers(config)
    schedule = fixed_table(config.diffusion)
    make_times(schedule, config.sample.num_steps, config.sample.grid)
    weighting = config.diffusion.weighting
    choose("weighting", weighting, WEIGHTINGS)
    if schedule.no_bound and weighting == "bound":
        raise UserError(f"weighting='bound' with schedule={config.diffusion.schedule!r}: {schedule.no_bound}")
    data = load(config.data, folder)
    check_data(data, config.evaluate)
    check_batch(config.train, len(data.train), jax.device_count())
    if config.get("round_trip") and config.round_trip.num_images:
        if schedule.no_bound:
            raise UserError(f"config.round_trip.num_images={config.round_trip.num_images}: {schedule.no_bound}")
        times_of_text(config.round_trip.times)
        marks_of(config, len(data.train))
    return Experiment(config, data, make_ddpm(config, data))
