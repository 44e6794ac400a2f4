"""From a config of kind "forward_process" to plain objects: a data set, one picture and tables of noise."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.images import levels_to_bytes
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.schedules import SCHEDULES, Schedule, discretize, make_schedule, settings_of
from vdm_jax.experiments.common.build import load
from vdm_jax.experiments.common.checks import SEED, check_numbers
from vdm_jax.experiments.forward_process.picture import read_picture

LARGEST = 256  # side of an image whose copies are drawn
NUMBERS = (
    ("2 to 1,000,000", lambda value: 2 <= value <= 1_000_000, "schedules.num_steps"),
    ("2 to 64", lambda value: 2 <= value <= 64, "strips.num_times"),
    ("16 to 4,096", lambda value: 16 <= value <= 4_096, "strips.side strips.crop"),
    ("at least 2", lambda value: value >= 2, "closeness.num_timesteps closeness.pixels"),
    ("1 to 1,000", lambda value: 1 <= value <= 1_000, "closeness.repeats"),
    ("a number above 0", lambda value: 0 < value < math.inf, "closeness.tolerance"),
    (*SEED, "strips.seed closeness.seed"),
)


@dataclass(frozen=True)
class ForwardExperiment:
    """What the jobs start from. picture: bytes [H, W, C], of a file or the first test image. digest: of its file, or
    "" of a test image."""

    config: ConfigDict
    data: Dataset
    tables: dict[str, Schedule]
    picture: UInt8[np.ndarray, "h w c"]
    digest: str


def build_forward_process(config: ConfigDict, folder: str = "") -> ForwardExperiment:
    """Checks every setting, loads the data and reads the picture. Raises `UserError`.

    folder: of the data, where `config.data` names none.
    """
    check_numbers(config, NUMBERS)
    tables = tables_of(names_of(config.schedules.names, "schedules.names"), config.schedules.num_steps)
    if config.closeness.num_timesteps > config.schedules.num_steps + 1:
        given = f"config.closeness.num_timesteps={config.closeness.num_timesteps}"
        raise UserError(f"{given}; there are {config.schedules.num_steps + 1}, 0 … {config.schedules.num_steps}")
    numbers_of(config.closeness.sizes, "closeness.sizes", 2, LARGEST)
    numbers_of(config.closeness.counts, "closeness.counts", 2, 1_000)
    path = config.picture.image
    picture = read_picture(Path(path)) if path else None
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12] if path else ""
    data = load(config.data, folder)
    if picture is None:
        picture = levels_to_bytes(data.test.first(1).levels[0], data.num_levels)
        if picture.shape[-1] not in (1, 3):
            raise UserError(f"images of {data.name!r} have {picture.shape[-1]} channels; name a picture.image")
    return ForwardExperiment(config, data, tables, picture, digest)


def tables_of(names: list[str], num_steps: int) -> dict[str, Schedule]:
    """The schedules of these names as tables of T = `num_steps`, each with its own defaults besides."""
    tables = {}
    for name in names:
        choose("schedules.names", name, SCHEDULES)
        takes = {"num_steps": num_steps} if "num_steps" in settings_of(name) else {}
        schedule = make_schedule(name, **takes)
        tables[name] = discretize(schedule, num_steps) if schedule.num_steps is None else schedule
    return tables


def names_of(text: str, setting: str) -> list[str]:
    """The distinct names in a list such as "ddpm_linear,cosine". Raises `UserError` where there is none."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UserError(f"config.{setting}={text!r}; expected names with commas between them")
    return names


def numbers_of(text: str, setting: str, least: int, most: int) -> list[int]:
    """The distinct whole numbers in a list such as "8,16", ascending. Raises `UserError`."""
    try:
        numbers = sorted({int(number) for number in names_of(text, setting)})
    except ValueError:
        numbers = [least - 1]
    if numbers[0] < least or numbers[-1] > most:
        raise UserError(f"config.{setting}={text!r}; expected whole numbers from {least} to {most:,}, such as 8,16")
    return numbers
