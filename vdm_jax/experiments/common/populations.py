"""From a data set to the `Population` that probes, exact curves and chains are about."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Float, Integer

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import normal
from vdm_jax.data.dataset import SPLITS, Dataset
from vdm_jax.data.encoded import ALL
from vdm_jax.data.pixels import pixels_of
from vdm_jax.data.sprite_covariance import sprite_covariance
from vdm_jax.data.sprite_posterior import make_sprite_posterior, sprite_features, sprite_labels
from vdm_jax.diffusion.mixture_posterior import mixture_posterior
from vdm_jax.diffusion.posterior import Feature, finite_posterior
from vdm_jax.diffusion.rows import moments_of_rows
from vdm_jax.diffusion.theory import covariance_of
from vdm_jax.experiments.common.space.encoded import EncodedSpace
from vdm_jax.probing.population import Access, Population

CLASS = "class"  # the feature of labelled images
BATCH = 1_000  # images that are encoded at a time


def make_population(data: Dataset, space: EncodedSpace | None = None) -> Population:
    """The population of a data set, in `space` (None: pixels).

    Sprites: all images of the grid, with features shape, orientation, scale, x and y. Labelled images: the training
    images, with the feature `class`; validation and test images are held out. Raises `UserError` as `check_labels`.
    """
    check_labels(data)
    if space is not None:
        return encoded_population(data, space)
    return image_population(data) if data.grid is None else sprite_population(data)


def check_labels(data: Dataset) -> None:
    """Raises `UserError` for images without labels, with one class, or that are all equal."""
    if data.train.labels is None:
        raise UserError(f"{data.name!r} has no labels: there is no class whose curve could be measured")
    if data.grid is None and len(np.unique(data.train.labels)) < 2:
        raise UserError(f"the training images of {data.name!r} have one class: there is nothing to classify")
    if data.grid is None and all(np.array_equal(image, data.train.stored[0]) for image in data.train.stored):
        raise UserError(f"the training images of {data.name!r} are all equal: there is nothing to classify")


def check_classes(data: Dataset) -> None:
    """Raises `UserError` as `check_labels`, and for sprites with one class of a feature, whose curve is not defined."""
    check_labels(data)
    for name, feature in {} if data.grid is None else sprite_features(data.grid).items():
        if len(feature.prior) < 2:
            raise UserError(f"data {data.name!r} have one class of the feature {name!r}: there is nothing to classify")


def identity_of(data: Dataset, space: EncodedSpace | None = None) -> str:
    """Name and content of the data and of the space; of sprites also the values of their factors, which are learned."""
    parts = [data.name, data.fingerprint]
    if data.grid is not None:
        values = repr((data.grid.shapes, data.grid.scales, data.grid.orientations)).encode()
        parts.append(hashlib.sha256(values).hexdigest()[:6])
    return " ".join(parts + ([] if space is None else [space.fingerprint]))


def sprite_population(data: Dataset) -> Population:
    """All images of the grid; the posterior correlates z with the templates. The splits are those of the data set."""
    grid = data.grid
    access = Access(
        take=Partial(lambda index, key=None: grid.render(index)),
        labels=Partial(lambda index: sprite_labels(grid, index)),
        spread=Partial(grid.spread),
        posterior=make_sprite_posterior(grid),
    )
    return Population(
        shape=data.shape,
        identity=identity_of(data),
        num_members=len(grid),
        features=sprite_features(grid),
        splits={name: getattr(data, name).stored for name in SPLITS},
        access=access,
        covariance=lambda: sprite_covariance(grid),
        shifted_templates=True,
    )


def encoded_population(data: Dataset, space: EncodedSpace) -> Population:
    """The images of the grid, or labelled images as in `image_population`, in an encoded space.

    Where the code is noisy and sampled, each member is the Gaussian q(x | image), and every query is a draw from it. Of
    a grid the posterior alone holds the moments; all else reads them in blocks.
    """
    if data.grid is not None:
        mean, variance = space.rows(ALL)
        num_members, features = len(data.grid), sprite_features(data.grid)
        classes = sprite_labels(data.grid, jnp.arange(num_members, dtype=jnp.int32))
        labels = {name: np.asarray(found) for name, found in classes.items()}
        splits = {name: getattr(data, name).stored for name in SPLITS}
        spread: Callable = data.grid.spread
        held = None
    else:
        num_members, features, labels, splits, spread = labelled(data)
        moments = [space.moments(name) for name in SPLITS]
        mean, variance = moments[0]
        held = rows_of(moments, space.sampled)
    variance = variance if space.sampled else None
    own = {name: classes[:num_members] for name, classes in labels.items()}
    if variance is None:
        posterior = finite_posterior(mean[:], own, features)
    else:
        posterior = mixture_posterior(mean, variance, own, features)

    def take(moments, index, key=None):
        mean, variance = moments(index)
        return mean if variance is None or key is None else mean + jnp.sqrt(variance) * normal(key, mean.shape)

    access = Access(
        take=Partial(take, posterior.moments if held is None else held),
        labels=Partial(lambda labels, index: {name: found[index] for name, found in labels.items()}, on_device(labels)),
        spread=Partial(spread),
        posterior=posterior,
    )
    return Population(
        shape=space.shape,
        identity=identity_of(data, space),
        num_members=num_members,
        features=features,
        splits=splits,
        access=access,
        covariance=lambda: covariance_of(mean, variance),
        held_out=data.grid is None,
        moments=lambda: tuple(
            found.reshape(space.shape).astype(np.float32) for found in moments_of_rows(mean, variance)
        ),
    )


def rows_of(splits: Sequence[tuple[np.ndarray, np.ndarray | None]], sampled: bool) -> Partial:
    """`moments(index)`: mean and variance of images counted over all splits, held on the device. sampled: whether the
    variance is."""

    def moments(mean, variance, index):
        return mean[index], None if variance is None else variance[index]

    mean, variance = (None if parts[0] is None else jnp.concatenate(parts) for parts in zip(*splits, strict=True))
    return Partial(moments, mean, variance if sampled else None)


def image_population(data: Dataset) -> Population:
    """The training images, whose posterior multiplies matrices, then the held-out images of validation and test."""
    num_members, features, labels, splits, spread = labelled(data)
    levels = np.concatenate([getattr(data, name).stored for name in SPLITS])
    pixels = pixels_of(data).moments
    rows = encoded(lambda stored: pixels({}, data.levels_of(stored))[0], data.train.stored)

    def take(stored, index, key=None):
        return pixels({}, data.levels_of(stored[index]))[0]

    access = Access(
        take=Partial(take, jnp.asarray(levels)),
        labels=Partial(lambda labels, index: {name: own[index] for name, own in labels.items()}, on_device(labels)),
        spread=Partial(spread),
        posterior=finite_posterior(rows, {CLASS: data.train.labels}, features),
    )
    return Population(
        shape=data.shape,
        identity=identity_of(data),
        num_members=num_members,
        features=features,
        splits=splits,
        access=access,
        covariance=lambda: covariance_of(rows.reshape(num_members, -1)),
        held_out=True,
    )


class LabelledMembers(NamedTuple):
    """What a population of labelled images has in any space."""

    num_members: int
    features: dict[str, Feature]
    labels: dict[str, Integer[np.ndarray, " n"]]  # of members and held-out images
    splits: dict[str, Integer[np.ndarray, " n"]]
    spread: Callable


def labelled(data: Dataset) -> LabelledMembers:
    """The training images are members; validation and test images come after them."""
    splits = [getattr(data, name) for name in SPLITS]
    num_members, ends = len(data.train), np.cumsum([len(split) for split in splits])
    features = {CLASS: Feature(np.bincount(data.train.labels, minlength=data.num_classes) / num_members)}

    def spread(key, n):
        return jax.random.choice(key, num_members, (n,), replace=n > num_members)

    parts = np.split(np.arange(ends[-1], dtype=np.int32), ends[:-1])
    labels = {CLASS: np.concatenate([split.labels for split in splits])}
    return LabelledMembers(num_members, features, labels, dict(zip(SPLITS, parts, strict=True)), spread)


def encoded(moments: Callable, stored: Integer[np.ndarray, "n ..."]) -> Float[np.ndarray, "n ..."]:
    """`moments` of the images that are stored, float32 on the host, batch by batch."""
    compiled = jax.jit(moments)
    batches = [np.asarray(compiled(stored[i : i + BATCH])) for i in range(0, len(stored), BATCH)]
    return np.concatenate(batches).astype(np.float32)


def on_device(arrays: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """Each array on the device."""
    return {name: jnp.asarray(array) for name, array in arrays.items()}
