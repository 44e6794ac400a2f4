"""Image builders of TFDS (TensorFlow Datasets), prepared as array_record files, read without TensorFlow.

A build is a folder BUILDER[/CONFIG]/VERSION that TFDS has written: `dataset_info.json`, `features.json`, the names of
the labels and the record files. It needs a feature `image` of uint8 [H, W, C], all of one shape or resized to one, and
the splits `train` and `test`. `validation` is optional, and so is `label`, one whole number an image, in whose place
another feature may be named, such as an attribute of faces. Other features are not read. All images are held in memory
as levels; nothing is streamed.
"""

import math
import os
import re
from collections.abc import Iterator
from functools import reduce
from operator import getitem
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from vdm_jax.base.errors import UserError, suggestion
from vdm_jax.base.images import check_resizing, resized_levels
from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import ImageData
from vdm_jax.data.splits import make_image_data

FOLDER_VARIABLE = "TFDS_DATA_DIR"  # TFDS's own, as is the folder where it is unset
DEFAULT_FOLDER = "~/tensorflow_datasets"
DEFAULT_MAX_GIB = 8.0
NUM_LEVELS = 256
BATCH_SIZE = 1_000  # records read and decoded at a time
NAME = re.compile(r"(?P<builder>[A-Za-z_]\w*)(/(?P<config>[\w+.-]+))?(:(?P<version>(\d+|\*)(\.(\d+|\*)){2}))?")
VERSION = re.compile(r"\d+\.\d+\.\d+")
HOW_TO_BUILD = "`python -m vdm_jax.data.prepare {}{}` makes one, where TensorFlow and a network are"


def load_tfds(
    name: str,
    data_dir: str | None,
    validation_size: int | None,
    num_levels: int | None,
    max_gib: float | None,
    size: int | None = None,
    label: str = "",
) -> ImageData:
    """The build of `name`, BUILDER[/CONFIG][:VERSION], the latest matching version; a star matches any number.

    data_dir: the folder that holds BUILDER; None: `TFDS_DATA_DIR`, or ~/tensorflow_datasets. num_levels: K (None: 256).
    size: the side that the largest square in the middle of images is resized to; None: their own. label: the feature
    that is the class, a whole number or a truth value, with "/" between the levels, such as "attributes/Male"; "":
    `label`, where it is there. The images have the order of the record files and are split by `make_image_data`. MNIST
    takes 5 seconds. Raises `UserError` for missing or unsuitable data, and for more than `max_gib` GiB of images (None:
    8).
    """
    check_resizing(size)
    tfds = import_tfds()
    path = find_build(name, data_dir)
    try:
        builder = tfds.builder_from_directory(path)
        sizes = {str(split): info.num_examples for split, info in builder.info.splits.items()}
    except Exception as error:  # tfds, protobuf, json and the file system all have errors of their own
        raise UserError(f"{path} is no readable TFDS build: {in_one_line(error)}") from error
    check_format(path, name, builder)
    features = builder.info.features
    shape = image_shape(str(path), features, size)
    labels = label_feature(features, label, str(path))
    check_splits(path, sizes)
    splits = [split for split in ("train", "validation", "test") if sizes.get(split)]
    num_bytes = math.prod(shape) * sum(sizes[split] for split in splits)
    check_memory(path, num_bytes, DEFAULT_MAX_GIB if max_gib is None else max_gib)
    return make_image_data(
        path,
        name,
        {split: read_split(tfds, builder, path, split, shape, bool(size), label) for split in splits},
        num_levels=NUM_LEVELS if num_levels is None else num_levels,
        validation_size=validation_size,
        label_names=label_names(labels, label),
    )


def import_tfds() -> ModuleType:
    """tensorflow_datasets, able to read array_record files. Raises `UserError` naming the extra that is missing."""
    try:
        import importlib_resources  # noqa: F401
        import PIL  # noqa: F401
        import tensorflow_datasets
        from array_record.python import array_record_data_source  # noqa: F401
    except ImportError as error:
        missing = f"the data source 'tfds' needs packages that are not here ({error.name})"
        raise UserError(f"{missing}: python -m pip install 'vdm-jax[tfds]'") from error
    return tensorflow_datasets


