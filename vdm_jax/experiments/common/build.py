"""What an experiment with a diffusion model consists of; its data; tables of noise."""

import functools
import os
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.data.dataset import Dataset
from vdm_jax.data.places import report_found
from vdm_jax.data.sources import SOURCES, load_data, locate
from vdm_jax.data.understood import understood
from vdm_jax.diffusion.schedules import Schedule, make_schedule, settings_of
from vdm_jax.experiments.common.choices import data_settings
from vdm_jax.models.diffusion import DiffusionModel

IMPLIED = {  # `Kind.implied` of every kind: what files of version 0.1 mean
    "data.split": "holdout",
    "data.layout": "",
    "data.size": None,
    "data.crop": "center",
    "data.channels": None,
    "data.test_size": None,
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


def load(config: ConfigDict) -> Dataset:
    """The data set of `config.data`, from the settings that its source takes.

    The latest one is kept: members of a sweep with the same data read them once.
    """
    choose("data source", config.source, SOURCES)
    settings = given(config, data_settings(config.source))
    own = settings.pop("dir", "")
    place = locate(config.source, config.name, own)
    folder = own or (place.data_dir if place else "")
    if not own:
        report_found(folder)
    stamp = tuple(sorted(_stamp(place.path))) if place else ()
    return _load(config.source, config.name, folder, tuple(settings.items()), stamp)


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
