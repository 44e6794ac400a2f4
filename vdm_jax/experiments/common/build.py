"""What an experiment with a diffusion model consists of; its data; tables of noise; what choices of these read."""

import functools
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.data.dataset import Dataset
from vdm_jax.data.sources import SOURCES, choose_source, load_data, locate
from vdm_jax.data.understood import understood
from vdm_jax.diffusion.schedules import SCHEDULES, Schedule, make_schedule, settings_of
from vdm_jax.launch.choices import Choice
from vdm_jax.launch.settings import value_of
from vdm_jax.models.diffusion import DiffusionModel
from vdm_jax.networks.gamma import LEARNED_GAMMAS

IMPLIED = {  # `Kind.implied` of every kind: what files of version 0.1 mean
    "data.split": "holdout",
    "data.layout": "",
    "data.size": None,
    "data.crop": "center",
    "data.channels": None,
    "data.test_size": None,
    "data.groups": "",
    "data.label": "",
    "train.decay": "all",
    "train.ema_warmup": True,
    "train.writers": "jsonl",
    "sample.png_folder": False,
}


@dataclass(frozen=True)
class Experiment:
    """What every job starts from; built once a process."""

    config: ConfigDict
    data: Dataset
    model: DiffusionModel


def find_data(config: ConfigDict, before: str) -> str:
    """`Kind.find` of every kind: the folder of the data where `config.data` names none. "" for data without files.

    before: the folder in which they were found before, which counts where they are nowhere else.

    Raises `UserError` for an unknown source.
    """
    data = config.data
    choose_source(data.source)
    if "dir" not in data_settings(data.source) or data.dir:
        return ""
    try:
        place = locate(data.source, data.name, "")
    except UserError:  # of which `load` tells
        return before
    return place.data_dir if place else ""


def load(config: ConfigDict, folder: str = "") -> Dataset:
    """The data set of `config.data`, from the settings that its source takes. Raises `UserError`.

    folder: that of `find_data`, where `config` names none. The latest data set is kept: members of a sweep with the
    same data read them once.
    """
    choose_source(config.source)
    settings = given(config, data_settings(config.source))
    own = settings.pop("dir", "")
    try:
        place = locate(config.source, config.name, own or folder)
    except UserError as error:
        if own or not folder:
            raise
        told = f"the data of this run were found in {folder!r}: --config.data.dir=FOLDER names their new place"
        raise UserError(f"{error}; {told}") from error
    folder = own or (place.data_dir if place else "")
    stamp = tuple(sorted(_stamp(place.path))) if place else ()
    return _load(config.source, config.name, folder, tuple(settings.items()), stamp)


def load_if_found(config: ConfigDict) -> Dataset | None:
    """The data set of a whole config before its run is built. None where it cannot be loaded; the build says why,
    unless the workdir remembers where the data were."""
    try:
        return load(config.data, find_data(config, ""))
    except UserError:
        return None


@functools.lru_cache(maxsize=1)
def _load(
    source: str, name: str, data_dir: str, settings: tuple[tuple[str, Any], ...], _stamp: tuple[tuple[str, int], ...]
) -> Dataset:
    return load_data(source, name=name, data_dir=data_dir, **dict(settings))


def _stamp(path: pathlib.Path) -> Iterator[tuple[str, int]]:
    """Names and times of the files of the data: data that were written anew are read anew."""
    if not path.is_dir():
        yield str(path), path.stat().st_mtime_ns
    for folder, _, files in os.walk(path):
        for name in files:
            yield os.path.join(folder, name), os.stat(os.path.join(folder, name), follow_symlinks=False).st_mtime_ns


def understood_data(built: Any) -> str:
    """`Kind.understood` of every kind: its data."""
    return understood(built.data, built.config.data.source)


def fixed_table(diffusion: ConfigDict) -> Schedule:
    """The table of noise that `config.diffusion` states. Raises `UserError` for a schedule that is no table."""
    schedule = make_schedule(diffusion.schedule, **given(diffusion, settings_of(diffusion.schedule)))
    if schedule.num_steps is None:
        raise UserError(f"diffusion.schedule={diffusion.schedule!r} is no table of 1 … {diffusion.num_steps} steps")
    return schedule


def given(config: ConfigDict, names: tuple[str, ...]) -> dict:
    """Those of the settings `names` that are set; a run's own file may be older than some of them."""
    return {name: config[name] for name in names if config.get(name) is not None}


# ---- what choices read ----------------------------------------------------------------------------------------------

OF_A_GRID = ("split",)  # settings of the data that are for grids of sprites alone
NAMES = {"data_dir": "dir"}  # of arguments of a source that are settings of another name


def data_settings(source: str) -> tuple[str, ...]:
    """The settings of `config.data` that a source reads besides its name."""
    chosen = SOURCES[source]
    return tuple(NAMES.get(name, name) for name in chosen.takes) + (OF_A_GRID if chosen.grid else ())


def by_data(of_a_grid: tuple[str, ...], of_others: tuple[str, ...]) -> Choice:
    """Settings that are read of grids of sprites alone, and of other data alone."""
    return Choice("data.source", {name: of_a_grid if chosen.grid else of_others for name, chosen in SOURCES.items()})


def above(setting: str, least: int, reads: tuple[str, ...]) -> Choice:
    """Settings that are read where a number is at least `least`."""

    def of_number(settings: Mapping[str, Any]) -> Iterable[str]:
        return [str(least) if value_of(settings, setting) >= least else "less"]

    return Choice(setting, {f"{least}": reads, "less": ()}, of_number)


def not_empty(setting: str, example: str, reads: tuple[str, ...]) -> Choice:
    """Settings that are read where a text is not empty."""

    def of_text(settings: Mapping[str, Any]) -> Iterable[str]:
        return [example if value_of(settings, setting) else ""]

    return Choice(setting, {example: reads, "": ()}, of_text)


DATA = Choice("data.source", {name: tuple(f"data.{each}" for each in data_settings(name)) for name in SOURCES})
# A learned schedule takes gamma_min and gamma_max as `linear` does. The number of steps is always read: it is the T of
# the bound, whatever the schedule.
NOISE = Choice(
    "diffusion.schedule",
    {
        name: tuple(f"diffusion.{each}" for each in settings if each != "num_steps")
        for name, settings in (
            {name: settings_of(name) for name in SCHEDULES} | dict.fromkeys(LEARNED_GAMMAS, settings_of("linear"))
        ).items()
    },
)
FRECHET = (
    above("evaluate.frechet_images", 2, ("evaluate.inception",)),
    not_empty("evaluate.inception", "FILE", ("evaluate.fid_reference_images",)),
)
