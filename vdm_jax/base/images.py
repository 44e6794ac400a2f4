"""Images as levels 0 … K-1, as the pixel values that models see, as pictures for people, and in files of any size.

In npz files the array is called "arr_0" and holds bytes [N, H, W, C], as the evaluation scripts of guided-diffusion
(ADM) read them; torch-fidelity, clean-fid and pytorch-fid read folders of PNG files.
"""

import pathlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedIOBase
from typing import Any, BinaryIO

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Real, UInt8

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.files import write_file

PAGE = 8  # a page of images has at most so many rows, and so many panes in a row
PAGE_PIXELS = 2**23  # of a picture: large images make a page of fewer
CELL = 112  # side in pixels, about, to which small images are enlarged
DRAWN_WHOLE = (1, 3)  # numbers of channels that are one picture: grey and colour
ARRAY = "arr_0"
EARLIER = "images"  # the array's name in files of version 0.1
CROPS = ("center", "none")  # how images of other shapes reach a square
BATCH = 2**24  # bytes that are read at once, about

Images = UInt8[np.ndarray, "_ h w c"]


def even_pixel_values(num_levels: int) -> Float[np.ndarray, " k"]:
    """K evenly spaced values in ±(1 - 1/K), the convention of VDM: `(2 k + 1) / K - 1`. -> [K], float32."""
    return ((2 * np.arange(num_levels) + 1) / num_levels - 1).astype(np.float32)


def to_pixels(
    levels: Integer[Array | np.ndarray, "*shape"], pixel_values: Float[Array | np.ndarray, " k"]
) -> Float[Array, "*shape"]:
    """Levels 0 … K-1 to the values `pixel_values[level]` that models see."""
    return jnp.asarray(pixel_values)[levels]


def to_unit(levels: np.ndarray, num_levels: int) -> Float[np.ndarray, "*shape"]:
    """Levels 0 … K-1 to [0, 1], for figures and image metrics."""
    return (np.asarray(levels) / (num_levels - 1)).astype(np.float32)


def levels_to_bytes(levels: Integer[np.ndarray, "*shape"], num_levels: int) -> UInt8[np.ndarray, "*shape"]:
    """Levels 0 … K-1 to 0 … 255."""
    return _to_bytes(to_unit(levels, num_levels))


def pixels_to_bytes(
    pixels: Float[np.ndarray, "*shape"], pixel_values: Float[np.ndarray, " k"]
) -> UInt8[np.ndarray, "*shape"]:
    """Pixels, or a noisy z, to 0 … 255; values outside the range are clipped."""
    low, high = pixel_values[[0, -1]]
    return _to_bytes((pixels - low) / (high - low))


def _to_bytes(images: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)


def panes(images: Real[np.ndarray, "*n h w c"]) -> Real[np.ndarray, "*n h v p"]:
    """Images as they are drawn: grey and colour images as they are, P = C = 1 or 3. Of any other number of channels
    each one is a grey pane, from left to right, one pixel of mid-grey apart: P = 1, V = C (W + 1) - 1."""
    *n, h, w, c = images.shape
    if c in DRAWN_WHOLE:
        return images
    drawn = np.full((*n, h, c, w + 1), mid_grey(images.dtype), images.dtype)
    drawn[..., :w] = np.moveaxis(images, -1, -2)
    return drawn.reshape(*n, h, c * (w + 1))[..., :-1, None]


def image_grid(images: Real[np.ndarray, "n h w c"], num_columns: int, pad: int = 1) -> Real[np.ndarray, "H W p"]:
    """Images in [0, 1] or bytes, row by row on a mid-grey background, `pad` pixels apart; panes of one image are closer
    to each other."""
    pad += 0 if images.shape[-1] in DRAWN_WHOLE else 2
    images = panes(images)
    n, h, w, c = images.shape
    num_rows = -(-n // num_columns)
    shape = (num_rows * (h + pad) + pad, num_columns * (w + pad) + pad, c)
    grid = np.full(shape, mid_grey(images.dtype), images.dtype)
    for i, image in enumerate(images):
        top, left = pad + (i // num_columns) * (h + pad), pad + (i % num_columns) * (w + pad)
        grid[top : top + h, left : left + w] = image
    return grid


def page_size(h: int, w: int, c: int) -> tuple[int, int]:
    """(number of images, columns) of a page of images [H, W, C]: at most 8 rows of at most 8 panes, fewer of large
    images, and at least one image."""
    columns = max(1, PAGE // num_panes(c))
    most = max(1, PAGE_PIXELS // (h * w * num_panes(c)))
    return min(PAGE * columns, most), min(columns, most)


def page_rows(h: int, w: int, c: int, num_columns: int) -> int:
    """The number of rows of `num_columns` images that a picture has at most."""
    return max(1, PAGE_PIXELS // (h * w * num_panes(c) * enlargement(h, w) ** 2 * num_columns))


def num_panes(c: int) -> int:
    """The number of panes of an image of C channels."""
    return 1 if c in DRAWN_WHOLE else c


def enlargement(h: int, w: int) -> int:
    """The number of pixels of a picture, in each direction, that a pixel of an image is. Large images have 1."""
    return max(1, round(CELL / max(h, w)))


def picture(images: UInt8[np.ndarray, "n h w c"], num_columns: int) -> UInt8[np.ndarray, "H W p"]:
    """A grid of images; small ones are enlarged. Whole rows are left out where it would exceed `PAGE_PIXELS`."""
    scale, most = enlargement(*images.shape[1:3]), page_rows(*images.shape[1:], num_columns) * num_columns
    return image_grid(images[:most], num_columns).repeat(scale, axis=0).repeat(scale, axis=1)


def mid_grey(dtype: np.dtype) -> int | float:
    """The ground of pictures: 0.5 of images in [0, 1], 128 of bytes."""
    return 128 if np.issubdtype(dtype, np.integer) else 0.5


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
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise ValueError(f"{path}: {error}") from error


def num_images(path: pathlib.Path) -> int:
    """The number of images in an npz file, every byte of which is checked; 0 where it is damaged or no such file."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return 0
            with archive.open(_member(archive)) as member:
                return _header(member)[0][0]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
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


def check_resizing(size: int | None, crop: str = "center") -> None:
    """Raises `UserError` for an unknown crop, a side below 1, or a crop without a side. size: None: not resized."""
    choose("data.crop", crop, dict.fromkeys(CROPS))
    if size is not None and size < 1:
        raise UserError(f"data.size={size}; expected a side of at least 1 pixel")
    if size is None and crop != "center":
        raise UserError(f"data.crop={crop!r} says how to reach data.size, which is unset; set it, or leave both")


def resized(image: Any, side: int, crop: str = "center") -> Any:
    """An image of Pillow resized to a square (bicubic).

    crop: "center": its largest square in the middle; "none": the whole image, squeezed.
    """
    from PIL import Image

    square = min(image.size) if crop == "center" else 0
    left, top = ((length - square) // 2 if square else 0 for length in image.size)
    box = (left, top, left + square, top + square) if square else (0, 0, *image.size)
    return image.resize((side, side), Image.Resampling.BICUBIC, box=box)


def resized_levels(levels: UInt8[np.ndarray, "h w c"], side: int) -> UInt8[np.ndarray, "s s c"]:
    """`resized` of the levels of a grey or colour image."""
    from PIL import Image

    grey = levels.shape[2] == 1
    image = Image.fromarray(levels[..., 0] if grey else levels)
    return np.asarray(resized(image, side), np.uint8).reshape(side, side, levels.shape[2])
