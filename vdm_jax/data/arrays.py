"""What the arrays of an npz file mean: their names, the layout of images, the number of levels.

Arrays that are not understood are refused in one sentence that names the array and the way out.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vdm_jax.base.errors import UserError, choose
from vdm_jax.data.dataset import SPLITS

KNOWN = (*(f"{axis}_{split}" for split in SPLITS for axis in "xy"), "num_levels", "label_names")
AXES = {"x": ("x", "image", "images", "img", "imgs", "data", "pixels"),
        "y": ("y", "label", "labels", "target", "targets", "class", "classes")}  # fmt: skip
SPLIT_WORDS = {"train": ("train", "training", "tr"), "validation": ("validation", "val", "valid", "dev"),
               "test": ("test", "testing")}  # fmt: skip
NEAR = 0.8  # similarity from which a name is taken for a mistyped one
MOST_CHANNELS = 4  # of images that are looked at
LAYOUTS = ("NHWC", "NCHW")
EXPECTED = "expected whole numbers [N, H, W] or [N, H, W, C]"


def unread_names(path: Path, names: Sequence[str]) -> list[str]:
    """The names of arrays that are not read. Raises `UserError` for those that are near a known name."""
    others = [name for name in names if name not in KNOWN]
    near = {name: known for name in others if (known := meant(name, names))}
    if near:
        told = ", ".join(f"{name!r} (did you mean {known!r}?)" for name, known in near.items())
        raise UserError(f"{path} holds {told}; rename what is to be read with np.savez, and leave out the rest")
    return others


def meant(name: str, there: Sequence[str]) -> str | None:
    """The known name that an unknown one stands for: "x_val" for x_validation, "train_images" for x_train."""
    words = [word for word in re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()) if word]
    axes, splits = _read(words, AXES), _read(words, SPLIT_WORDS)
    if len(words) == 2 and axes and splits:
        return f"{axes[0]}_{splits[0]}"
    if len(words) == 1 and axes and f"{axes[0]}_train" not in there:
        return f"{axes[0]}_train"
    near = difflib.get_close_matches(name.lower(), KNOWN, n=1, cutoff=NEAR)
    return near[0] if near else None


def _read(words: Sequence[str], meanings: Mapping[str, Sequence[str]]) -> list[str]:
    return [meaning for word in words for meaning, known in meanings.items() if word in known]


def as_images(path: Path, key: str, images: np.ndarray, layout: str) -> np.ndarray:
    """The images as [N, H, W] or [N, H, W, C]. layout: "NHWC", "NCHW", or "" where the shape tells.

    Raises `UserError` for images that are no whole numbers, have other axes, or seem to have their channels first.
    """
    choose("data.layout", layout, dict.fromkeys(("", *LAYOUTS)))
    found = f"{path}: {key} is {images.dtype}{list(images.shape)}"
    if images.dtype.kind == "f" and images.size:
        raise UserError(f"{found}; {EXPECTED}; {levels_advice(images)}")
    if images.ndim == 2 and images.size:
        side = round(images.shape[1] ** 0.5)
        shape = f"{side}, {side}" if side**2 == images.shape[1] else "HEIGHT, WIDTH"
        raise UserError(f"{found}; {EXPECTED}; x.reshape(-1, {shape}) restores the images of flat rows")
    if images.ndim in (3, 4) and not images.size:
        raise UserError(f"{found}, which holds no pixel; {EXPECTED}")
    if images.dtype.kind not in "bui" or images.ndim not in (3, 4):
        raise UserError(f"{found}; {EXPECTED}")
    if images.min() < 0:
        raise UserError(f"{found}; {levels_advice(images)}")
    if not layout and looks_numbers_last(images.shape):
        way = f"np.moveaxis({key}, -1, 0) puts the number of images first"
        raise UserError(f"{found}, which looks like [H, W, C, N]: {way}, --config.data.layout=NHWC reads it as it is")
    if layout == "NCHW":
        if images.ndim == 3:
            raise UserError(f"{found}, which has no axis of channels; leave data.layout unset")
        if images.shape[3] <= MOST_CHANNELS < images.shape[1]:
            raise UserError(f"{found}, which looks like [N, H, W, C] and not like data.layout='NCHW'; leave it unset")
        return np.ascontiguousarray(np.moveaxis(images, 1, 3))
    if not layout and looks_channels_first(images.shape):
        _, first, second, third = images.shape
        raise UserError(
            f"{found}, which looks like [N, C, H, W]: --config.data.layout=NCHW reads images of {second} x {third} "
            f"with {first} channel(s), --config.data.layout=NHWC images of {first} x {second} with {third}"
        )
    return images


def looks_channels_first(shape: tuple[int, ...]) -> bool:
    """Whether images of this shape are rather [N, C, H, W]: the last axis is none of channels, the second may be."""
    return len(shape) == 4 and shape[3] > MOST_CHANNELS and shape[1] < min(shape[2:])


def looks_numbers_last(shape: tuple[int, ...]) -> bool:
    """Whether images of this shape are rather [H, W, C, N], as in files of MATLAB: the third axis is that of channels,
    the others are none."""
    return len(shape) == 4 and shape[2] <= MOST_CHANNELS < min(shape[0], shape[1], shape[3])


def levels_advice(images: np.ndarray) -> str:
    """How to make levels of images of floating-point or negative numbers, by their range."""
    low, high = float(images.min()), float(images.max())
    values = f"the values are {low:.4g} … {high:.4g}"
    if not np.isfinite([low, high]).all():
        return f"{values}: replace what is not finite"
    if 1 < high <= 255 and low >= 0:
        return f"{values}: np.rint(x).astype(np.uint8) makes levels of them"
    if low >= 0 and high <= 1:
        return f"{values}: np.rint(255 * x).astype(np.uint8) makes levels of them"
    if low >= -1 and high <= 1:
        return f"{values}: np.rint(127.5 * (x + 1)).astype(np.uint8) makes levels of them"
    if images.dtype.kind == "i" and low >= -128 and high <= 127:
        return f"{values}: (x.astype(int) + 128).astype(np.uint8) makes levels 0 … 255 of signed bytes"
    if images.dtype.kind == "i":
        return f"{values}: expected levels 0, 1, …; x - x.min() starts them at 0"
    return f"{values}: undo their normalisation, and round them to levels 0 … 255 of np.uint8"


def resolve_num_levels(path: Path, arrays: Mapping[str, np.ndarray], num_levels: int | None) -> int:
    """K: the given one, else the file's, else that of the dtype. Raises `UserError`."""
    images = arrays["x_train"]
    if num_levels is None and "num_levels" in arrays:
        stated = arrays["num_levels"]
        if stated.size != 1 or stated.dtype.kind not in "ui":
            raise UserError(f"{path}: num_levels is {stated.dtype}{list(stated.shape)}; expected one whole number")
        num_levels = int(stated.item())
    if num_levels is None:
        num_levels = {np.dtype(np.uint8): 256, np.dtype(bool): 2}.get(images.dtype)
    if num_levels is None:
        fits = images.min() >= 0 and images.max() <= 255
        way = "x.astype(np.uint8) for 256 levels, or " if fits else ""
        raise UserError(
            f"{path} holds {images.dtype} images and no 'num_levels': {way}add that key, or set data.num_levels"
        )
    return num_levels
