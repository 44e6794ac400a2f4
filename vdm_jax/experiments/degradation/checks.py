"""Checks of the settings of degradations: every mistake is found before a job starts."""

import math

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.diffusion.degradation.functions import DEGRADATIONS
from vdm_jax.experiments.common.checks import check_numbers
from vdm_jax.experiments.degradation.samplings import Generation, check_generation, generations_of
from vdm_jax.models.degradation import LOSSES

FUNCTION = "function"  # of the user
NUMBERS = (
    ("at least 0", lambda value: value >= 0, "evaluate.coverage_images"),
    (
        "at least 1",
        lambda value: value >= 1,
        "model.num_heads model.patch evaluate.reader_images evaluate.reader_steps sample.num_paths "
        "start.mixture_components",
    ),
    ("2 to 1,000", lambda value: 2 <= value <= 1_000, "evaluate.num_times"),
    ("2 to 10,000", lambda value: 2 <= value <= 10_000, "degradation.num_steps"),
    ("at least 2", lambda value: value >= 2, "start.fitted_images"),
    ("1 to 65,536", lambda value: 1 <= value <= 65_536, "model.channels"),
    ("1 to 1,000", lambda value: 1 <= value <= 1_000, "model.num_blocks"),
    ("-30 to 30", lambda value: abs(value) <= 30, "model.fourier_min model.fourier_max"),
    ("a number not below 0", lambda value: 0 <= value < math.inf, "degradation.noise evaluate.sprite_tolerance"),
    ("a number above 0", lambda value: 0 < value < math.inf, "degradation.sigma_max degradation.softness"),
)


def check_degradation(config: ConfigDict) -> None:
    """Raises `UserError` for a number out of range, an unknown name, or a sampling that cannot be made."""
    check_numbers(config, NUMBERS)
    settings = config.degradation
    choose("config.degradation.name", settings.name, dict.fromkeys((*DEGRADATIONS, FUNCTION)))
    choose("config.degradation.loss", settings.loss, LOSSES)
    chain = (settings.num_steps, settings.noise)
    generations_of(config.evaluate.samplings, "config.evaluate.samplings", *chain)
    own = config.sample
    check_generation(Generation(own.method, own.num_steps, own.start), "config.sample", *chain)
    for number in config.evaluate.chain_steps:
        if not 1 <= number <= settings.num_steps:
            told = f"config.evaluate.chain_steps has {number}"
            raise UserError(f"{told}; expected 1 to config.degradation.num_steps={settings.num_steps}")
