"""The sampling job of every kind, and what its sets of images are saved by.

Every batch of the set `prior` is a file in samples/prior.part, so that a run may be killed at any moment: what is there
is not made again. In the end the files become samples/prior.npz.
"""

import json
import os
import pathlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, PyTree, UInt8
from ml_collections import ConfigDict

from vdm_jax.base.files import write_json, write_npz
from vdm_jax.base.images import (
    ARRAY,
    Images,
    levels_to_bytes,
    num_images,
    page_size,
    picture,
    read_images,
    write_images,
    write_png,
)
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar, duration
from vdm_jax.base.provenance import provenance
from vdm_jax.base.pytrees import fingerprint
from vdm_jax.data.dataset import Dataset
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.evaluate import sampling
from vdm_jax.launch import store as workdirs
from vdm_jax.models.generate import generate_batches
from vdm_jax.train.writers import show_pictures

CHAIN_POINTS = 10
NAME, PARTS, OF = "prior", "prior.part", "of.json"  # the set; the folder of its batches, and what that is of

Draw = Callable[[Experiment, PyTree, pathlib.Path], None]
"""`draw(experiment, params, folder)` saves the sets of images of a kind."""


def sample(
    experiment: Experiment,
    workdir: pathlib.Path,
    *,
    draw: Draw,
    stated: Callable[[Any], dict[str, Any]] = lambda experiment: {},
) -> str:
    """Writes `samples/NAME.npz` and a picture of each set that `draw` makes, and last `samples/about.json`; returns
    "done". stated: what the latter says besides, of the experiment."""
    config = experiment.config.sample
    weights = load_weights(workdir, experiment.model, experiment.config)
    sampler = f", {config.num_steps} steps of {config.sampler}" if "sampler" in config else ""  # decoders have none
    print(f"sample: step {weights.step}, {weights.kind} weights{sampler}", flush=True)
    about = workdir / "samples" / "about.json"
    about.unlink(missing_ok=True)  # it describes files that are about to be replaced
    of = {"checkpoint_step": weights.step, "weights": weights.kind}
    open_parts(about.parent / PARTS, of | {"fingerprint": fingerprint(weights.params)})
    draw(experiment, weights.params, about.parent)
    settings = workdirs.plain(experiment.config)
    origin = provenance() | {"data": experiment.data.fingerprint}
    write_json(about, of | stated(experiment) | {"settings": settings, "provenance": origin})
    show_pictures(experiment.config.train.get("writers", ""), workdir, about.parent, weights.step)
    shutil.rmtree(about.parent / PARTS)
    return "done"


def chain_points(num_steps: int) -> tuple[int, ...]:
    """At most `CHAIN_POINTS` points of a grid of `num_steps` steps, both ends among them."""
    return tuple(np.unique(np.linspace(0, num_steps, CHAIN_POINTS).round().astype(int)).tolist())


def number_shown(config: ConfigDict, data: Dataset) -> int:
    """The number of images of the sets that are only looked at: a page, or `config.sample.num_images` if that is
    smaller."""
    return min(config.num_images, page_size(*data.shape)[0])


def save_page(folder: pathlib.Path, name: str, images: UInt8[np.ndarray, "n h w c"]) -> None:
    """NAME.npz and NAME.png of a set of at most a page of images."""
    save(folder, name, images, page_size(*images.shape[1:])[1], **{ARRAY: images})


def save(
    folder: pathlib.Path, name: str, rows: UInt8[np.ndarray, "..."], num_columns: int, **arrays: np.ndarray
) -> None:
    """NAME.npz with the arrays, NAME.png with the images of `rows` [..., H, W, C], row by row."""
    write_npz(folder / f"{name}.npz", arrays)
    write_png(folder / f"{name}.png", picture(rows.reshape(-1, *rows.shape[-3:]), num_columns))


# ---- the set `prior`: any number of images, in memory for one batch -----------------------------------------------


