"""A space with the encodings of a data set: u as they are stored, x = factor u as diffusion and probes see them."""

import hashlib
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, Integer
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.space import Space
from vdm_jax.data.dataset import SPLITS, Dataset
from vdm_jax.data.encoded import ALL, FOLDER, MEAN, VARIANCE, Encoded, parts_of, read_encoded
from vdm_jax.diffusion.rows import RowSource
from vdm_jax.experiments.common.space.load import AUTOENCODER, kind_of_space, load_space

SCALES = {
    "none": "latents as they are",
    "global": "one factor, with which the mean variance of the components is 1",
    "component": "a factor for each component, with which its variance is 1",
}
COLLAPSED = 1e-12  # of the largest variance: a component below keeps its scale
ROWS = 16_384  # read at a time
BATCH = 500  # images that are encoded at a time
Moment = Float32[np.ndarray, "n ..."]
Rows = Integer[np.ndarray, " n"] | slice | None


@dataclass(frozen=True, eq=False)
class ScaledRows:
    """Rows that are multiplied by a factor, [] or [*shape], when they are read: `rows[first:last]`."""

    stored: Moment
    factor: Float32[np.ndarray, "..."]

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, *shape]."""
        return self.stored.shape

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: slice) -> Moment:
        return self.stored[rows] * self.factor


@dataclass(frozen=True, eq=False)
class EncodedSpace:
    """What the kinds that live in a space see of it: x = factor u.

    space: of x. Its `params` hold the factor, its fingerprint is of the weights and the factor.
    encoded: the moments of u, mapped into memory.
    factor: [] or [*shape], float32.
    about: for records, {"workdir", "name", "kind", "fingerprint", "shape", "scale", "factor", "variance",
        "deterministic", "sampled"}: "factor" is the mean of the factors, "variance" the mean variance of the
        components of u, "deterministic" a code without noise.
    sampled: whether x is drawn from q(x | image); else it is the mean. False of a code without noise.
    stored: of sprites the indices of each split, rows of `encoded`; {}: it has each split by itself.
    """

    space: Space
    encoded: Encoded
    factor: Float32[np.ndarray, "..."]
    about: dict[str, Any]
    sampled: bool = True
    stored: Mapping[str, Integer[np.ndarray, " n"]] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one x."""
        return self.space.shape

    @property
    def fingerprint(self) -> str:
        """Of the weights and the factor."""
        return self.space.fingerprint

    def moments(self, part: str, index: Rows = None) -> tuple[Moment, Moment | None]:
        """Mean and variance of q(x | image), [N, *shape] each; a variance of None: a code without noise.

        part: a split of the data, or of sprites "all". index: of the images in it, a slice or whole numbers; None: all.
        """
        if part in self.stored:
            part, index = ALL, self.stored[part] if index is None else self.stored[part][index]
        mean, variance = self.encoded.rows(part, index)
        if self._unscaled:
            return mean, variance
        return mean * self.factor, None if variance is None else variance * self.factor**2

    def rows(self, part: str) -> tuple[RowSource, RowSource | None]:
        """The moments of a part that is stored by itself, such as "all" of sprites, which are read slice by slice."""
        mean, variance = self.encoded.rows(part)
        if self._unscaled:
            return mean, variance
        squared = np.asarray(self.factor**2)
        return ScaledRows(mean, self.factor), None if variance is None else ScaledRows(variance, squared)

    @property
    def _unscaled(self) -> bool:
        return self.factor.ndim == 0 and bool(self.factor == 1)


def open_space(config: ConfigDict, data: Dataset) -> EncodedSpace | None:
    """The space that the section `space` of a config names; None for pixels.

    Raises `UserError` where the folder holds no space, no encodings, or those of other data or other weights.
    """
    if not config.workdir:
        return None
    folder = pathlib.Path(config.workdir)
    kind = kind_of_space(folder)
    encoded = read_encoded(folder, data) if kind == AUTOENCODER else None
    space = load_space(folder, data)
    if encoded is None:
        encoded = encode_now(space, data)
    if encoded.fingerprint != space.fingerprint:
        why = f"the images in {folder / FOLDER} were encoded with other weights than those that {folder} has now"
        raise UserError(f"{why}; launch it with --jobs=encode")
    return encoded_space(space, encoded, data, config.scale, bool(config.sampled), str(folder), kind)