def data_folder(data_dir: str | None) -> Path:
    """The folder that holds the builders' folders: TFDS's own rule."""
    return Path(data_dir or os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER).expanduser()


def parse_name(name: str) -> re.Match[str]:
    """The groups `builder`, `config` and `version` of a TFDS name, the latter two perhaps None."""
    if match := NAME.fullmatch(name):
        return match
    raise UserError(f"name={name!r}; expected a TFDS name such as 'cifar10', 'cifar10:3.0.2' or 'emnist/balanced'")


def find_build(name: str, data_dir: str | None) -> Path:
    """BUILDER[/CONFIG]/VERSION of the latest version that `name` allows."""
    return locate_tfds(name, data_dir)[0]


def locate_tfds(name: str, data_dir: str | None) -> tuple[Path, Path]:
    """The build, and the folder of builds that it is in. Raises `UserError`."""
    wanted, folder = parse_name(name), data_folder(data_dir)
    there = f"the folder {str(folder)!r} (data.dir, else {FOLDER_VARIABLE}, else {DEFAULT_FOLDER})"
    how = HOW_TO_BUILD.format(name, f" --dir={data_dir}" if data_dir else "")
    if not folder.is_dir():
        raise UserError(f"no TFDS build of {name!r}: {there} does not exist; {how}")
    builds = builds_in(folder)
    fitting = [build for build in builds if _fits(build, wanted)]
    if not fitting:
        known = f"it holds {sorted(builds)}{suggestion(name, builds)}" if builds else "it holds no builds"
        raise UserError(f"no TFDS build of {name!r} in {there}: {known}; {how}")
    latest = max(fitting, key=lambda build: [int(part) for part in build.partition(":")[2].split(".")])
    return builds[latest], folder


def builds_in(folder: Path) -> dict[str, Path]:
    """Full names, BUILDER[/CONFIG]:VERSION, and folders of the builds below `folder`."""
    versions = [path for pattern in ("*/*", "*/*/*") for path in folder.glob(pattern) if VERSION.fullmatch(path.name)]
    return {f"{path.parent.relative_to(folder).as_posix()}:{path.name}": path for path in versions if path.is_dir()}


def _fits(build: str, wanted: re.Match[str]) -> bool:
    name, _, version = build.partition(":")
    if name != "/".join(filter(None, (wanted["builder"], wanted["config"]))):
        return False
    pairs = zip((wanted["version"] or "*.*.*").split("."), version.split("."), strict=True)
    return all(wanted in ("*", part) for wanted, part in pairs)


def image_shape(what: str, features: Any, size: int | None = None) -> tuple[int, int, int]:
    """(H, W, C) of the feature `image` of a builder. Raises `UserError` unless it is uint8 of one shape.

    size: the side that images of any height and width are resized to.
    """
    if "image" not in features:
        raise UserError(f"{what} has no feature 'image', only {sorted(features)}")
    shape, dtype = features["image"].shape, features["image"].np_dtype
    if size and isinstance(shape, tuple) and len(shape) == 3:
        shape = (size, size, shape[2])
    if not isinstance(shape, tuple) or len(shape) != 3 or None in shape or dtype != np.uint8:
        given = f"{np.dtype(dtype)}{list(shape)}".replace("None", "any")
        raise UserError(f"{what} holds images of {given}; expected uint8 [H, W, C], all of one shape")
    return shape


def label_feature(features: Any, label: str = "", what: str = "") -> Any | None:
    """The feature that is the class: `label`, such as "attributes/Male", a whole number or a truth value; "": the
    feature called label where it is a whole number, else None. Raises `UserError` for a name of no such feature."""
    found = dict(_scalars(features))
    if not label:
        own = found.get("label")
        return own if own is not None and np.issubdtype(own.np_dtype, np.integer) else None
    if label not in found:
        known = f"expected one of {sorted(found)}" if found else "it has none"
        raise UserError(f"data.label={label!r}: {what} has no such whole number or truth value; {known}")
    return found[label]


