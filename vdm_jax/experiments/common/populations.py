"""From a data set to the `Population` that probes, exact curves and chains are about."""

import hashlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Float, Integer

from vdm_jax.base.errors import UserError
from vdm_jax.base.space import Space
from vdm_jax.data.dataset import SPLITS, Dataset
from vdm_jax.data.pixels import pixels_of
from vdm_jax.data.sprite_covariance import sprite_covariance
from vdm_jax.data.sprite_posterior import make_sprite_posterior, sprite_features, sprite_labels
from vdm_jax.diffusion.posterior import Feature, finite_posterior
from vdm_jax.diffusion.theory import covariance_of
from vdm_jax.probing.population import Access, Population

CLASS = "class"  # the feature of labelled images
BATCH = 1_000  # images that are encoded at a time


def make_population(data: Dataset, space: Space | None = None) -> Population:
    """The population of a data set, in `space` (None: pixels).

    Sprites: all images of the grid, with features shape, orientation, scale, x and y. Labelled images: the training
    images, with the feature `class`; validation and test images are held out. Raises `UserError` as `check_labels`.
    """
    check_labels(data)
    if data.grid is None:
        return image_population(data, pixels_of(data) if space is None else space)
    return sprite_population(data) if space is None else encoded_sprite_population(data, space)


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


def identity_of(data: Dataset, space: Space | None = None) -> str:
    """Name and content of the data and of the space; of sprites also the values of their factors, which are learned."""
    parts = [data.name, data.fingerprint]
    if data.grid is not None:
        values = repr((data.grid.shapes, data.grid.scales, data.grid.orientations)).encode()
        parts.append(hashlib.sha256(values).hexdigest()[:6])
    return " ".join(parts + ([space.fingerprint] if space is not None and space.fingerprint else []))


def sprite_population(data: Dataset) -> Population:
    """All images of the grid; the posterior correlates z with the templates. The splits are those of the data set."""
    grid = data.grid
    access = Access(
        take=Partial(grid.render),
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


def encoded_sprite_population(data: Dataset, space: Space) -> Population:
    """All images of the grid in `space`; the posterior multiplies matrices. The splits are those of the data set.

    An image whose x is random in `space` is represented by its mean.
    """
    grid, features = data.grid, sprite_features(data.grid)
    everything = np.arange(len(grid), dtype=np.int32)
    rows = encoded(space, data.levels_of, everything)
    labels = {name: np.asarray(classes) for name, classes in sprite_labels(grid, jnp.asarray(everything)).items()}

    def take(params, index):
        return space.moments(params, data.levels_of(index))[0]

    access = Access(
        take=Partial(take, space.params),
        labels=Partial(lambda index: sprite_labels(grid, index)),
        spread=Partial(grid.spread),
        posterior=finite_posterior(rows, labels, features),
    )
    return Population(
        shape=space.shape,
        identity=identity_of(data, space),
        num_members=len(grid),
        features=features,
        splits={name: getattr(data, name).stored for name in SPLITS},
        access=access,
        covariance=lambda: covariance_of(rows.reshape(len(grid), -1)),
    )


def image_population(data: Dataset, space: Space) -> Population:
    """The training images, whose posterior multiplies matrices, then the held-out images of validation and test.

    An image whose x is random in `space` is represented by its mean.
    """
    splits = [getattr(data, name) for name in SPLITS]
    labels = np.concatenate([split.labels for split in splits])
    num_members, ends = len(data.train), np.cumsum([len(split) for split in splits])
    features = {CLASS: Feature(np.bincount(data.train.labels, minlength=data.num_classes) / num_members)}
    rows = encoded(space, data.levels_of, data.train.stored)

    def take(params, stored, index):
        return space.moments(params, data.levels_of(stored[index]))[0]

    def spread(key, n):
        return jax.random.choice(key, num_members, (n,), replace=n > num_members)

    access = Access(
        take=Partial(take, space.params, jnp.asarray(np.concatenate([split.stored for split in splits]))),
        labels=Partial(lambda labels, index: {CLASS: labels[index]}, jnp.asarray(labels)),
        spread=Partial(spread),
        posterior=finite_posterior(rows, {CLASS: data.train.labels}, features),
    )
    return Population(
        shape=space.shape,
        identity=identity_of(data, space),
        num_members=num_members,
        features=features,
        splits=dict(zip(SPLITS, np.split(np.arange(ends[-1], dtype=np.int32), ends[:-1]), strict=True)),
        access=access,
        covariance=lambda: covariance_of(rows.reshape(num_members, -1)),
        held_out=True,
    )


def encoded(space: Space, levels_of: Callable, stored: Integer[np.ndarray, "n ..."]) -> Float[np.ndarray, "n ..."]:
    """The mean of each image in `space`, float32 on the host, batch by batch."""
    mean = jax.jit(lambda params, stored: space.moments(params, levels_of(stored))[0])
    batches = [np.asarray(mean(space.params, stored[i : i + BATCH])) for i in range(0, len(stored), BATCH)]
    return np.concatenate(batches).astype(np.float32)
