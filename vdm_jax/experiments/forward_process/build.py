"""From a config of kind "forward_process" to plain objects: a data set, one picture and tables of noise."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.images import levels_to_bytes
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.samplers import SAMPLERS
from vdm_jax.diffusion.schedules import SCHEDULES, Schedule, discretize, make_schedule, settings_of
from vdm_jax.experiments.common.build import fixed_table, given, load
from vdm_jax.experiments.common.checks import SEED, check_numbers
from vdm_jax.experiments.common.trained_model import TrainedModel, check_trained, load_trained
from vdm_jax.experiments.forward_process.foreign import foreign_data
from vdm_jax.experiments.forward_process.models import training_config
from vdm_jax.experiments.forward_process.picture import read_picture

OF_MODEL = ("model", "workdir")  # the section and the setting of the folder of a trained model
LARGEST = 256  # side of an image whose copies are drawn
NUMBERS = (
    ("2 to 1,000,000", lambda value: 2 <= value <= 1_000_000, "schedules.num_steps"),
    ("2 to 64", lambda value: 2 <= value <= 64, "strips.num_times"),
    ("16 to 4,096", lambda value: 16 <= value <= 4_096, "strips.side strips.crop"),
    ("at least 2", lambda value: value >= 2, "closeness.num_timesteps closeness.pixels"),
    ("1 to 1,000", lambda value: 1 <= value <= 1_000, "closeness.repeats"),
    ("a number above 0", lambda value: 0 < value < math.inf, "closeness.tolerance"),
    ("at least 2", lambda value: value >= 2, "reconstruct.num_images reconstruct.num_timesteps split.num_images"),
    ("at least 2", lambda value: value >= 2, "reconstruct.num_starts split.num_sampling_steps"),
    ("at least 1", lambda value: value >= 1, "model.num_steps model.channels reconstruct.num_sampling_steps"),
    ("at least 1", lambda value: value >= 1, "split.passes split.batch_size"),
    ("a number above 0", lambda value: 0 < value < math.inf, "reconstruct.tolerance"),
    ("0 to 100", lambda value: 0 <= value <= 100, "split.num_seeds"),
    ("a share from 0 to less than 1", lambda value: 0 <= value < 1, "split.denoiser_share"),
    (*SEED, "strips.seed closeness.seed reconstruct.seed split.seed"),
)


@dataclass(frozen=True)
class ForwardExperiment:
    """What the jobs start from. picture: bytes [H, W, C], of a file or the first test image. digest: of its file, or
    "" of a test image. model: that of the job `reconstruct`, or None. foreign: data that it was not trained on."""

    config: ConfigDict
    data: Dataset
    tables: dict[str, Schedule]
    picture: UInt8[np.ndarray, "h w c"]
    digest: str
    model: TrainedModel | None = None
    foreign: Mapping[str, Dataset] = field(default_factory=dict)


def check_forward_process(config: ConfigDict) -> None:
    """What can be judged before a model is trained and data are read: every setting, the picture, and what the files of
    a named model say. Raises `UserError`."""
    check_settings(config)
    if config.model.workdir:
        check_trained(config.model.workdir, data_alone(config), False, *OF_MODEL)
    if config.picture.image:
        read_picture(Path(config.picture.image))


def check_settings(config: ConfigDict) -> None:
    """Raises `UserError` for a number out of range, an unknown name, or a model whose parts cannot be trained apart."""
    check_numbers(config, NUMBERS)
    tables_of(config.schedules)
    if config.closeness.num_timesteps > config.schedules.num_steps + 1:
        given = f"config.closeness.num_timesteps={config.closeness.num_timesteps}"
        raise UserError(f"{given}; there are {config.schedules.num_steps + 1}, 0 … {config.schedules.num_steps}")
    numbers_of(config.closeness.sizes, "closeness.sizes", 2, LARGEST)
    numbers_of(config.closeness.counts, "closeness.counts", 2, 1_000)
    if config.model.train:
        why = fixed_table(training_config(config).diffusion).no_bound
        if why and config.split.num_seeds:
            given = f"config.model.train={config.model.train!r}: {why}"
            raise UserError(f"{given}; set config.split.num_seeds=0, or choose another variant of configs/ddpm.py")
    if config.model.train and config.split.num_seeds:
        choose("split.sampler", config.split.sampler, SAMPLERS)
        shares_of(config.split.boundaries)


def build_forward_process(config: ConfigDict, folder: str = "") -> ForwardExperiment:
    """Checks every setting, loads the data and the trained model, and reads the picture. Raises `UserError`.

    folder: of the data, where `config.data` names none.
    """
    check_settings(config)
    tables = tables_of(config.schedules)
    path = config.picture.image
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12] if path else ""
    data = load(config.data, folder)
    picture = read_picture(Path(path)) if path else levels_to_bytes(data.test.first(1).levels[0], data.num_levels)
    if picture.shape[-1] not in (1, 3):
        raise UserError(f"images of {data.name!r} have {picture.shape[-1]} channels; name a picture.image")
    model, foreign = None, {}
    if config.model.workdir:
        names = [name.strip() for name in config.reconstruct.foreign.split(",") if name.strip()]
        foreign = foreign_data(names, data)
        named = (config.model.workdir, config.model.checkpoint)
        model = load_trained(*named, data_alone(config), data, None, *OF_MODEL)
    return ForwardExperiment(config, data, tables, picture, digest, model, foreign)


def data_alone(config: ConfigDict) -> ConfigDict:
    """What a trained model must agree with: its noise is its own."""
    return ConfigDict(dict(data=config.data))


def tables_of(config: ConfigDict) -> dict[str, Schedule]:
    """The schedules that `config.schedules` names as tables of its T. Each takes those of its settings that it knows;
    a setting that is none has the schedule's own value."""
    tables = {}
    for name in names_of(config.names, "schedules.names"):
        choose("schedules.names", name, SCHEDULES)
        schedule = make_schedule(name, **given(config, settings_of(name)))
        tables[name] = discretize(schedule, config.num_steps) if schedule.num_steps is None else schedule
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


def shares_of(text: str) -> list[float]:
    """The distinct shares of T in a list such as "0.1,0.2", ascending. Raises `UserError`."""
    try:
        shares = sorted({float(share) for share in names_of(text, "split.boundaries")})
    except ValueError:
        shares = [0.0]
    if not all(0 < share < 1 for share in shares):
        raise UserError(f"config.split.boundaries={text!r}; expected shares of T between 0 and 1, such as 0.1,0.2")
    return shares
