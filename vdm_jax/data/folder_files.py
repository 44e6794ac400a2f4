"""The image files of a folder: their splits and classes by subfolders, and a stamp of all of them."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vdm_jax.base.errors import UserError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}


class Listing(NamedTuple):
    """The images of a folder.

    Attributes:
        files: paths relative to the folder, in the order of their names.
        splits: the split of each: "train", "validation", "test", or "" where no subfolder says it.
        classes: the class folder of each, or None where it lies in none.
        others: how many files were no images, by their ending.
    """

    files: list[str]
    splits: list[str]
    classes: list[str | None]
    others: Counter


def list_images(folder: Path) -> Listing:
    """Every PNG, JPEG and WebP file below `folder`. Hidden files are not seen.

    Subfolders train and test (and validation, or val) are splits. Subfolders of these, or of the folder itself, are
    classes; what lies deeper belongs to the class above it. Raises `UserError` for no images, a test without a training
    folder, images beside class folders, and a class without training images.
    """
    found, others = [], Counter()
    for path in _walk(folder):
        if path.suffix.lower() in ENDINGS:
            found.append(path.relative_to(folder).as_posix())
        else:
            others[path.suffix.lower() or path.name] += 1
    if not found:
        there = ", ".join(f"{count:,} {ending}" for ending, count in others.most_common(3))
        told = f"{folder} holds no image; expected {', '.join(ENDINGS)}" + (f", not {there}" if there else "")
        if npz := sorted(folder.glob("*.npz")):
            told += f"; --config.data.source=npz --config.data.name={npz[0].stem} reads {npz[0].name}"
        raise UserError(told)
    files = sorted(found)
    if broken := [file for file in files if not (folder / file).exists()]:
        raise UserError(f"{folder}: {len(broken):,} of {len(files):,} images are links to nothing, such as {broken[0]}")
    splits, classes = zip(*(_place(file) for file in files), strict=True)
    if "train" in splits:
        outside = [file for file, split in zip(files, splits, strict=True) if not split]
        if outside:
            told = f"{len(outside):,} images outside of its subfolders of splits, such as {outside[0]}"
            raise UserError(f"{folder} has {told}; move them into train, or into a folder of another data set")
    elif alone := sorted({file.partition("/")[0] for file, split in zip(files, splits, strict=True) if split}):
        raise UserError(f"{folder} has the subfolder {alone[0]!r} and no 'train'; add one, or name it otherwise")
    listing = Listing(files, list(splits), list(classes), others)
    _check_classes(folder, listing)
    return listing


def stamp(folder: Path, files: list[str], settings: dict[str, Any]) -> str:
    """A digest of names, sizes and times of the files, and of the settings that the arrays depend on."""
    stats = [(file, stat.st_size, stat.st_mtime_ns) for file in files for stat in [(folder / file).stat()]]
    return hashlib.sha256(json.dumps([stats, settings]).encode()).hexdigest()[:24]


def _walk(folder: Path) -> Iterator[Path]:
    """All files below the folder that are not hidden; linked folders once."""
    seen = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        yield from (Path(root, name) for name in files if not name.startswith("."))


def _place(file: str) -> tuple[str, str | None]:
    """(split, class) of a relative path."""
    *folders, _ = file.split("/")
    split = SPLIT_FOLDERS.get(folders[0].lower(), "") if folders else ""
    within = folders[1:] if split else folders
    return split, within[0] if within else None


def _check_classes(folder: Path, listing: Listing) -> None:
    for split in dict.fromkeys(listing.splits):
        own = [each for each, of in zip(listing.classes, listing.splits, strict=True) if of == split]
        if None in own and any(own):
            where = folder / split if split else folder
            told = (
                f"{sum(name is None for name in own):,} images beside class folders such as {next(filter(None, own))}"
            )
            raise UserError(f"{where} has {told}; move them into a class folder, or all images out of theirs")
    if "train" not in listing.splits:
        return
    by_split = {split: set() for split in listing.splits}
    for split, name in zip(listing.splits, listing.classes, strict=True):
        by_split[split].add(name)
    for split, names in by_split.items():
        if unknown := sorted(map(str, names - by_split["train"])):
            if (None in names) != (None in by_split["train"]):
                told = f"{folder}: one of train and {split} has class folders, and the other has none"
                raise UserError(f"{told}; expected them in all splits, or in none")
            raise UserError(f"{folder}: {split} has the class folder {unknown[0]!r}, which train has not")
