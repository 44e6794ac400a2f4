"""What an experiment with a diffusion model consists of; its data; tables of noise."""

import functools
import os
import pathlib
from dataclasses import dataclass
from typing import Any

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.data.dataset import Dataset
from vdm_jax.data.sources import load_data
from vdm_jax.diffusion.schedules import Schedule, make_schedule
from vdm_jax.models.diffusion import DiffusionModel

FOLDERS = {"npz": "VDM_DATA_DIR", "tfds": "TFDS_DATA_DIR"}  # the environment variable where data.dir is empty
# `Kind.implied` of every kind: what files of version 0.1 mean
IMPLIED = {"data.split": "holdout", "sample.png_folder": False}
TABLE_SETTINGS = ("beta", "beta_1", "beta_T", "s", "t1", "t2", "total")


@dataclass(frozen=True)
class Experiment:
    """What every job starts from; built once a process."""

    config: ConfigDict
    data: Dataset
    model: DiffusionModel


def load(config: ConfigDict) -> Dataset:
    """The data set of `config.data`. The latest one is kept: members of a sweep with the same data read them once."""
    settings = given(config, ("validation_size", "num_levels", "max_gib", "downsample", "split"))
    folder = config.dir or os.environ.get(FOLDERS.get(config.source, ""), "")
    return _load(config.source, config.name, config.dir, tuple(settings.items()), _stamp(pathlib.Path(folder or ".")))


@functools.lru_cache(maxsize=1)
def _load(
    source: str, name: str, data_dir: str, settings: tuple[tuple[str, Any], ...], _stamp: tuple[tuple[str, int], ...]
) -> Dataset:
    return load_data(source, name=name, data_dir=data_dir, **dict(settings))


def _stamp(folder: pathlib.Path) -> tuple[tuple[str, int], ...]:
    """Names and times of the files in the folder: data that were written anew are read anew."""
    if not folder.is_dir():
        return ()
    return tuple(sorted((entry.name, entry.stat(follow_symlinks=False).st_mtime_ns) for entry in os.scandir(folder)))


def fixed_table(diffusion: ConfigDict) -> Schedule:
    """The table of noise that `config.diffusion` states. Raises `UserError` for a schedule that is no table."""
    schedule = make_schedule(diffusion.schedule, **given(diffusion, ("num_steps", *TABLE_SETTINGS)))
    if schedule.num_steps is None:
        raise UserError(f"diffusion.schedule={diffusion.schedule!r} is no table of 1 … {diffusion.num_steps} steps")
    return schedule


def given(config: ConfigDict, names: tuple[str, ...]) -> dict:
    """Those of the settings `names` that are set; a run's own file may be older than some of them."""
    return {name: config[name] for name in names if config.get(name) is not None}
