"""Images in files that other programs read, in memory for one batch: npz files of any size, and PNG files.

The array is called "arr_0" and holds bytes [N, H, W, C], as the evaluation scripts of guided-diffusion (ADM) read them;
torch-fidelity, clean-fid and pytorch-fid read folders of PNG files.
"""

import pathlib
import zipfile
from collections.abc import Iterable, Iterator
from io import BufferedIOBase
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8

from vdm_jax.base.files import write_file
from vdm_jax.base.images import panes

ARRAY = "arr_0"
EARLIER = "images"  # the array's name in files of version 0.1
BATCH = 2**24  # bytes that are read at once, about

Images = UInt8[np.ndarray, "_ h w c"]


def write_images(path: pathlib.Path, shape: tuple[int, int, int, int], batches: Iterable[Images]) -> None:
    """Writes N images, `shape` = (N, H, W, C), to an npz file batch by batch; atomically, the same bytes each time.

    Raises `ValueError` where `batches` hold another number of images.
    """

    def write(file: BinaryIO) -> None:
        entry, written = zipfile.ZipInfo(f"{ARRAY}.npy"), 0  # not compressed: images hardly shrink
        with zipfile.ZipFile(file, "w") as archive, archive.open(entry, "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": tuple(map(int, shape))}
            np.lib.format.write_array_header_1_0(member, header)
            for batch in batches:
                member.write(np.ascontiguousarray(batch, np.uint8).data)
                written += len(batch)
        if written != shape[0]:
            raise ValueError(f"{written} images; expected {shape[0]}")

    write_file(path, write)


def read_images(path: pathlib.Path, most: int | None = None) -> Iterator[Images]:
    """The first `most` images (None: all) of an npz file, batch by batch. Raises `OSError` or `ValueError` where it is
    no such file, or damaged."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(_member(archive)) as member:
            (number, *shape), dtype = _header(member)
            left = number if most is None else min(most, number)
            size = int(np.prod(shape)) * dtype.itemsize
            while left > 0:
                count = min(left, max(1, BATCH // size))
                yield np.frombuffer(member.read(count * size), dtype).reshape(count, *shape)
                left -= count
    except (zipfile.BadZipFile, EOFError, KeyError) as error:
        raise ValueError(f"{path}: {error}") from error


def num_images(path: pathlib.Path) -> int:
    """The number of images in an npz file, every byte of which is checked; 0 where it is damaged or no such file."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return 0
            with archive.open(_member(archive)) as member:
                return _header(member)[0][0]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return 0


def write_png(path: pathlib.Path, image: UInt8[np.ndarray, "h w c"]) -> None:
    """Writes one image, or a picture of many, as a PNG file: grey, colour, or its channels side by side."""
    from PIL import Image  # matplotlib brings it

    drawn = panes(image)
    drawn = drawn[..., 0] if drawn.shape[-1] == 1 else drawn
    write_file(path, lambda file: Image.fromarray(np.ascontiguousarray(drawn)).save(file, format="PNG"))


def _member(archive: zipfile.ZipFile) -> str:
    names = [f"{name}.npy" for name in (ARRAY, EARLIER) if f"{name}.npy" in archive.namelist()]
    if not names:
        raise ValueError(f"no array {ARRAY}")
    return names[0]


def _header(member: BufferedIOBase) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and the dtype of an array in row-major order."""
    version = np.lib.format.read_magic(member)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, is_fortran, dtype = read[version](member)
    if is_fortran or dtype != np.uint8 or len(shape) != 4:
        raise ValueError(f"an array {list(shape)} of {dtype}; expected bytes [N, H, W, C]")
    return shape, dtype
