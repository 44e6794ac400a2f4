"""The moments of a data set's images in a space, as the job `encode` of an autoencoder writes them.

WORKDIR/encoded has {train,validation,test}_mean.npy and _variance.npy, float32 [N, *shape], rows in the order of the
split; of a grid of sprites all_mean.npy and all_variance.npy instead, rows in the order of the sprites' indices. A code
without noise has no variance. about.json, written last, says of which weights and data they are.
"""

import json
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Integer

from vdm_jax.base.errors import UserError
from vdm_jax.data.dataset import SPLITS, Dataset

FOLDER, ABOUT = "encoded", "about.json"
ALL = "all"  # the part that holds all sprites
MEAN, VARIANCE = "mean", "variance"
Rows = Float32[np.ndarray, "n ..."]


def parts_of(data: Dataset) -> dict[str, int]:
    """The parts of the images that are encoded, and the number of images of each."""
    if data.grid is not None:
        return {ALL: len(data.grid)}
    return {name: len(getattr(data, name)) for name in SPLITS}


def path_of(folder: pathlib.Path, part: str, moment: str) -> pathlib.Path:
    """The file of a part, such as all_mean.npy. folder: `encoded` of a workdir."""
    return folder / f"{part}_{moment}.npy"


@dataclass(frozen=True)
class Encoded:
    """The moments of all images, mapped into memory: only the rows that are read are loaded.

    about: the record, {"fingerprint" of the weights, "shape", "num_images" by part, "provenance": {"data", …}, …}.
    mean, variance: by part; a variance of None: the code is a function of the image.
    """

    about: Mapping[str, Any]
    mean: Mapping[str, Rows]
    variance: Mapping[str, Rows] | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image's latents."""
        return tuple(self.about["shape"])

    @property
    def fingerprint(self) -> str:
        """Of the weights of the encoder."""
        return self.about["fingerprint"]

    def rows(self, part: str, index: Integer[np.ndarray, " n"] | slice | None = None) -> tuple[Rows, Rows | None]:
        """Mean and variance of images of a part, [N, *shape] each. index: of the images, None for all, as mapped."""
        found = [None if moment is None else moment[part] for moment in (self.mean, self.variance)]
        mean, variance = (each if each is None or index is None else np.asarray(each[index]) for each in found)
        return mean, variance


def read_encoded(workdir: str | pathlib.Path, data: Dataset) -> Encoded:
    """The moments in WORKDIR/encoded of the images of `data`.

    Raises `UserError` where there are none, where they are of other data, or where a file is missing or damaged.
    """
    folder, about = pathlib.Path(workdir) / FOLDER, about_of(workdir)
    there = about["provenance"]["data"]
    if there != data.fingerprint:
        why = f"the space {workdir} is of other data: its images are of {there}, those of {data.name!r} are"
        raise UserError(f"{why} {data.fingerprint}; choose a space of these data, or encode them with --jobs=encode")
    moments: dict[str, dict[str, Rows]] = {MEAN: {}} if about["deterministic"] else {MEAN: {}, VARIANCE: {}}
    for moment, found in moments.items():
        for part, number in parts_of(data).items():
            found[part] = _mapped(path_of(folder, part, moment), (number, *about["shape"]))
    return Encoded(about, moments[MEAN], moments.get(VARIANCE))


def about_of(workdir: str | pathlib.Path) -> dict[str, Any]:
    """The record in WORKDIR/encoded. Raises `UserError` where there is none."""
    folder = pathlib.Path(workdir) / FOLDER
    about = read_about(folder)
    if about is None:
        why = f"{workdir} has no encoded images: {folder / ABOUT} is missing or incomplete"
        raise UserError(f"{why}; launch the workdir with --jobs=encode, or name another space")
    return about


def read_about(folder: pathlib.Path) -> dict[str, Any] | None:
    """The record in the folder `encoded`; None where it is missing or lacks something."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        found = about["fingerprint"], about["shape"], about["num_images"], about["deterministic"]
        return about if about["provenance"]["data"] and found[0] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _mapped(path: pathlib.Path, shape: tuple[int, ...]) -> Rows:
    again = "launch the workdir with --jobs=encode to make it again"
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read ({error}); {again}") from error
    if found.shape != shape or found.dtype != np.float32:
        raise UserError(f"{path} is {found.dtype}{list(found.shape)}; expected float32{list(shape)}: {again}")
    return found
