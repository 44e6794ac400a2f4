"""The front door to all data: `load_data("digits")`, `load_data("npz", name="mnist")`, `load_data("sprites", …)`."""

from collections.abc import Callable
from typing import Any, NamedTuple

from vdm_jax.base.errors import UserError, choose
from vdm_jax.data.dataset import Dataset, downsampled
from vdm_jax.data.digits import load_digits
from vdm_jax.data.dsprites import load_dsprites
from vdm_jax.data.npz import load_npz
from vdm_jax.data.sprite_data import SPLITTINGS, make_sprite_data
from vdm_jax.data.sprites import load_sprites
from vdm_jax.data.tfds import load_tfds

UNSET = {"data_dir": None, "validation_size": None, "num_levels": None, "max_gib": None, "downsample": 1}


class Source(NamedTuple):
    """`load(name, **settings)` with the settings that `takes` names; `grid`: it loads a grid of sprites."""

    load: Callable[..., Any]
    takes: tuple[str, ...]
    grid: bool = False


SOURCES = {
    "digits": Source(lambda name: load_digits(), ("downsample",)),
    "npz": Source(load_npz, ("data_dir", "validation_size", "num_levels", "downsample")),
    "tfds": Source(load_tfds, ("data_dir", "validation_size", "num_levels", "max_gib", "downsample")),
    "sprites": Source(load_sprites, (), grid=True),
    "dsprites": Source(load_dsprites, ("data_dir",), grid=True),
}


def load_data(
    source: str,
    *,
    name: str | None = None,
    data_dir: str | None = None,
    validation_size: int | None = None,
    num_levels: int | None = None,
    max_gib: float | None = None,
    downsample: int = 1,
    split: str = "holdout",
) -> Dataset:
    """The data set, split into train, validation and test the same way in every run.

    Args:
        source: one of `SOURCES`.
        name: of the npz file without its ending, of the TFDS build, of the rendered grid, or of the file or build of
            dSprites.
        data_dir: the folder it is in (None: `VDM_DATA_DIR` for npz; `TFDS_DATA_DIR`, else ~/tensorflow_datasets, for
            tfds; the current folder for a file of dSprites).
        validation_size: None for a tenth of train, at most 5,000.
        num_levels: None for the file's own, or 256.
        max_gib: the largest TFDS data set that is read into memory (None: 8 GiB).
        downsample: the side of the squares that are averaged; 2 makes 14x14 of 28x28.
        split: "holdout", or "population": train, validation and test are all images; for grids of sprites alone.

    Raises `UserError`.
    """
    chosen = choose("data source", source, SOURCES)
    if source == "digits" and name not in (None, "", "digits"):
        raise UserError(f"data.name={name!r} is no data set of data.source='digits'; expected 'digits'")
    settings = {
        "data_dir": data_dir or None,
        "validation_size": validation_size,
        "num_levels": num_levels,
        "max_gib": max_gib,
        "downsample": downsample,
    }
    for setting, value in settings.items():
        if setting not in chosen.takes and value != UNSET[setting]:
            raise UserError(f"{setting}={value!r}: the data source {source!r} has no such choice; leave it unset")
    choose("data.split", split, SPLITTINGS)
    if split != "holdout" and not chosen.grid:
        grids = " or ".join(repr(name) for name, other in SOURCES.items() if other.grid)
        raise UserError(f"data.split={split!r} is for data.source={grids}, not for {source!r}; expected 'holdout'")
    if source != "digits" and not name:
        example = "small" if chosen.grid else "mnist"
        raise UserError(f"the data source {source!r} needs a name, such as name={example!r}")
    taken = {setting: settings[setting] for setting in chosen.takes if setting != "downsample"}
    data = chosen.load(name or "", **taken)
    if chosen.grid:
        return make_sprite_data(data, split)
    return data if downsample == 1 else downsampled(data, downsample)
