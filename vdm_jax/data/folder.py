"""A folder of PNG, JPEG and WebP files as a data set. Pixels are read once, and their arrays are kept in a cache.

The cache is `$XDG_CACHE_HOME/vdm_jax/images`, or ~/.cache/vdm_jax/images. A file there is named after the names, sizes
and times of the images and the settings: images that change are read anew. It may be deleted at any time.
"""

import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from vdm_jax.base.errors import UserError, suggestion
from vdm_jax.base.files import cache_folder, write_file
from vdm_jax.base.images import check_resizing, resized
from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import SPLITS, ImageData, stratified_parts
from vdm_jax.data.folder_files import Listing, list_images, stamp
from vdm_jax.data.npz import FOLDER_VARIABLE
from vdm_jax.data.splits import SPLIT_SEED, make_image_data
from vdm_jax.data.tfds import DEFAULT_MAX_GIB, check_memory

FEWEST_TEST, MAX_TEST = 10, 10_000  # images of a test split that is taken off
MOST_NAMED = 3  # files in a message
VERSION = 1  # of the cached arrays: another one reads all images anew
GREY, DEEP = ("1", "L", "LA"), ("I", "F")


class Header(NamedTuple):
    """What the head of a file says: (width, height) as it is shown, whether it is grey, has alpha, or 16 bits."""

    size: tuple[int, int]
    grey: bool
    alpha: bool
    deep: bool


def load_folder(
    name: str,
    data_dir: str | None,
    validation_size: int | None,
    max_gib: float | None,
    size: int | None = None,
    crop: str = "center",
    channels: int | None = None,
    test_size: int | None = None,
) -> ImageData:
    """The images of a folder, 256 levels.

    Args:
        name: what the data set is called ("": as its folder is), and the folder's name where `data_dir` is None.
        data_dir: the folder; None: the folder `name` in `VDM_DATA_DIR`.
        validation_size, test_size: without such a subfolder, the size of the stratified parts that are taken from the
            images, the same in every run (None: a tenth, at most 5,000 and 10,000; at least 10 test images).
        max_gib: the most memory that the images may take (None: 8 GiB).
        size: their side, to which they are resized (None: their own, which must be one).
        crop: "center": the largest square in the middle is resized; "none": the whole image, squeezed.
        channels: 1 or 3; None: 1 where all files are grey, else 3. Transparent pixels are laid on white.

    Raises `UserError` for what cannot be read, or not be read as images of one shape.
    """
    check_resizing(size, crop)
    if channels not in (None, 1, 3):
        raise UserError(f"data.channels={channels}; expected 1 or 3")
    folder = find_folder(name, data_dir)
    _pillow()
    listing = list_images(folder)
    settings = {"size": size, "crop": crop, "channels": channels, "version": VERSION}
    levels, notes = cached(folder, listing, settings, DEFAULT_MAX_GIB if max_gib is None else max_gib)
    arrays, names = split_up(folder, listing, levels, test_size)
    if others := sum(listing.others.values()):
        notes += [f"ignores {others:,} other file(s), such as {next(iter(listing.others))}"]
    return make_image_data(
        folder,
        name or folder.name,
        arrays,
        num_levels=256,
        advise_levels=False,
        validation_size=validation_size,
        label_names=names,
        notes=notes,
    )


def find_folder(name: str, data_dir: str | None) -> Path:
    """The folder of the images. Raises `UserError`."""
    parent = os.path.expanduser(os.environ.get(FOLDER_VARIABLE, ""))
    folder = data_dir or (parent and name and os.path.join(parent, name))
    if folder and Path(folder).is_dir():
        return Path(folder)
    if data_dir:
        if Path(data_dir).is_file():
            way = f"expected the folder of images, such as --config.data.dir={Path(data_dir).parent}"
            raise UserError(f"the data folder {data_dir!r} (data.dir) is a file; {way}")
        raise UserError(
            f"the data folder {data_dir!r} (data.dir) does not exist; name the folder of images by data.dir"
        )
    if parent and name:
        there = [path.name for path in Path(parent).iterdir() if path.is_dir()] if Path(parent).is_dir() else []
        way = f"--config.data.dir=FOLDER names it{suggestion(name, sorted(there))}"
        raise UserError(f"no folder {name!r} in {parent!r} ({FOLDER_VARIABLE}); {way}")
    raise UserError("no folder of images; --config.data.dir=FOLDER names it")


