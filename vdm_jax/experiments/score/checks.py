"""Checks of the settings of score models: every mistake is found before a job starts."""

import math

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.diffusion.score_matching.objectives import MATCHINGS, geometric_sigmas
from vdm_jax.experiments.common.checks import SEED, check_numbers
from vdm_jax.experiments.common.samplers.job import check_samplers

NUMBERS = (
    (
        "at least 1",
        lambda value: value >= 1,
        "model.num_heads model.patch evaluate.reader_images evaluate.reader_steps sample.num_paths "
        "mixture.num_steps mixture.batch_size mixture.num_layers mixture.num_seeds mixture.num_chains "
        "mixture.langevin_steps mixture.annealed_steps mixture.num_points",
    ),
    ("1 to 1,000,000", lambda value: 1 <= value <= 1_000_000, "noise.num_levels noise.num_steps"),
    ("1 to 65,536", lambda value: 1 <= value <= 65_536, "model.channels mixture.width"),
    ("1 to 1,000", lambda value: 1 <= value <= 1_000, "model.num_blocks"),
    ("-30 to 30", lambda value: abs(value) <= 30, "model.fourier_min model.fourier_max"),
    ("0 to 1,000,000", lambda value: 0 <= value <= 1_000_000, "evaluate.coverage_images"),
    (
        "a number above 0",
        lambda value: 0 < value < math.inf,
        "evaluate.sprite_tolerance noise.sigma_max noise.sigma_min mixture.sigma mixture.sigma_max mixture.sigma_min "
        "mixture.centre mixture.learning_rate mixture.step_size mixture.ratio",
    ),
    ("a number between 0 and 1", lambda value: 0 < value < 1, "mixture.weight"),
    ("at least 2", lambda value: value >= 2, "mixture.num_levels"),
    (*SEED, "mixture.seed"),
)
PARTS = 20  # of a chain, after each of which its modes are counted


def check_score(config: ConfigDict) -> None:
    """Raises `UserError` for a number out of range, an unknown name, and for lists that are not what they should be."""
    check_numbers(config, NUMBERS)
    choose("config.objective.matching", config.objective.matching, MATCHINGS)
    check_samplers(config)
    check_mixture(config.mixture)


def check_mixture(mixture: ConfigDict) -> None:
    """Raises `UserError` for settings of the study of a mixture that do not go together."""
    try:
        geometric_sigmas(mixture.sigma_max, mixture.sigma_min, mixture.num_levels)
    except UserError as error:
        raise UserError(f"config.mixture: {error}") from error
    if mixture.langevin_steps % PARTS:
        raise UserError(f"config.mixture.langevin_steps={mixture.langevin_steps}; expected a multiple of {PARTS}")
    numbers = numbers_of("config.mixture.separations", mixture.separations)
    if not numbers or min(numbers) <= 0:
        raise UserError(f"config.mixture.separations={mixture.separations!r}; expected numbers above 0")


def numbers_of(setting: str, text: str) -> list[float]:
    """The numbers of a list such as "10,3,1". Raises `UserError`."""
    try:
        found = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = [math.nan]
    if not all(map(math.isfinite, found)):
        raise UserError(f"{setting}={text!r}; expected numbers with commas between them, such as 10,3,1")
    return found