def _scalars(features: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The features that are one whole number or truth value an image, by their names with "/" between levels."""
    for name, feature in features.items():
        if hasattr(feature, "items"):
            yield from _scalars(feature, f"{prefix}{name}/")
        elif feature.shape == () and np.dtype(feature.np_dtype).kind in "biu":
            yield prefix + name, feature


def label_names(feature: Any | None, label: str = "") -> list[str] | None:
    """The names of the classes, where the feature is one of so many classes, or a truth value."""
    if getattr(feature, "num_classes", None):
        return list(feature.names)
    if feature is not None and np.dtype(feature.np_dtype) == np.bool_:
        name = label.rpartition("/")[2] or "label"
        return [f"not {name}", name]
    return None


def check_format(path: Path, name: str, builder: Any) -> None:
    """Raises `UserError` for files that only TensorFlow reads."""
    formats = sorted(form.value for form in builder.info.available_file_formats())
    if not {"array_record", "parquet"} & set(formats):
        other = f"`python -m vdm_jax.data.prepare {name} --dir=FOLDER`"
        raise UserError(f"{path} is stored as {formats}, which TensorFlow alone reads; {other} writes array_record")


def check_splits(path: Path, sizes: dict[str, int]) -> None:
    """Raises `UserError` unless `train` and `test` have images."""
    for split in ("train", "test"):
        if not sizes.get(split):
            raise UserError(f"{path} has no split {split!r}, only {sorted(split for split in sizes if sizes[split])}")


def check_memory(path: Path, num_bytes: int, max_gib: float) -> None:
    """Raises `UserError` for more than `max_gib` GiB."""
    if num_bytes > max_gib * 2**30:
        raise UserError(
            f"{path} takes {num_bytes / 2**30:.3g} GiB as uint8, more than max_gib={max_gib:g}: data sets are held "
            "whole in memory and on the device, not streamed; set data.max_gib higher if yours have the room"
        )


def read_split(
    tfds: ModuleType,
    builder: Any,
    path: Path,
    split: str,
    shape: tuple[int, int, int],
    resize: bool = False,
    label: str = "",
) -> tuple[UInt8[np.ndarray, "n h w c"], Int64[np.ndarray, " n"] | None]:
    """All images [N, H, W, C] of a split, uint8, and labels [N] or None, in the order of the record files.

    resize: whether images are resized to `shape`, or have it. label: of `label_feature`.
    """
    features = builder.info.features
    own = label_feature(features, label, str(path))
    names = (label or "label").split("/")
    nested = {} if own is None else reduce(lambda inner, name: {name: inner}, reversed(names), own)
    read = tfds.features.FeaturesDict({"image": features["image"]} | nested)
    n = builder.info.splits[split].num_examples
    levels, labels = np.empty((n, *shape), np.uint8), np.zeros(n, np.int64)
    try:
        source = builder.as_data_source(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
        for start in bar(f"data: {split} images in batches of {BATCH_SIZE}")(range(0, n, BATCH_SIZE)):
            rows = range(start, min(start + BATCH_SIZE, n))
            for row, record in zip(rows, source.__getitems__(list(rows)), strict=True):
                example = read.deserialize_example_np(record)
                image = resized_levels(example["image"], shape[0]) if resize else example["image"]
                if image.shape != shape:
                    raise ValueError(f"image {row} is {list(image.shape)}, not {list(shape)}")
                levels[row] = image
                if own is not None:
                    labels[row] = reduce(getitem, names, example)
    except Exception as error:  # array_record, protobuf and Pillow all have errors of their own
        raise UserError(f"{path}: the split {split!r} cannot be read: {in_one_line(error)}") from error
    return levels, labels if own is not None else None


def in_one_line(error: Exception) -> str:
    """The class and the message of an error of another package, shortened."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said[:400]}{'…' if len(said) > 400 else ''}"
