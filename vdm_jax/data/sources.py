"""The front door to all data: `load_data("digits")`, `load_data("npz", name="mnist")`, `load_data("sprites", …)`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vdm_jax.base.errors import UserError, choose, suggestion
from vdm_jax.base.images import even_pixel_values
from vdm_jax.base.sklearn import import_sklearn, packaged_file
from vdm_jax.data.dataset import Dataset, ImageData, Split, downsampled, stratified_parts
from vdm_jax.data.dsprites import load_dsprites, locate_dsprites
from vdm_jax.data.folder import find_folder, load_folder
from vdm_jax.data.groups import grouped
from vdm_jax.data.npz import find_file, load_npz
from vdm_jax.data.sprite_data import SPLITTINGS, make_sprite_data
from vdm_jax.data.sprites import load_sprites
from vdm_jax.data.tfds import load_tfds, locate_tfds

UNSET = {
    "data_dir": None,
    "validation_size": None,
    "num_levels": None,
    "max_gib": None,
    "layout": "",
    "size": None,
    "crop": "center",
    "channels": None,
    "test_size": None,
    "downsample": 1,
    "groups": "",
    "label": "",
}
AFTERWARDS = ("downsample", "groups")  # settings that change what was loaded

NUM_DIGIT_LEVELS = 17
DIGIT_SPLIT = (1297, 200, 300)  # train, validation, test
DIGIT_SEED = 0  # the split is part of the data set and the same in every run

SYNONYMS = {  # words of other libraries
    "folder": "image images imagefolder image_folder img png pngs jpg jpeg webp dir directory files",
    "npz": "keras numpy np npy array arrays file mnist",
    "tfds": "tensorflow_datasets tensorflow tf cifar10",
    "digits": "sklearn",
}


class Location(NamedTuple):
    """Where data lie. path: the file or folder that is read. data_dir: the folder that finds it by the same name."""

    path: Path
    data_dir: str


class Source(NamedTuple):
    """`load(name, **settings)` with the settings that `takes` names; `grid`: it loads a grid of sprites.

    locate: `locate(name, data_dir)` -> path and folder of the data. Raises `UserError`. None: there are no files.
    """

    load: Callable[..., Any]
    takes: tuple[str, ...]
    grid: bool = False
    locate: Callable[[str, str | None], tuple[Path, Path]] | None = None


def _in_its_folder(find: Callable[[str, str | None], Path]) -> Callable[[str, str | None], tuple[Path, Path]]:
    """`Source.locate` of a file whose folder is `data_dir`."""

    def locate(name: str, data_dir: str | None) -> tuple[Path, Path]:
        path = find(name, data_dir)
        return path, path.parent

    return locate


def _as_itself(name: str, data_dir: str | None) -> tuple[Path, Path]:
    """`Source.locate` of a folder of images, which `data_dir` names."""
    return (find_folder(name, data_dir),) * 2


def load_digits() -> ImageData:
    """The 1,797 handwritten digits that come with scikit-learn: 8x8, grey levels 0 … 16, ten classes.

    Stratified into 1,297, 200 and 300. Raises `UserError` where scikit-learn is missing.
    """
    if path := packaged_file("digits.csv.gz"):
        table = np.loadtxt(path, delimiter=",")
        images, labels = table[:, :-1], table[:, -1]
    else:
        images, labels = import_sklearn("datasets", "the data source 'digits'").load_digits(return_X_y=True)
    levels, labels = images.reshape(-1, 8, 8, 1).astype(np.uint8), labels.astype(np.int32)
    parts = stratified_parts(labels, DIGIT_SPLIT, DIGIT_SEED)
    train, validation, test = (Split(levels[part], labels[part]) for part in parts)
    names = tuple(str(digit) for digit in range(10))
    return ImageData("digits", train, validation, test, even_pixel_values(NUM_DIGIT_LEVELS), names)


OF_FOLDERS = ("data_dir", "validation_size", "max_gib", "size", "crop", "channels", "test_size", *AFTERWARDS)
SOURCES = {
    "digits": Source(lambda name: load_digits(), AFTERWARDS),
    "npz": Source(
        load_npz,
        ("data_dir", "validation_size", "num_levels", "layout", *AFTERWARDS),
        locate=_in_its_folder(find_file),
    ),
    "folder": Source(load_folder, OF_FOLDERS, locate=_as_itself),
    "tfds": Source(
        load_tfds,
        ("data_dir", "validation_size", "num_levels", "max_gib", "size", "label", *AFTERWARDS),
        locate=locate_tfds,
    ),
    "sprites": Source(load_sprites, (), grid=True),
    "dsprites": Source(load_dsprites, ("data_dir",), grid=True, locate=locate_dsprites),
}


def load_data(
    source: str,
    *,
    name: str | None = None,
    data_dir: str | None = None,
    validation_size: int | None = None,
    num_levels: int | None = None,
    max_gib: float | None = None,
    layout: str = "",
    size: int | None = None,
    crop: str = "center",
    channels: int | None = None,
    test_size: int | None = None,
    downsample: int = 1,
    groups: str = "",
    label: str = "",
    split: str = "holdout",
) -> Dataset:
    """The data set, split into train, validation and test the same way in every run.

    Args:
        source: one of `SOURCES`.
        name: of the npz file without its ending, of the TFDS build, of the rendered grid, or of the file or build of
            dSprites; what a folder of images is called (None: as the folder is).
        data_dir: the folder it is in (None: `VDM_DATA_DIR` for npz; `TFDS_DATA_DIR`, else ~/tensorflow_datasets, for
            tfds; the current folder for a file of dSprites); the folder of images itself (None: `name` in
            `VDM_DATA_DIR`).
        validation_size: None for a tenth of train, at most 5,000.
        num_levels: None for the file's own, or 256.
        max_gib: the largest TFDS data set or folder that is read into memory (None: 8 GiB).
        layout: of an npz file: "NHWC", "NCHW", or "" to refuse shapes that look like the latter.
        size: of a folder of images and of TFDS, the side that images are resized to.
        crop, channels, test_size: of a folder of images, see `load_folder`.
        downsample: the side of the squares that are averaged; 2 makes 14x14 of 28x28.
        groups: classes that are put together, see `grouped`; "": the classes themselves.
        label: of TFDS, the feature that is the class, such as "attributes/Male"; "": `label`.
        split: "holdout", or "population": train, validation and test are all images; for grids of sprites alone.

    Raises `UserError`.
    """
    settings = {
        "data_dir": data_dir or None,
        "validation_size": validation_size,
        "num_levels": num_levels,
        "max_gib": max_gib,
        "layout": layout,
        "size": size,
        "crop": crop,
        "channels": channels,
        "test_size": test_size,
        "downsample": downsample,
        "groups": groups,
        "label": label,
    }
    return _load(choose_source(source), source, name or "", settings, split)


def _load(chosen: Source, source: str, name: str, settings: dict[str, Any], split: str) -> Dataset:
    """The data set by its source, from the settings that the source takes. Raises `UserError`."""
    if source == "digits" and name not in ("", "digits"):
        way = "expected 'digits', or --config.data.source=npz, folder or tfds for other data"
        raise UserError(f"data.name={name!r} is no data set of data.source='digits'; {way}")
    _check_taken(source, settings, split)
    if source not in ("digits", "folder") and not name:
        example = "small" if chosen.grid else "mnist"
        raise UserError(f"the data source {source!r} needs a name, such as name={example!r}")
    data = chosen.load(name, **{each: settings[each] for each in chosen.takes if each not in AFTERWARDS})
    if chosen.grid:
        return make_sprite_data(data, split)
    data = data if settings["downsample"] == 1 else downsampled(data, settings["downsample"])
    return grouped(data, settings["groups"]) if settings["groups"] else data


def _check_taken(source: str, settings: dict[str, Any], split: str) -> None:
    """Raises `UserError` for a setting that the source does not take."""
    chosen = SOURCES[source]
    for setting, value in settings.items():
        if setting not in chosen.takes and value != UNSET[setting]:
            raise UserError(f"{setting}={value!r}: the data source {source!r} has no such choice; leave it unset")
    choose("data.split", split, SPLITTINGS)
    if split != "holdout" and not chosen.grid:
        grids = " or ".join(repr(name) for name, other in SOURCES.items() if other.grid)
        raise UserError(f"data.split={split!r} is for data.source={grids}, not for {source!r}; expected 'holdout'")


def choose_source(source: str) -> Source:
    """The source of this name. Raises `UserError`, also for the words of other libraries and for a path."""
    if source in SOURCES:
        return SOURCES[source]
    meant = next((own for own, words in SYNONYMS.items() if source.lower() in words.split()), "")
    if Path(source).suffix == ".npz":
        meant = f"npz --config.data.dir={Path(source).parent} --config.data.name={Path(source).stem}"
    elif "/" in source:
        meant = f"folder --config.data.dir={source}"
    near = f"; did you mean --config.data.source={meant}?" if meant else suggestion(source, SOURCES)
    raise UserError(f"data source={source!r}; expected one of {sorted(SOURCES)}{near}")


def locate(source: str, name: str, data_dir: str) -> Location | None:
    """Where the data lie; None for data without files. Raises `UserError` where they are not there."""
    chosen = choose_source(source)
    if chosen.locate is None or not (name or source == "folder"):
        return None
    path, folder = chosen.locate(name, data_dir or None)
    return Location(path, str(folder.absolute()))
