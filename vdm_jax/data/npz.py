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
from vdm_jax.data.arrays import KNOWN, as_images, resolve_num_levels, unread_names
from vdm_jax.data.dataset import SPLITS, ImageData
from vdm_jax.data.splits import make_image_data

FOLDER_VARIABLE = "VDM_DATA_DIR"
MNIST = "MNIST in this form is the mnist.npz that `keras.datasets.mnist.load_data()` leaves in ~/.keras/datasets, and "
OWN = "np.savez writes one from your own arrays x_train, y_train, x_test, y_test"


def load_npz(
    name: str, data_dir: str | None, validation_size: int | None, num_levels: int | None, layout: str = ""
) -> ImageData:
    """`NAME.npz` in `data_dir`, or in the folder `VDM_DATA_DIR`. Raises `UserError` for missing or malformed arrays.

    layout: of images with four axes, "NHWC" or "NCHW"; "": NHWC, and shapes that look like NCHW are refused.
    """
    path = find_file(name, data_dir)
    arrays, unread = read_arrays(path)
    for split in SPLITS:
        if (key := f"x_{split}") in arrays:
            arrays[key] = as_images(path, key, arrays[key], layout)
    splits = {split: (arrays[f"x_{split}"], arrays.get(f"y_{split}")) for split in SPLITS if f"x_{split}" in arrays}
    for split in SPLITS:
        if f"y_{split}" in arrays and split not in splits:
            raise UserError(f"{path} holds 'y_{split}' and no 'x_{split}'; add the images, or leave the labels out")
    label_names = arrays.get("label_names")
    return make_image_data(
        path,
        name,
        splits,
        num_levels=resolve_num_levels(path, arrays, num_levels),
        validation_size=validation_size,
        label_names=None if label_names is None else [_as_text(label) for label in label_names.ravel()],
        notes=(f"ignores {', '.join(map(repr, unread))}",) if unread else (),
    )


def find_file(name: str, data_dir: str | None) -> Path:
    """The path of `NAME.npz`: in `data_dir`, or in the folder `VDM_DATA_DIR`. Raises `UserError`."""
    folder = data_dir or _of_variable()
    if folder and (path := Path(folder) / f"{name}.npz").is_file():
        return path
    raise UserError(_missing(name, data_dir))


def _as_text(label: np.generic) -> str:
    return label.decode(errors="replace") if isinstance(label, bytes) else str(label)


def _of_variable() -> str:
    return os.path.expanduser(os.environ.get(FOLDER_VARIABLE, ""))


def _missing(name: str, data_dir: str | None) -> str:
    """Why there is no `NAME.npz`, and what is there."""
    how_to_get = (MNIST if name == "mnist" else "") + OWN
    folder, what = data_dir or _of_variable(), "data.dir" if data_dir else FOLDER_VARIABLE
    if not folder:
        ways = f"set {FOLDER_VARIABLE}, or --config.data.dir, to the folder that holds {name}.npz"
        return f"no data folder: {ways}; {how_to_get}"
    path = Path(folder)
    if path.is_file():
        stem = f" --config.data.name={path.stem}" if path.suffix == ".npz" else ""
        return f"the data folder {folder!r} ({what}) is a file; expected --config.data.dir={path.parent}{stem}"
    if not path.is_dir():
        return f"the data folder {folder!r} ({what}) does not exist; name another by --config.data.dir; {how_to_get}"
    here = sorted(file.stem for file in path.glob("*.npz"))
    missing = f"no {name}.npz in the data folder {folder!r} ({what})"
    if not here:
        return f"{missing}: it holds no .npz file; {how_to_get}; --config.data.source=folder reads PNG, JPEG and WebP"
    if len(here) == 1:
        return f"{missing}: it holds {here[0]}.npz; --config.data.name={here[0]} reads it"
    return f"{missing}: it holds {here}{suggestion(name, here)}; --config.data.name=NAME reads one of them"


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """The known arrays of the file, and the names of the others; nothing is unpickled. Raises `UserError`."""
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            names, arrays = None, {}
        else:
            with file:
                names = list(file.files)
                arrays = {key: file[key] for key in names if key in KNOWN}
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        no_archive = isinstance(error, ValueError) and not zipfile.is_zipfile(path)
        reason = "it is no zip archive" if no_archive else error  # numpy's message is about pickles
        raise UserError(f"{path} is not a readable npz file of plain arrays: {reason}") from error
    if names is None:
        raise UserError(f"{path} is a single .npy array, not an npz file; {OWN}")
    unread = unread_names(path, names)
    for key in ("x_train", "x_test"):
        if key not in arrays:
            raise UserError(f"{path} has no {key!r}, only {sorted(names)}; {OWN}")
    return arrays, unread
