"""The real dSprites (Matthey et al. 2017) as a grid of sprites: its npz or hdf5 file, or the TFDS build.

The images are read once, a few thousand at a time, and kept as bits (360 MiB for all). Each is then checked to be its
template shifted by whole pixels. The result is a `SpriteGrid` like the rendered ones.
"""

import math
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int, UInt8

from vdm_jax.base.errors import UserError
from vdm_jax.data.sprites import FACTORS, SHAPES, SpriteGrid
from vdm_jax.data.tfds import import_tfds, in_one_line, locate_tfds

BATCH = 4_096  # images at a time
TFDS_LABELS = {"shape": "shape", "scale": "scale", "orientation": "orientation", "x": "x_position", "y": "y_position"}
FILES = (".npz", ".hdf5", ".h5")
HOW_TO_GET = (
    "it is dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz or .hdf5 of github.com/google-deepmind/dsprites-dataset"
)

Images = UInt8[np.ndarray, "n height width"]


class Recorded(NamedTuple):
    """The content of a file: batches of images in the file's order, and the factors of every image."""

    batches: Iterator[Images]
    classes: Int[np.ndarray, "n 5"]  # index of each factor's value, in the order of `FACTORS`
    values: np.ndarray  # [N, 5], the values themselves


@dataclass(frozen=True, kw_only=True)
class RecordedGrid(SpriteGrid):
    """A grid whose templates are cut out of recorded images."""

    cut_out: Bool[np.ndarray, "t w w"] = field(compare=False, repr=False)

    @property
    def window(self) -> int:
        return self.cut_out.shape[-1]

    @cached_property
    def templates(self) -> Bool[np.ndarray, "t w w"]:
        return self.cut_out


def load_dsprites(name: str, data_dir: str | None) -> RecordedGrid:
    """dSprites from the file `name` (.npz, .hdf5, .h5) in `data_dir`, or from the TFDS build of that name.

    Raises `UserError` for a missing file or build, for missing or repeated factors, and for images that are not their
    template shifted by whole pixels.
    """
    path, _ = locate_dsprites(name, data_dir)
    if not name.endswith(FILES):
        return make_grid(str(path), read_tfds(path))
    return make_grid(str(path), (read_npz if name.endswith(".npz") else read_hdf5)(path))


def locate_dsprites(name: str, data_dir: str | None) -> tuple[Path, Path]:
    """The file, in `data_dir` or here, or the TFDS build; and its folder. Raises `UserError`."""
    if not name.endswith(FILES):
        return locate_tfds(name, data_dir)
    path = Path(data_dir or ".") / name
    if not path.is_file():
        raise UserError(f"no file {str(path)!r} (data.dir, data.name); {HOW_TO_GET}")
    return path, path.parent


def read_npz(path: Path) -> Recorded:
    """Reads `imgs`, `latents_classes` and `latents_values`; images are unpacked batch by batch."""
    try:
        with np.load(path, allow_pickle=False) as file:
            classes, values = file["latents_classes"], file["latents_values"]
    except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is no readable dSprites file: {in_one_line(error)}; {HOW_TO_GET}") from error

    def batches() -> Iterator[Images]:
        with zipfile.ZipFile(path) as archive, archive.open("imgs.npy") as file:
            header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
            shape, fortran, dtype = header[np.lib.format.read_magic(file)[0]](file)
            if fortran or dtype.itemsize != 1 or len(shape) != 3:
                raise ValueError(f"imgs is {dtype}{list(shape)}, expected uint8 [N, H, W]")
            for start in range(0, shape[0], BATCH):
                n = min(BATCH, shape[0] - start)
                yield np.frombuffer(file.read(n * math.prod(shape[1:])), np.uint8).reshape(n, *shape[1:])

    return Recorded(batches(), *without_colour(path, classes, values))