def draw_prior(
    experiment: Experiment,
    params: PyTree,
    folder: pathlib.Path,
    codes: Callable[[Int[np.ndarray, " b"]], PyTree] | None = None,
    to_bytes: Callable[[np.ndarray], Images] | None = None,
) -> None:
    """Writes prior.npz with `config.sample.num_images` images, prior.png with the first page of them, and with
    `config.sample.png_folder` each as a PNG file in prior/.

    codes: the codes of the images `indices`; None for an unconditional model.
    to_bytes: the images of what the model's likelihood decodes; None: of levels.
    """
    config, data = experiment.config.sample, experiment.data
    to_bytes = to_bytes or partial(levels_to_bytes, num_levels=data.num_levels)
    key = named_key(jax.random.key(config.seed), NAME)

    def make(first: int) -> Iterator[Images]:
        settings = sampling(config) | {"progress": bar(f"sample: {NAME}"), "first": first}
        for levels, _, _ in generate_batches(experiment.model, params, key, config.num_images, codes, **settings):
            yield to_bytes(levels)

    shape = (config.num_images, *data.shape)
    write_prior(folder, shape, make, png_folder=config.get("png_folder", False))


def open_parts(parts: pathlib.Path, of: dict[str, Any]) -> None:
    """Makes the folder of the batches. Batches of other weights than `of` describes, such as those of an earlier
    checkpoint, are removed."""
    try:
        there = json.loads((parts / OF).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        there = None
    if there != of and parts.exists():
        if stored(parts)[1]:
            print(f"sample: the images in {parts} are of other weights; they are made anew", flush=True)
        shutil.rmtree(parts)
    write_json(parts / OF, of)


def stored(parts: pathlib.Path) -> tuple[list[pathlib.Path], int]:
    """The files of the batches as far as they follow each other without a gap or damage, and how many images they
    hold."""
    files, first = [], 0
    for path in sorted(parts.glob("[0-9]*.npz")):
        number = num_images(path) if path == _part(parts, first) else 0
        if not number:
            break
        files.append(path)
        first += number
    return files, first


def write_prior(
    folder: pathlib.Path,
    shape: tuple[int, int, int, int],
    make: Callable[[int], Iterable[Images]],
    *,
    png_folder: bool = False,
) -> None:
    """Makes what is missing of N images, `shape` = (N, H, W, C), and writes all of them: see `draw_prior`.

    make: `make(first)` yields the images from index `first` on, batch by batch.
    """
    number, parts = shape[0], folder / PARTS
    files, first = stored(parts)
    if first:
        print(f"sample: {min(first, number):,} of {number:,} images are there", flush=True)
    began, compiled = time.monotonic(), None
    for batch in make(first) if first < number else ():
        write_images(_part(parts, first), (len(batch), *shape[1:]), [batch])
        files.append(_part(parts, first))
        first += len(batch)
        compiled = compiled or (time.monotonic(), first)  # the first batch takes longer
    if compiled:
        seconds, later = time.monotonic() - compiled[0], first - compiled[1]
        rate = f", {later / seconds:,.3g} images a second" if later else ""
        print(f"sample: {first:,} images in {duration(time.monotonic() - began)}{rate}", flush=True)
    write_images(parts / "whole.npz", shape, _read(files, number))
    os.replace(parts / "whole.npz", folder / f"{NAME}.npz")
    shown, columns = page_size(*shape[1:])
    page = np.concatenate(list(_read(files, min(shown, number))))
    write_png(folder / f"{NAME}.png", picture(page, columns))
    remove_pngs(folder / NAME)  # of an earlier set
    if png_folder:
        each = (image for batch in _read(files, number) for image in batch)
        digits = max(6, len(str(number - 1)))
        for i, image in zip(bar("sample: PNG files")(range(number)), each, strict=False):
            write_png(folder / NAME / f"{i:0{digits}}.png", image)


def remove_pngs(folder: pathlib.Path) -> None:
    """Removes the images of a set, and the folder unless it holds something else."""
    for path in folder.glob("[0-9]*.png"):
        path.unlink()
    with suppress(OSError):
        folder.rmdir()


def _part(parts: pathlib.Path, first: int) -> pathlib.Path:
    """The file of the batch that begins with image `first`."""
    return parts / f"{first:09}.npz"


def _read(files: Iterable[pathlib.Path], number: int) -> Iterator[Images]:
    """The first `number` images of the files."""
    for path in files:
        for batch in read_images(path, number):
            yield batch
            number -= len(batch)
