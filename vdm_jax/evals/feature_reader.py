"""A network that classifies several features of an image, with its error rate for each."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Integer, Key, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.base.pytrees import fingerprint
from vdm_jax.evals.batches import map_batches
from vdm_jax.evals.feature_net import Apply, cross_entropy, fit, forward_of
from vdm_jax.evals.frechet import FeatureNetwork

Levels = Integer[np.ndarray, "_ h w c"]
Labels = dict[str, Integer[np.ndarray, " _"]]


class FeatureReader(NamedTuple):
    """A trained network with a group of logits for each feature, and its error rates."""

    apply: Apply
    params: PyTree
    pixel_values: Float[np.ndarray, " levels"]
    sizes: dict[str, int]
    network: FeatureNetwork
    errors: dict[str, float]  # feature -> error rate on held-out images
    any_error: float  # share of held-out images with an error in any feature


def train_reader(
    model: Any,
    data_name: str,
    pixel_values: Float[np.ndarray, " levels"],
    sizes: dict[str, int],
    train: tuple[Levels, Labels],
    held_out: tuple[Levels, Labels],
    *,
    key: Key[Array, ""],
    num_steps: int,
    progress: Callable[[range], Iterable[int]] = iter,
) -> FeatureReader:
    """Trains as in `train_feature_net` on the sum of the cross-entropies of the features.

    Args:
        model: as in `train_feature_net`, with as many logits as the sum of `sizes`.
        sizes: feature -> number of classes; labels are 0 … size - 1.
        held_out: images and labels for the error rates.
    """

    def loss(logits, labels):
        return sum(cross_entropy(part, labels[name]) for name, part in _groups(logits, sizes).items())

    labels = {name: np.asarray(train[1][name], np.int32) for name in sizes}
    params = fit(
        model,
        loss,
        pixel_values,
        train[0],
        labels,
        key=named_key(key, "reader"),
        num_steps=num_steps,
        progress=progress,
    )
    network = FeatureNetwork(f"features of {data_name}", fingerprint(params), resize="none")
    reader = FeatureReader(model.apply, params, np.asarray(pixel_values), sizes, network, {}, float("nan"))
    wrong = {name: read != held_out[1][name] for name, read in read_features(reader, held_out[0]).items()}
    errors = {name: float(values.mean()) for name, values in wrong.items()}
    return reader._replace(errors=errors, any_error=float(np.any(list(wrong.values()), axis=0).mean()))


def read_features(reader: FeatureReader, levels: Levels, batch_size: int = 500) -> Labels:
    """The most likely class of each feature of each image."""
    logits, _ = map_batches(forward_of(reader), levels, batch_size, progress=bar("features read"))
    return {name: part.argmax(1) for name, part in _groups(logits, reader.sizes).items()}


def reader_features(reader: FeatureReader, levels: Levels, batch_size: int = 500) -> Float[np.ndarray, "n f"]:
    """What the network computes before its logits, for Fréchet distances."""
    return map_batches(forward_of(reader), levels, batch_size, progress=bar("features"))[1]


def read_pixels(reader: FeatureReader, x: Float[Array, "b h w c"]) -> dict[str, Integer[Array, " b"]]:
    """`read_features` of images as pixels, inside a compiled function."""
    logits = reader.apply(reader.params, x)[0]
    return {name: part.argmax(axis=1) for name, part in _groups(logits, reader.sizes).items()}


def _groups(logits: Any, sizes: dict[str, int]) -> dict[str, Any]:
    ends = np.cumsum(list(sizes.values())).tolist()
    return {name: logits[:, end - sizes[name] : end] for name, end in zip(sizes, ends, strict=True)}
