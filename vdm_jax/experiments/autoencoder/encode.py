"""The job that encodes every image of the data: the moments for the kinds that live in the space.

The files grow in place, batch by batch, in the memory of one batch. encoded/progress.json counts the rows that are
complete, and of which weights they are. A killed job goes on after them and writes the same bytes. about.json is
removed first and written last. The layout: `data/encoded.py`.
"""

import json
import os
import pathlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Integer

from vdm_jax.base.files import naming, write_json
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.progress import bar
from vdm_jax.base.provenance import provenance
from vdm_jax.base.pytrees import fingerprint
from vdm_jax.data.dataset import Dataset
from vdm_jax.data.encoded import ABOUT, ALL, FOLDER, MEAN, VARIANCE, parts_of, path_of
from vdm_jax.experiments.autoencoder.build import AutoencoderExperiment
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.launch.settings import plain

PROGRESS = "progress.json"
RECORD = f"{FOLDER}/{ABOUT}"
SAVE_EVERY = 20  # batches between two counts of complete rows
Moments = Callable[..., tuple[Float[Array, "b ..."], Float[Array, "b ..."] | None]]


def encode(experiment: AutoencoderExperiment, workdir: pathlib.Path) -> str:
    """Writes `encoded/`: the moments of every image, and last its record, about.json; returns "done"."""
    config, data, model = experiment.config, experiment.data, experiment.model
    weights = load_weights(workdir, model, config)
    of = {"checkpoint_step": weights.step, "weights": weights.kind, "fingerprint": fingerprint(weights.params)}
    folder, batch_size = workdir / FOLDER, config.encode.batch_size
    shape = tuple(model.backbone.latent_shape)
    print(f"encode: step {weights.step}, {weights.kind} weights, latents of {shape}", flush=True)
    (folder / ABOUT).unlink(missing_ok=True)
    deterministic = config.model.code != "gaussian"
    done = open_progress(folder, of | {"data": data.fingerprint, "batch_size": batch_size})
    moments = partial(jax.jit(model.moments), weights.params)
    take = images_of(data, labelled=config.model.conditional)
    further = () if deterministic else (VARIANCE,)
    for part, number in parts_of(data).items():
        arrays, are_new = open_arrays(folder, part, (number, *shape), further)
        first = 0 if are_new else done.first(part)
        for start, found in encode_rows(moments, partial(take, part), number, first, batch_size, f"encode: {part}"):
            for moment, array in arrays.items():
                array[start : start + len(found[moment])] = found[moment]
            done.count(part, start + len(found[MEAN]), arrays, last=number)
        if deterministic:
            path_of(folder, part, VARIANCE).unlink(missing_ok=True)
    about = of | {"shape": list(shape), "num_images": parts_of(data), "deterministic": deterministic}
    about |= {"settings": plain(config), "provenance": provenance() | {"data": data.fingerprint}}
    write_json(folder / ABOUT, about)
    (folder / PROGRESS).unlink()
    return "done"


def encode_rows(
    moments: Moments,
    take: Callable[[np.ndarray], tuple[Any, ...]],
    number: int,
    first: int,
    batch_size: int,
    name: str,
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """(first row, {"mean", "variance"} [B, ...]) of the rows `first` … `number` - 1, batch by batch.

    The last batch is filled with copies, so that all batches have one compiled program and a row does not depend on
    where an earlier launch was stopped.
    """
    for start in bar(name)(range(first, number, batch_size)):
        rows = np.minimum(np.arange(start, start + batch_size), number - 1)
        mean, variance = jax.device_get(moments(*take(rows)))
        kept = min(batch_size, number - start)
        found = {MEAN: mean[:kept]} | ({} if variance is None else {VARIANCE: variance[:kept]})
        yield start, {moment: np.asarray(rows, np.float32) for moment, rows in found.items()}


def images_of(data: Dataset, *, labelled: bool) -> Callable[[str, Integer[np.ndarray, " b"]], tuple[Any, ...]]:
    """`take(part, rows)` -> (levels [B, H, W, C] on the devices,), where labelled with labels [B]."""
    render = jax.jit(data.levels_of)

    def take(part: str, rows: Integer[np.ndarray, " b"]) -> tuple[Any, ...]:
        if part == ALL:
            levels = render(across_devices(rows.astype(np.int32)))
            labels = data.grid.factors(rows)["shape"].astype(np.int32)
        else:
            split = getattr(data, part)
            levels, labels = across_devices(split.levels[rows]), split.labels[rows] if labelled else None
        return (levels, across_devices(labels)) if labelled else (levels,)

    return take


class CompleteRows:
    """How many rows of each part are complete, in encoded/progress.json."""

    def __init__(self, path: pathlib.Path, of: dict[str, Any], rows: dict[str, int]):
        self.path, self.of, self.rows, self.waiting = path, of, rows, 0

    def first(self, part: str) -> int:
        """The first row of a part that is not complete."""
        return self.rows.get(part, 0)

    def count(self, part: str, rows: int, arrays: dict[str, np.memmap], *, last: int) -> None:
        """Says that so many rows of a part are complete, after every few batches and after the last."""
        self.waiting += 1
        if self.waiting == SAVE_EVERY or rows == last:
            for array in arrays.values():
                array.flush()
            self.rows, self.waiting = self.rows | {part: rows}, 0
            write_json(self.path, {"of": self.of, "rows": self.rows})


def open_progress(folder: pathlib.Path, of: dict[str, Any]) -> CompleteRows:
    """The progress of an earlier launch with the same weights, data and batches; otherwise none."""
    path, rows = folder / PROGRESS, {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        there = json.loads(path.read_text(encoding="utf-8"))
        if there["of"] == of:
            rows = {str(part): int(number) for part, number in there["rows"].items()}
            print(f"encode: {sum(rows.values()):,} images are there", flush=True)
    write_json(path, {"of": of, "rows": rows})
    return CompleteRows(path, of, rows)


def open_arrays(
    folder: pathlib.Path, part: str, shape: tuple[int, ...], further: tuple[str, ...]
) -> tuple[dict[str, np.memmap], bool]:
    """The files of a part by moment, mapped into memory, and whether one of them is made anew."""
    found, are_new = {}, False
    for moment in (MEAN, *further):
        path = path_of(folder, part, moment)
        try:
            array = np.lib.format.open_memmap(path, mode="r+")
        except (OSError, ValueError):
            array = None
        if array is None or array.shape != shape or array.dtype != np.float32:
            array, are_new = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape), True
            _reserve(path)
        found[moment] = array
    return found, are_new


def _reserve(path: pathlib.Path) -> None:
    """Takes the place of a whole file on the disk. On a full disk this raises `OSError`; a mapped write would kill."""
    if hasattr(os, "posix_fallocate"):
        with naming(path), open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
