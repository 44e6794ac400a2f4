"""What an experiment with a diffusion model consists of; its data; tables of noise."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.data.dataset import Dataset
from vdm_jax.data.sources import load_data
from vdm_jax.diffusion.schedules import Schedule, make_schedule
from vdm_jax.models.diffusion import DiffusionModel

TABLE_SETTINGS = ("beta", "beta_1", "beta_T", "s", "t1", "t2", "total")


@dataclass(frozen=True)
class Experiment:
    """What every job starts from; built once a process."""

    config: ConfigDict
    data: Dataset
    model: DiffusionModel


def load(config: ConfigDict) -> Dataset:
    """The data set of `config.data`. Runs of a sweep with the same data, built one after the other, share it."""
    return _load(config.to_json(), *(os.environ.get(name) for name in ("VDM_DATA_DIR", "TFDS_DATA_DIR")))


@lru_cache(maxsize=1)
def _load(settings: str, *_folders: str | None) -> Dataset:
    config = json.loads(settings)
    chosen = given(config, ("validation_size", "num_levels", "max_gib", "downsample", "split"))
    return load_data(config["source"], name=config["name"], data_dir=config["dir"], **chosen)


def fixed_table(diffusion: ConfigDict) -> Schedule:
    """The table of noise that `config.diffusion` states. Raises `UserError` for a schedule that is no table."""
    schedule = make_schedule(diffusion.schedule, **given(diffusion, ("num_steps", *TABLE_SETTINGS)))
    if schedule.num_steps is None:
        raise UserError(f"diffusion.schedule={diffusion.schedule!r} is no table of 1 … {diffusion.num_steps} steps")
    return schedule


def given(config: ConfigDict | Mapping[str, Any], names: tuple[str, ...]) -> dict:
    """Those of the settings `names` that are set; a run's own file may be older than some of them."""
    return {name: config[name] for name in names if config.get(name) is not None}
