"""What an experiment with a diffusion model consists of; its data; tables of noise."""

from dataclasses import dataclass

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
    """The data set of `config.data`."""
    settings = given(config, ("validation_size", "num_levels", "max_gib", "downsample", "split"))
    return load_data(config.source, name=config.name, data_dir=config.dir, **settings)


def fixed_table(diffusion: ConfigDict) -> Schedule:
    """The table of noise that `config.diffusion` states. Raises `UserError` for a schedule that is no table."""
    schedule = make_schedule(diffusion.schedule, **given(diffusion, ("num_steps", *TABLE_SETTINGS)))
    if schedule.num_steps is None:
        raise UserError(f"diffusion.schedule={diffusion.schedule!r} is no table of 1 … {diffusion.num_steps} steps")
    return schedule


def given(config: ConfigDict, names: tuple[str, ...]) -> dict:
    """Those of the settings `names` that are set; a run's own file may be older than some of them."""
    return {name: config[name] for name in names if config.get(name) is not None}
