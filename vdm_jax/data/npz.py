"""Any user's images: a folder with `NAME.npz` files.

Keys: `x_train` and `x_test` [N, H, W] or [N, H, W, C], whole numbers 0 … K-1; optional `y_train` and `y_test` [N]
(classes 0, 1, …), `x_validation` and `y_validation`, `num_levels` (K; otherwise 256 for uint8 and 2 for booleans) and
`label_names`. Without `x_validation` a stratified part of `x_train`, the same in every run, is the validation set.
Each split is put in a random order, the same in every run: its first N images stand for the whole, however the file
sorts them.
"""

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from vdm_jax.base.errors import UserError, suggestion
from vdm_jax.base.images import even_pixel_values
from vdm_jax.data.dataset import ImageData, Split, smallest_dtype, stratified_parts

FOLDER_VARIABLE = "VDM_DATA_DIR"
SPLIT_SEED = 0
MAX_VALIDATION = 5000
MAX_CLASSES = 10_000
HOW_TO_GET = (
    "MNIST in this form is the mnist.npz that `keras.datasets.mnist.load_data()` leaves in ~/.keras/datasets, "
    "and np.savez writes one from your own arrays x_train, y_train, x_test, y_test"
)


def load_npz(name: str, data_dir: str | None, validation_size: int | None, num_levels: int | None) -> ImageData:
    """`NAME.npz` in `data_dir`, or in the folder `VDM_DATA_DIR`; `UserError` says what is missing or misshapen."""
    path = find_file(name, data_dir)
    arrays = read_arrays(path)
    check_images(path, arrays)
    num_levels = resolve_num_levels(path, arrays, num_levels)
    splits = {
        split: shuffled(make_split(path, arrays, split, num_levels))
        for split in ("train", "validation", "test")
        if f"x_{split}" in arrays
    }
    check_agreement(path, splits)
    if "validation" not in splits:
        splits["train"], splits["validation"] = carve_validation(path, splits["train"], validation_size)
    elif validation_size is not None:
        raise UserError(f"{path} brings its own x_validation: leave validation_size unset")
    return ImageData(
        name, **splits, pixel_values=even_pixel_values(num_levels), label_names=names(path, arrays, splits)
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
    """All arrays of the file; never unpickles."""
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            arrays = None
        else:
            with file:
                arrays = {key: file[key] for key in file.files}
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is not a readable npz file of plain arrays: {error}") from error
    if arrays is None:
        raise UserError(f"{path} is a single .npy array, not an npz file; {HOW_TO_GET}")
    for key in ("x_train", "x_test"):
        if key not in arrays:
            raise UserError(f"{path} has no {key!r}, only {sorted(arrays)}; {HOW_TO_GET}")
    return arrays


def check_images(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Whole numbers in three or four axes, some of them at least."""
    for split in ("train", "validation", "test"):
        images = arrays.get(f"x_{split}")
        if images is not None and (images.dtype.kind not in "bui" or images.ndim not in (3, 4) or not images.size):
            told = f"{path}: x_{split} is {images.dtype}{list(images.shape)}"
            raise UserError(f"{told}; expected whole numbers [N, H, W] or [N, H, W, C]")


def resolve_num_levels(path: Path, arrays: dict[str, np.ndarray], num_levels: int | None) -> int:
    """K: the caller's, else the file's, else what the dtype implies."""
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
    if not 2 <= num_levels <= 65536:
        raise UserError(f"num_levels={num_levels} for {path}; expected 2 … 65536")
    return num_levels


def make_split(path: Path, arrays: dict[str, np.ndarray], split: str, num_levels: int) -> Split:
    """One split, checked, with a channel axis and the smallest dtype."""
    images, labels = arrays[f"x_{split}"], arrays.get(f"y_{split}")
    if images.min() < 0 or images.max() >= num_levels:
        raise UserError(f"{path}: x_{split} holds {images.min()} … {images.max()}; expected 0 … {num_levels - 1}")
    if images.ndim == 3:
        images = images[..., None]
    labels = None if labels is None else check_labels(path, split, labels, len(images))
    return Split(images.astype(smallest_dtype(num_levels)), labels)


def check_labels(path: Path, split: str, labels: np.ndarray, num_images: int) -> np.ndarray:
    """Labels as int32: one an image, each below 10,000."""
    if labels.shape != (num_images,) or labels.dtype.kind not in "bui":
        raise UserError(f"{path}: y_{split} is {labels.dtype}{list(labels.shape)}; expected {num_images} classes >= 0")
    if labels.min() < 0 or labels.max() >= MAX_CLASSES:
        raise UserError(f"{path}: y_{split} holds {labels.min()} … {labels.max()}; expected 0 … {MAX_CLASSES - 1}")
    return labels.astype(np.int32)


def shuffled(split: Split) -> Split:
    """The same images in an order that depends on their number alone."""
    order = np.random.RandomState(SPLIT_SEED).permutation(len(split))
    return Split(split.levels[order], None if split.labels is None else split.labels[order])


def check_agreement(path: Path, splits: dict[str, Split]) -> None:
    """One image shape in all splits; all of them labelled or none."""
    shapes = {name: split.levels.shape[1:] for name, split in splits.items()}
    if len(set(shapes.values())) > 1:
        raise UserError(f"{path}: the splits hold images of different shapes: {shapes}")
    labelled = {f"y_{name}": split.labels is not None for name, split in splits.items()}
    if len(set(labelled.values())) > 1:
        missing = [key for key, there in labelled.items() if not there]
        raise UserError(f"{path} has labels for some splits only: no {missing}")


def carve_validation(path: Path, train: Split, validation_size: int | None) -> tuple[Split, Split]:
    """Train without, and the validation set with, `validation_size` images (a tenth, at most 5,000, when None)."""
    size = min(len(train) // 10, MAX_VALIDATION) if validation_size is None else validation_size
    if not 1 <= size < len(train):
        raise UserError(
            f"validation_size={size} of the {len(train)} training images in {path}; expected at least 1 left"
        )
    strata = np.zeros(len(train), np.int32) if train.labels is None else train.labels
    rest, chosen = stratified_parts(strata, (len(train) - size, size), SPLIT_SEED)

    def part(indices: np.ndarray) -> Split:
        return Split(train.levels[indices], None if train.labels is None else train.labels[indices])

    return part(rest), part(chosen)


def names(path: Path, arrays: dict[str, np.ndarray], splits: dict[str, Split]) -> tuple[str, ...]:
    """The file's `label_names`, or the numbers themselves; () when unlabelled."""
    if splits["train"].labels is None:
        return ()
    num_classes = 1 + max(int(split.labels.max()) for split in splits.values())
    if "label_names" not in arrays:
        return tuple(str(label) for label in range(num_classes))
    given = tuple(str(name) for name in arrays["label_names"])
    if len(given) < num_classes:
        raise UserError(f"{path}: {len(given)} label_names for labels up to {num_classes - 1}")
    return given