def split_up(
    folder: Path, listing: Listing, levels: UInt8[np.ndarray, "n h w c"], test_size: int | None
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray | None]], list[str] | None]:
    """Images and labels by split, and the names of the classes. Raises `UserError`."""
    names = None if None in listing.classes else sorted(set(map(str, listing.classes)))
    labels = None if names is None else np.array([names.index(str(each)) for each in listing.classes])
    of_split = np.array(listing.splits)
    parts = {split: np.flatnonzero(of_split == split) for split in SPLITS if split in listing.splits}
    if "test" in parts:
        if test_size is not None:
            raise UserError(f"{folder} has a test folder of its own: leave data.test_size unset")
    else:
        rest = parts.get("train", np.arange(len(levels)))
        tenth = max(min(len(rest) // 10, MAX_TEST), min(FEWEST_TEST, len(rest) // 3), 1)
        number = tenth if test_size is None else test_size
        if not 1 <= number < len(rest):
            expected = f"expected 1 … {len(rest) - 1}, or unset for a tenth"
            raise UserError(f"data.test_size={number} of the {len(rest)} images in {folder}; {expected}")
        strata = np.zeros(len(rest), np.int32) if labels is None else labels[rest]
        train, test = stratified_parts(strata, (len(rest) - number, number), SPLIT_SEED)
        parts |= {"train": rest[train], "test": rest[test]}
    return {split: (levels[index], None if labels is None else labels[index]) for split, index in parts.items()}, names


def cached(
    folder: Path, listing: Listing, settings: dict[str, Any], max_gib: float
) -> tuple[UInt8[np.ndarray, "n h w c"], list[str]]:
    """The images and what to say of them, from the cache, or read and put there. Without a cache they are read anew."""
    try:
        path = cache_folder() / "images" / f"{stamp(folder, listing.files, settings)}.npz"
    except RuntimeError:  # no home
        return read_images(folder, listing.files, settings, max_gib)
    try:
        with np.load(path, allow_pickle=False) as file:
            levels, notes = file["levels"], [str(note) for note in file["notes"]]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):
        pass  # there is none, or it is damaged
    else:
        check_memory(folder, levels.nbytes, max_gib)
        return levels, notes
    levels, notes = read_images(folder, listing.files, settings, max_gib)
    try:
        write_file(path, lambda file: np.savez(file, levels=levels, notes=np.array(notes, dtype=np.str_)))
    except OSError as error:
        notes = [*notes, f"no cache: {path.parent} cannot be written ({error.strerror})"]
    return levels, notes


def read_images(
    folder: Path, files: list[str], settings: dict[str, Any], max_gib: float
) -> tuple[UInt8[np.ndarray, "n h w c"], list[str]]:
    """All images [N, H, W, C] in the order of `files`, and what to say of them. Raises `UserError` naming files."""
    headers = _each(folder, files, read_header, "look at")
    if deep := [file for file, header in zip(files, headers, strict=True) if header.deep]:
        told = f"{folder}: {len(deep):,} files have more than 8 bits a channel, such as {deep[0]}"
        raise UserError(f"{told}; convert them to 8 bits, or put them into an npz file with num_levels")
    shown = Counter(header.size for header in headers)
    side, crop = settings["size"], settings["crop"]
    if side is None and len(shown) > 1:
        told = ", ".join(f"{count:,} of {w} x {h}" for (w, h), count in shown.most_common(MOST_NAMED))
        smallest = min(min(size) for size in shown)
        raise UserError(
            f"{folder} holds images of {len(shown):,} sizes ({told}, width x height); --config.data.size=SIDE resizes "
            f"their largest middle square, such as --config.data.size={min(64, smallest)}"
        )
    num_grey = sum(header.grey for header in headers)
    channels = settings["channels"] or (1 if num_grey == len(files) else 3)
    width, height = (side, side) if side else next(iter(shown))
    check_memory(folder, len(files) * height * width * channels, max_gib)
    levels = np.empty((len(files), height, width, channels), np.uint8)
    where = {file: levels[row] for row, file in enumerate(files)}

    def read(path: Path) -> None:
        where[path.relative_to(folder).as_posix()][:] = read_image(path, side, crop, channels)

    _each(folder, files, read, "read")
    return levels, list(_notes(headers, shown, side, crop, levels, settings["channels"]))


def _notes(headers: list[Header], shown: Counter, side: int | None, crop: str, levels: np.ndarray, chosen: int | None):
    """What to say of files that are not all alike, or that are changed."""
    num_grey, num_alpha = sum(header.grey for header in headers), sum(header.alpha for header in headers)
    if num_grey not in (0, len(headers)) or (chosen == 1 and not num_grey) or (chosen == 3 and num_grey):
        kinds = f"{num_grey:,} grey and {len(headers) - num_grey:,} colour files"
        yield f"{kinds} are read as {'grey' if levels.shape[3] == 1 else 'colour'}"
    elif chosen is None and levels.shape[3] == 3 and all((image == image[..., :1]).all() for image in levels):
        yield "all images are grey, though stored in colour: --config.data.channels=1 holds one channel"
    if num_alpha:
        yield f"transparent pixels of {num_alpha:,} files are laid on white"
    if side and set(shown) != {(side, side)}:
        least, most = (extreme(min(size) for size in shown) for extreme in (min, max))
        sides = f"{least}" if least == most else f"{least} … {most}"
        square = crop == "none" or all(w == h for w, h in shown)
        yield f"{'resized' if square else 'cropped and resized'} from shorter sides of {sides}"


def read_header(path: Path) -> Header:
    """The header of a file. Pixels are decoded of PNG files alone, whose EXIF data may come last."""
    from PIL import Image

    with Image.open(path) as image:
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # orientation: a quarter turn
        alpha = image.mode in ("LA", "RGBA", "PA", "La", "RGBa") or "transparency" in image.info
        deep = image.mode in DEEP or image.mode.startswith("I;16")
        return Header(image.size[::-1] if turned else image.size, image.mode in GREY, alpha, deep)


def read_image(path: Path, side: int | None, crop: str, channels: int) -> UInt8[np.ndarray, "h w c"]:
    """The pixels of the (first) image in a file, turned upright, on white, cropped and resized (bicubic)."""
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        image = ImageOps.exif_transpose(image)
        if "transparency" in image.info or image.mode in ("LA", "RGBA", "PA", "La", "RGBa"):
            over = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
        image = image.convert("L" if channels == 1 else "RGB")
        if side is not None:
            image = resized(image, side, crop)
        return np.asarray(image, np.uint8).reshape(image.height, image.width, channels)


def _each(folder: Path, files: list[str], read: Callable[[Path], Any], what: str) -> list[Any]:
    """`read` of every file, on several threads, with a progress bar. Raises `UserError` naming those that fail."""
    failed: dict[str, str] = {}

    def attempt(file: str) -> Any:
        try:
            return read(folder / file)
        except Exception as error:  # Pillow's plugins raise errors of many classes
            failed[file] = " ".join(str(error).split()) or type(error).__name__
            return None

    # Closed first where SIGTERM or Ctrl-C ends the loop: images that wait are then not read.
    with ThreadPoolExecutor(os.cpu_count()) as pool, closing(pool.map(attempt, files)) as results:
        found = [next(results) for _ in bar(f"data: {what} images")(range(len(files)))]
    if failed:
        told = "; ".join(f"{file} ({failed[file][:80]})" for file in sorted(failed)[:MOST_NAMED])
        raise UserError(f"{len(failed):,} of {len(files):,} images in {folder} cannot be read; remove them: {told}")
    return found


def _pillow() -> None:
    """Raises `UserError` where Pillow is missing."""
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise UserError("the data source 'folder' needs Pillow: python -m pip install 'vdm-jax[images]'") from error
