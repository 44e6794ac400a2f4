"""From the splits of a file or folder to a data set: checks, a fixed order, and a validation set if it has none."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vdm_jax.base.errors import UserError
from vdm_jax.base.images import even_pixel_values
from vdm_jax.data.dataset import ImageData, Split, smallest_dtype, stratified_parts
from vdm_jax.data.understood import label_notes, level_notes

SPLIT_SEED = 0  # order and validation set are part of the data set and the same in every run
MAX_VALIDATION = 5000
MAX_CLASSES = 10_000


def make_image_data(
    path: Path,
    name: str,
    arrays: Mapping[str, tuple[np.ndarray, np.ndarray | None]],
    *,
    num_levels: int,
    validation_size: int | None,
    label_names: Sequence[str] | None = None,
    advise_levels: bool = True,
    notes: Sequence[str] = (),
) -> ImageData:
    """The data set called `name` from images [N, H, W] or [N, H, W, C] and labels [N], or None, of each split.

    Each split is put in a random order, the same in every run, so that its first N images represent the whole however
    the source sorts them.

    Args:
        path: of the source, for messages.
        arrays: of `train`, `test` and perhaps `validation`.
        validation_size: without `validation`, the size of the stratified part of train that becomes the validation set,
            the same in every run (None: a tenth, at most 5,000).
        label_names: None for the numbers themselves.
        advise_levels: whether data.num_levels is a setting of the source, and a note on unused levels names it.
        notes: what else to say of the data before a job.

    Raises `UserError`.
    """
    if not 2 <= num_levels <= 65536:
        raise UserError(f"num_levels={num_levels} for {path}; expected 2 … 65536")
    one_hot = [split for split, (_, labels) in arrays.items() if labels is not None and is_one_hot(labels)]
    splits = {split: shuffled(make_split(path, split, *pair, num_levels)) for split, pair in arrays.items()}
    check_agreement(path, splits)
    if "validation" not in splits:
        splits["train"], splits["validation"] = carve_validation(path, splits["train"], validation_size)
    elif validation_size is not None:
        raise UserError(f"{path} brings its own validation images: leave validation_size unset")
    label_names = names(path, label_names, splits)
    read = [*notes, *(["reads one-hot labels"] if one_hot else [])]
    found = [*read, *level_notes(splits, num_levels, advise_levels), *label_notes(splits, label_names)]
    return ImageData(
        name,
        **splits,
        pixel_values=even_pixel_values(num_levels),
        label_names=label_names,
        notes=tuple(found),
    )


def make_split(path: Path, split: str, images: np.ndarray, labels: np.ndarray | None, num_levels: int) -> Split:
    """One split with a channel axis and the smallest dtype. Raises `UserError` for levels or labels out of range."""
    if images.min() < 0 or images.max() >= num_levels:
        levels = f"{images.min()} … {images.max()}; expected 0 … {num_levels - 1}"
        raise UserError(f"{path}: the {split} images hold levels {levels}")
    if images.ndim == 3:
        images = images[..., None]
    labels = None if labels is None else as_classes(path, split, labels, len(images))
    return Split(images.astype(smallest_dtype(num_levels), copy=False), labels)


def as_classes(path: Path, split: str, labels: np.ndarray, num_images: int) -> np.ndarray:
    """Labels [N], [N, 1] or one-hot [N, K], of any number type, as int32 [N].

    Raises `UserError`, with the way out, unless there is one class for each image, a whole number below 10,000.
    """
    found = f"{path}: the {split} labels are {labels.dtype}{list(labels.shape)}"
    if labels.dtype.kind not in "buif":
        way = "names, y = np.unique(labels, return_inverse=True) makes label_names and classes of texts"
        raise UserError(f"{found}; expected numbers of classes 0, 1, …; {way}")
    if labels.shape[:1] != (num_images,):
        raise UserError(f"{found} for {num_images} images; expected one label for each image, [{num_images}]")
    if is_one_hot(labels):
        labels = labels.argmax(1)
    if labels.shape[1:] == (1,):
        labels = labels[:, 0]
    if labels.ndim != 1:
        binary = labels.ndim == 2 and np.isin(labels, (0, 1)).all()
        chosen = "labels[:, 0] chooses the first attribute" if binary else "labels.argmax(1) chooses the largest"
        way = f"{chosen} of each row"
        raise UserError(
            f"{found}; expected one class for each image, [{num_images}], [{num_images}, 1] or one-hot; {way}"
        )
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.trunc(labels)):
        raise UserError(f"{found}, not all of them whole numbers; expected classes 0, 1, …")
    if labels.min() < 0 or labels.max() >= MAX_CLASSES:
        classes = f"{labels.min()} … {labels.max()}; expected 0 … {MAX_CLASSES - 1}"
        way = "np.unique(labels, return_inverse=True)[1] numbers the classes from 0"
        raise UserError(f"{path}: the {split} labels are {classes}; {way}")
    return labels.astype(np.int32)


def is_one_hot(labels: np.ndarray) -> bool:
    """Whether labels are [N, K] with a single 1 in each row, and 0 elsewhere."""
    if labels.ndim != 2 or labels.shape[1] < 2 or labels.dtype.kind not in "buif":
        return False
    return bool(np.all((labels == 0) | (labels == 1)) and np.all((labels != 0).sum(1) == 1))


def shuffled(split: Split) -> Split:
    """The same images in a random order that depends only on their number."""
    order = np.random.RandomState(SPLIT_SEED).permutation(len(split))
    return Split(split.levels[order], None if split.labels is None else split.labels[order])


def check_agreement(path: Path, splits: Mapping[str, Split]) -> None:
    """Raises `UserError` unless all splits have one image shape, and all or none have labels."""
    shapes = {name: split.levels.shape[1:] for name, split in splits.items()}
    if len(set(shapes.values())) > 1:
        raise UserError(f"{path}: the splits hold images of different shapes: {shapes}")
    unlabelled = [name for name, split in splits.items() if split.labels is None]
    if unlabelled and len(unlabelled) < len(splits):
        told = f"{path} has labels for some splits only: none for {unlabelled}"
        raise UserError(f"{told}; add them, or leave out those of the other splits")


def carve_validation(path: Path, train: Split, validation_size: int | None) -> tuple[Split, Split]:
    """(train, validation): `validation_size` images are moved (None: a tenth, at most 5,000). Raises `UserError`."""
    size = max(1, min(len(train) // 10, MAX_VALIDATION)) if validation_size is None else validation_size
    if not 1 <= size < len(train):
        expected = f"expected 1 … {len(train) - 1}, or unset for a tenth" if len(train) > 1 else "there are too few"
        raise UserError(f"validation_size={size} of the {len(train)} training images in {path}; {expected}")
    strata = np.zeros(len(train), np.int32) if train.labels is None else train.labels
    rest, chosen = stratified_parts(strata, (len(train) - size, size), SPLIT_SEED)

    def part(indices: np.ndarray) -> Split:
        return Split(train.levels[indices], None if train.labels is None else train.labels[indices])

    return part(rest), part(chosen)


def names(path: Path, given: Sequence[str] | None, splits: Mapping[str, Split]) -> tuple[str, ...]:
    """The given names, or the numbers themselves; () when unlabelled. Raises `UserError` for too few names."""
    if splits["train"].labels is None:
        return ()
    num_classes = 1 + max(int(split.labels.max()) for split in splits.values())
    if given is None:
        return tuple(str(label) for label in range(num_classes))
    if len(given) < num_classes:
        raise UserError(f"{path}: {len(given)} label_names for labels up to {num_classes - 1}")
    return tuple(given)
