"""Images of your own: a folder with `NAME.npz` files.

Required keys: `x_train` and `x_test` [N, H, W] or [N, H, W, C], whole numbers 0 … K-1. Optional keys: `y_train` and
`y_test` [N] (classes 0, 1, …), `x_validation` and `y_validation`, `num_levels` (K; default 256 for uint8 and 2 for
booleans) and `label_names`. `splits.py` describes the order and the validation set of a file without `x_validation`.
"""

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from vdm_jax.base.errors import UserError, suggestion
from vdm_jax.data.dataset import ImageData
from vdm_jax.data.splits import make_image_data

FOLDER_VARIABLE = "VDM_DATA_DIR"
SPLITS = ("train", "validation", "test")
HOW_TO_GET = (
    "MNIST in this form is the mnist.npz that `keras.datasets.mnist.load_data()` leaves in ~/.keras/datasets, "
    "and np.savez writes one from your own arrays x_train, y_train, x_test, y_test"
)


def load_npz(name: str, data_dir: str | None, validation_size: int | None, num_levels: int | None) -> ImageData:
    """`NAME.npz` in `data_dir`, or in the folder `VDM_DATA_DIR`. Raises `UserError` for missing or malformed arrays."""
    path = find_file(name, data_dir)
    arrays = read_arrays(path)
    check_images(path, arrays)
    splits = {split: (arrays[f"x_{split}"], arrays.get(f"y_{split}")) for split in SPLITS if f"x_{split}" in arrays}
    label_names = arrays.get("label_names")
    return make_image_data(
        path,
        name,
        splits,
        num_levels=resolve_num_levels(path, arrays, num_levels),
        validation_size=validation_size,
        label_names=None if label_names is None else [str(label) for label in label_names.ravel()],
    )


def find_file(name: str, data_dir: str | None) -> Path:
    """The path of `NAME.npz`."""
    folder = data_dir or os.environ.get(FOLDER_VARIABLE)
    if not folder:
        raise UserError(f"no data folder: set {FOLDER_VARIABLE} to the folder that holds {name}.npz; {HOW_TO_GET}")
    if not Path(folder).is_dir():
        raise UserError(f"the data folder {folder!r} ({FOLDER_VARIABLE}) does not exist; {HOW_TO_GET}")
    path = Path(folder) / f"{name}.npz"
    if not path.is_file():
        here = sorted(file.stem for file in Path(folder).glob("*.npz"))
        known = f"it holds {here}{suggestion(name, here)}" if here else "it holds no .npz file"
        raise UserError(f"no {name}.npz in the data folder {folder!r} ({FOLDER_VARIABLE}): {known}; {HOW_TO_GET}")
    return path


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of the file; nothing is unpickled. Raises `UserError`."""
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            arrays = None
        else:
            with file:
                arrays = {key: file[key] for key in file.files}
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        no_archive = isinstance(error, ValueError) and not zipfile.is_zipfile(path)
        reason = "it is no zip archive" if no_archive else error  # numpy's message is about pickles
        raise UserError(f"{path} is not a readable npz file of plain arrays: {reason}") from error
    if arrays is None:
        raise UserError(f"{path} is a single .npy array, not an npz file; {HOW_TO_GET}")
    for key in ("x_train", "x_test"):
        if key not in arrays:
            raise UserError(f"{path} has no {key!r}, only {sorted(arrays)}; {HOW_TO_GET}")
    return arrays


def check_images(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Raises `UserError` unless the images are whole numbers with three or four axes, at least one image each."""
    for split in SPLITS:
        images = arrays.get(f"x_{split}")
        if images is not None and (images.dtype.kind not in "bui" or images.ndim not in (3, 4) or not images.size):
            found = f"{path}: x_{split} is {images.dtype}{list(images.shape)}"
            raise UserError(f"{found}; expected whole numbers [N, H, W] or [N, H, W, C]")


def resolve_num_levels(path: Path, arrays: dict[str, np.ndarray], num_levels: int | None) -> int:
    """K: the given one, else the file's, else that of the dtype. Raises `UserError`."""
    dtype = arrays["x_train"].dtype
    if num_levels is None and "num_levels" in arrays:
        stated = arrays["num_levels"]
        if stated.size != 1 or stated.dtype.kind not in "ui":
            raise UserError(f"{path}: num_levels is {stated.dtype}{list(stated.shape)}; expected one whole number")
        num_levels = int(stated.item())
    if num_levels is None:
        num_levels = {np.dtype(np.uint8): 256, np.dtype(bool): 2}.get(dtype)
    if num_levels is None:
        raise UserError(f"{path} holds {dtype} images and no 'num_levels': add that key, or set num_levels")
    return num_levels
