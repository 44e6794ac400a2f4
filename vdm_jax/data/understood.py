"""What was understood of a data set, in one line that is printed before a job."""

from collections.abc import Mapping, Sequence

import numpy as np

from vdm_jax.data.dataset import SPLITS, Dataset, ImageData, Split

FEW_IMAGES = 10  # of a class: fewer are named
MOST_NAMED = 5  # classes in a note


def understood(data: Dataset, source: str) -> str:
    """ "data: mnist (npz): 54,000 train, … test images of 28 x 28 x 1, 256 levels, 10 classes"; then what is odd."""
    name = data.name if data.name.startswith(source) else f"{data.name} ({source})"
    sizes = ", ".join(f"{len(getattr(data, split)):,} {split}" for split in SPLITS)
    shape = " x ".join(map(str, data.shape))
    classes = f"{data.num_classes:,} {'class' if data.num_classes == 1 else 'classes'}" if data.num_classes else ""
    line = f"data: {name}: {sizes} images of {shape}, {data.num_levels:,} levels, {classes or 'no labels'}"
    return "; ".join([line, *(data.notes if isinstance(data, ImageData) else ())])


def level_notes(splits: Mapping[str, Split], num_levels: int, advise: bool = True) -> list[str]:
    """Notes on images of one value, on levels of which half or more are unused, and on splits of different range.

    advise: whether to name data.num_levels, which is no setting of every source.
    """
    highest = {name: int(split.stored.max()) for name, split in splits.items()}
    low, high = min(int(split.stored.min()) for split in splits.values()), max(highest.values())
    if low == high:
        return [f"all pixels of all images are {low}"]
    notes = []
    if 2 * high < num_levels:
        way = f": --config.data.num_levels={high + 1} is right if there are no others" if advise else ""
        notes.append(f"no level is above {high} of {num_levels - 1}{way}")
    for name, own in highest.items():
        if 2 * own < high:
            notes.append(f"no level of the {name} images is above {own}, of the others up to {high}")
    return notes


def label_notes(splits: Mapping[str, Split], names: Sequence[str]) -> list[str]:
    """Notes on classes without training images or with few, and on those that only other splits have."""
    if not names:
        return []
    counts = {name: np.bincount(split.labels, minlength=len(names)) for name, split in splits.items()}
    notes = []
    elsewhere = sum(own > 0 for name, own in counts.items() if name != "train") > 0
    train = counts["train"]
    if len(unseen := np.flatnonzero((train == 0) & elsewhere)):
        notes.append(f"no training image is of class {_listed(unseen, names)}, which other splits have")
    empty = np.flatnonzero((train == 0) & ~elsewhere)
    if 2 * len(empty) > len(names):
        way = "np.unique(labels, return_inverse=True)[1] numbers them without gaps"
        notes.append(f"{len(empty):,} of {len(names):,} classes have no images: {way}")
    elif len(empty):
        notes.append(f"no image is of class {_listed(empty, names)}")
    few = np.flatnonzero((train > 0) & (train < FEW_IMAGES))
    if len(few):
        notes.append(f"fewer than {FEW_IMAGES} training images are of class {_listed(few, names)}")
    if (train > 0).sum() == 1:
        notes.append("all training images are of one class")
    return notes


def _listed(classes: np.ndarray, names: Sequence[str]) -> str:
    told = ", ".join(repr(names[label]) for label in classes[:MOST_NAMED])
    return told + (f" and {len(classes) - MOST_NAMED:,} more" if len(classes) > MOST_NAMED else "")