def read_hdf5(path: Path) -> Recorded:
    """Reads `imgs`, `latents/classes` and `latents/values`. Needs h5py, the extra `dsprites`."""
    try:
        import h5py
    except ImportError as error:
        raise UserError(f"{path} needs h5py: python -m pip install 'vdm-jax[dsprites]'") from error
    try:
        with h5py.File(path) as file:
            classes, values = np.asarray(file["latents/classes"]), np.asarray(file["latents/values"])
    except (OSError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no readable dSprites file: {in_one_line(error)}; {HOW_TO_GET}") from error

    def batches() -> Iterator[Images]:
        with h5py.File(path) as file:
            for start in range(0, len(file["imgs"]), BATCH):
                yield file["imgs"][start : start + BATCH]

    return Recorded(batches(), *without_colour(path, classes, values))


def without_colour(path: Path, classes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tables without their first column, the colour, of which there is one. Raises `UserError` for other tables."""
    for what, table, kinds in (("classes", classes, "iu"), ("values", values, "iuf")):
        if table.ndim != 2 or table.shape[1] != 1 + len(FACTORS) or table.dtype.kind not in kinds:
            given = f"{path}: latents {what} are {table.dtype}{list(table.shape)}"
            raise UserError(f"{given}; expected numbers of colour, {', '.join(FACTORS)} for each image")
    if len(values) != len(classes) or not np.isfinite(values).all():
        raise UserError(f"{path}: latents values are not {len(classes):,} rows of finite numbers, as the classes are")
    return classes[:, 1:].astype(np.int64), values[:, 1:]


def read_tfds(path: Path) -> Recorded:
    """Reads the split `train` of the builder `dsprites`: images, `label_…` and `value_…`."""
    tfds = import_tfds()
    keys = [f"{kind}_{label}" for kind in ("label", "value") for label in TFDS_LABELS.values()]
    try:
        builder = tfds.builder_from_directory(path)
        features = builder.info.features
        factors = tfds.features.FeaturesDict({key: features[key] for key in keys})
        image = tfds.features.FeaturesDict({"image": features["image"]})
        source = builder.as_data_source("train", deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
        n = len(source)
        table = np.empty((n, 2 * len(FACTORS)))
        for start in range(0, n, BATCH):
            rows = list(range(start, min(start + BATCH, n)))
            for row, record in zip(rows, source.__getitems__(rows), strict=True):
                example = factors.deserialize_example_np(record)
                table[row] = [example[key] for key in keys]
    except Exception as error:  # tfds, array_record, protobuf and the file system all have errors of their own
        raise UserError(f"{path} is no readable TFDS build of dSprites: {in_one_line(error)}") from error

    def batches() -> Iterator[Images]:
        for start in range(0, n, BATCH):
            records = source.__getitems__(list(range(start, min(start + BATCH, n))))
            yield np.stack([image.deserialize_example_np(record)["image"][..., 0] for record in records])

    return Recorded(batches(), table[:, : len(FACTORS)].astype(np.int64), table[:, len(FACTORS) :])


def make_grid(what: str, recorded: Recorded) -> RecordedGrid:
    """The grid of the recorded images. what: their name in messages. Raises `UserError`."""
    classes = recorded.classes
    if classes.ndim != 2 or classes.shape[1] != len(FACTORS) or len(classes) == 0 or classes.min() < 0:
        least = f", the least of them {classes.min()}" if classes.size else ""
        raise UserError(
            f"{what} holds factor classes of shape {list(classes.shape)}{least}; expected whole numbers from 0 on for "
            f"{', '.join(FACTORS)} of each image"
        )
    sizes = tuple(int(n) for n in classes.max(0) + 1)
    every = f"{what} holds {len(classes):,} images; expected each of {sizes} {', '.join(FACTORS)} once"
    if len(classes) != math.prod(sizes):
        raise UserError(every)
    index = np.ravel_multi_index(tuple(classes.T), sizes)
    if len(np.unique(index)) != len(classes):
        raise UserError(every)
    if sizes[0] > len(SHAPES):
        raise UserError(f"{what} holds {sizes[0]} shapes; expected {', '.join(SHAPES)}, whose symmetries are known")
    bits, side = pack(what, recorded.batches, index)
    corner = slice(None, None, sizes[3] * sizes[4])  # x = y = 0 of each template
    first = unpack(bits[corner], side)
    if not first.any(axis=(1, 2)).all():
        raise UserError(f"{what} holds images without a sprite")
    low, high = extent(first)
    offsets = [low + shifts(unpack(bits[along], side)) for along in along_x_and_y(sizes)]
    if not np.array_equal(*offsets):
        raise UserError(
            f"{what}: x lies at {offsets[0].tolist()}, y at {offsets[1].tolist()}; expected the same pixels"
        )
    of_factor = {name: values_by_class(classes[:, i], recorded.values[:, i]) for i, name in enumerate(FACTORS)}
    grid = RecordedGrid(
        name="dsprites",
        side=side,
        radius=(high - low) // 2,
        scales=of_factor["scale"],
        orientations=of_factor["orientation"],
        offsets=tuple(int(offset) for offset in offsets[0]),
        shapes=tuple(SHAPES)[: sizes[0]],
        cut_out=first[:, low:high, low:high],
    )
    check_images(what, grid, bits)
    return grid


def pack(what: str, batches: Iterator[Images], index: Int[np.ndarray, " n"]) -> tuple[UInt8[np.ndarray, "n b"], int]:
    """(bits, side): every image as bits, at its index in the grid, and the side of the images."""
    from tqdm import tqdm

    bits, side, start = np.empty((0, 0), np.uint8), 0, 0
    with tqdm(total=len(index), desc="read", unit="image", disable=None, delay=1, leave=False) as bar:
        try:
            for batch in batches:
                if batch.dtype.kind not in "ub" or batch.ndim != 3 or batch.shape[1] != batch.shape[2]:
                    raise ValueError(f"a batch is {batch.dtype}{list(batch.shape)}, expected uint8 [N, H, H]")
                if start + len(batch) > len(index):
                    raise ValueError(f"there are more than the {len(index):,} whose factors are there")
                if not start:
                    side = batch.shape[1]
                    bits = np.empty((len(index), -(-(side**2) // 8)), np.uint8)
                bits[index[start : start + len(batch)]] = np.packbits(batch.reshape(len(batch), -1) > 0, axis=1)
                start += len(batch)
                bar.update(len(batch))
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(f"{what}: the images cannot be read: {in_one_line(error)}") from error
    if start != len(index):
        raise UserError(f"{what} holds factors of {len(index):,} images and {start:,} images")
    return bits, side


def unpack(bits: UInt8[np.ndarray, "n b"], side: int) -> Bool[np.ndarray, "n s s"]:
    return np.unpackbits(bits, axis=1, count=side**2).reshape(-1, side, side).astype(bool)


def extent(images: Bool[np.ndarray, "n s s"]) -> tuple[int, int]:
    """(low, high): any row or column with a pixel of any image has low <= index < high."""
    used = np.flatnonzero(images.any((0, 1)) | images.any((0, 2)))
    return int(used[0]), int(used[-1]) + 1


def along_x_and_y(sizes: tuple[int, ...]) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " q"]]:
    """Indices of images of the first template: all x at y = 0, and all y at x = 0."""
    return np.arange(sizes[3]) * sizes[4], np.arange(sizes[4])


def shifts(images: Bool[np.ndarray, "p s s"]) -> Int[np.ndarray, " p"]:
    """Pixels by which each image is shifted from the first, to the right or downwards."""
    edges = np.stack([images.any(1).argmax(1), images.any(2).argmax(1)])
    moved = edges - edges[:, :1]
    return moved[np.abs(moved).sum(1).argmax()]


def values_by_class(classes: Int[np.ndarray, " n"], values: np.ndarray) -> tuple[float, ...]:
    """The value of each class of a factor."""
    return tuple(float(values[classes == one][0]) for one in range(classes.max() + 1))


def check_images(what: str, grid: RecordedGrid, bits: UInt8[np.ndarray, "n b"]) -> None:
    """Raises `UserError` for an image that differs from the one that the grid renders."""
    for start in range(0, len(grid), BATCH):
        rendered = np.asarray(grid.render(jnp.arange(start, min(start + BATCH, len(grid)))))[..., 0] > 0
        same = (np.packbits(rendered.reshape(len(rendered), -1), axis=1) == bits[start : start + BATCH]).all(1)
        if not same.all():
            found = grid.factors(start + np.flatnonzero(~same)[:1])
            factors = ", ".join(f"{name} {value[0]}" for name, value in found.items())
            raise UserError(f"{what}: the image of {factors} is no shift of its template by whole pixels")
