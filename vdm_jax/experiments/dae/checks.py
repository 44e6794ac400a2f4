"""Checks of the settings of denoising autoencoders: every mistake is found before a job starts."""

import math

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.experiments.common.checks import SEED, check_numbers

POSITIVE = "a number above 0"
LISTS = (  # settings that are lists of numbers above 0
    "evaluate.sigmas",
    "attractors.sigmas",
    "attractors.two_point_sigmas",
    "attractors.basin_sigmas",
    "jacobians.sigmas",
)
NUMBERS = (
    (
        "at least 1",
        lambda value: value >= 1,
        "model.num_layers model.num_heads model.patch attractors.max_steps attractors.components "
        "attractors.batch_size jacobians.num_points",
    ),
    ("2 to 1,000,000", lambda value: 2 <= value <= 1_000_000, "attractors.num_starts"),
    ("0 for none, or 2 to 1,000", lambda value: value == 0 or 2 <= value <= 1_000, "attractors.basin_grid"),
    ("1 to 65,536", lambda value: 1 <= value <= 65_536, "model.width model.channels"),
    ("1 to 1,000", lambda value: 1 <= value <= 1_000, "model.num_blocks"),
    ("-30 to 30", lambda value: abs(value) <= 30, "model.fourier_min model.fourier_max"),
    ("a number above 0 and at most 1", lambda value: 0 < value <= 1, "attractors.eta"),
    (
        POSITIVE,
        lambda value: 0 < value < math.inf,
        "model.sigma_min model.sigma_max attractors.tolerance attractors.on_data",
    ),
    (*SEED, "subset.seed attractors.seed jacobians.seed"),
)
FEWEST = 3  # training images, through which the plane of the basins goes


def check_dae(config: ConfigDict) -> None:
    """Raises `UserError` for a number out of range, or a list that is none."""
    check_numbers(config, NUMBERS)
    low, high = config.model.sigma_min, config.model.sigma_max
    if low > high:
        raise UserError(f"config.model.sigma_min={low}; expected at most config.model.sigma_max={high}")
    for setting in LISTS:
        section, _, name = setting.partition(".")
        numbers_of(config[section][name], setting)
    sizes_of(config.attractors.sizes)


def check_subset(config: ConfigDict, num_train: int) -> None:
    """Raises `UserError` for a subset that is too small, or larger than the training split."""
    size = config.subset.num_images
    if size and not FEWEST <= size <= num_train:
        expected = f"expected {FEWEST} to {num_train:,}, the training images, or 0 for all"
        raise UserError(f"config.subset.num_images={size}; {expected}")


def numbers_of(text: str, setting: str) -> list[float]:
    """The numbers of a list, "0.1,0.2". Raises `UserError` where they are not ascending numbers above 0."""
    expected = f"expected ascending numbers above 0 with commas, such as {setting.rpartition('.')[2]}=0.1,0.2"
    try:
        found = [float(part) for part in str(text).split(",")]
    except ValueError:
        raise UserError(f"config.{setting}={text!r}; {expected}") from None
    if not all(0 < value < math.inf for value in found) or sorted(set(found)) != found:
        raise UserError(f"config.{setting}={text!r}; {expected}")
    return found


def sizes_of(text: str) -> list[int]:
    """The sizes of training sets in `config.attractors.sizes`; empty: none. Raises `UserError`."""
    if not text:
        return []
    found = numbers_of(text, "attractors.sizes")
    if any(size != int(size) or size < FEWEST for size in found):
        raise UserError(f"config.attractors.sizes={text!r}; expected ascending whole numbers of at least {FEWEST}")
    return [int(size) for size in found]