def encoded_space(
    space: Space,
    encoded: Encoded,
    data: Dataset,
    scale: str = "none",
    sampled: bool = True,
    workdir: str = "",
    kind: str = AUTOENCODER,
) -> EncodedSpace:
    """The space under a scale, one of `SCALES`. Raises `UserError`."""
    choose("config.space.scale", scale, SCALES)
    sampled = sampled and encoded.variance is not None
    variance = latent_variance(encoded, data, sampled)
    factor = factor_of(scale, variance)
    scaled = scaled_space(space, factor)
    about = {"workdir": workdir, "name": space.name, "fingerprint": scaled.fingerprint, "shape": list(space.shape)}
    about |= {"kind": kind, "scale": scale, "factor": float(factor.mean()), "variance": float(variance.mean())}
    about |= {"deterministic": encoded.variance is None, "sampled": sampled}
    stored = {name: getattr(data, name).stored for name in SPLITS} if ALL in encoded.mean else {}
    return EncodedSpace(scaled, encoded, factor, about, sampled, stored)


def latent_variance(encoded: Encoded, data: Dataset, sampled: bool) -> Float[np.ndarray, "..."]:
    """The variance of each component of u over the training images, of sprites over all: Var[mean], and where u is
    sampled + E[variance]. float64, read in parts."""
    part = ALL if ALL in encoded.mean else "train"
    number, total, squares, noise = parts_of(data)[part], 0.0, 0.0, 0.0
    first = np.asarray(encoded.mean[part][0], np.float64)  # differences from it do not cancel
    for start in range(0, number, ROWS):
        index = np.arange(start, min(start + ROWS, number))
        mean, variance = encoded.rows(part, index)
        difference = mean - first
        total, squares = total + difference.sum(0), squares + (difference**2).sum(0)
        noise = noise + variance.sum(0, dtype=np.float64) if sampled else noise
    return np.maximum(squares / number - (total / number) ** 2, 0) + noise / number


def factor_of(scale: str, variance: Float[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """The factor of a scale, one of `SCALES`, for components of u with these variances.

    A component whose variance is below 1e-12 of the largest keeps its scale. Raises `UserError` where all images have
    one code, which cannot be scaled.
    """
    if scale == "none":
        return np.float32(1)[...]
    largest = variance.max()
    if not largest > 0:
        raise UserError(f"config.space.scale={scale!r}: all images have one code, whose variance is 0; choose 'none'")
    if scale == "global":
        return np.asarray(variance.mean() ** -0.5, np.float32)
    alive = variance > COLLAPSED * largest
    return np.where(alive, np.where(alive, variance, 1.0) ** -0.5, 1.0).astype(np.float32)


def scaled_space(space: Space, factor: Float32[np.ndarray, "..."]) -> Space:
    """The space of x = factor u. log p(image | x) is that of u, a probability of the image."""
    if factor.ndim == 0 and factor == 1:
        return space

    def moments(params, levels):
        mean, variance = space.moments(params["space"], levels)
        by = params["factor"][None]
        return mean * by, None if variance is None else variance * by**2

    def decode(params, x):
        return space.decode(params["space"], x / params["factor"][None])

    def log_prob(params, levels, x):
        return space.log_prob(params["space"], levels, x / params["factor"][None])

    by = np.broadcast_to(factor, space.shape)
    return space._replace(
        fingerprint=f"{space.fingerprint}-{hashlib.sha256(by.tobytes()).hexdigest()[:6]}",
        params={"space": space.params, "factor": jnp.asarray(by)},
        moments=moments,
        decode=decode,
        log_prob=None if space.log_prob is None else log_prob,
        x_range=None,
    )


def encode_now(space: Space, data: Dataset) -> Encoded:
    """The moments of all images, in memory: of a folder that has no encodings, such as one of diffusers."""
    moments = jax.jit(lambda params, stored: space.moments(params, data.levels_of(stored)))
    found: dict[str, dict[str, np.ndarray]] = {MEAN: {}, VARIANCE: {}}
    for part, number in parts_of(data).items():
        stored = np.arange(number, dtype=np.int32) if part == ALL else getattr(data, part).stored
        batches = [jax.device_get(moments(space.params, batch)) for batch in _batches(stored)]
        for moment, arrays in zip((MEAN, VARIANCE), zip(*batches, strict=True), strict=True):
            if arrays[0] is not None:
                found[moment][part] = np.concatenate(arrays)[:number].astype(np.float32)
    about = {"fingerprint": space.fingerprint, "shape": list(space.shape), "deterministic": not found[VARIANCE]}
    return Encoded(about, found[MEAN], found[VARIANCE] or None)


def _batches(stored: np.ndarray) -> list[np.ndarray]:
    """Batches of one size; the last is filled with copies."""
    index = np.arange(0, len(stored), BATCH)
    return [stored[np.minimum(np.arange(start, start + BATCH), len(stored) - 1)] for start in index]
