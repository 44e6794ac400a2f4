"""What the code w holds: information, active units, simple readers of it and what they are judged by, pictures."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.images import to_pixels
from vdm_jax.base.mesh import across_devices
from vdm_jax.data.dataset import Dataset, Split
from vdm_jax.evals.batches import map_batches
from vdm_jax.evals.embedding import pca_2d, tsne_2d
from vdm_jax.evals.information import active_units, aggregate_prior_rate, mutual_information_bounds
from vdm_jax.evals.representations import (
    Labelled,
    knn_accuracy,
    linear_probe,
    pca_projections,
    random_projections,
)
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.models.vae_vdm import VaeVdm, draw_code

RANDOM_PROJECTIONS = 5
TSNE_IMAGES = 2_000
UNCONDITIONAL = "the model is unconditional: there is no code"

CODE_KEYS = ("active_units", "mi_lower_nats", "mi_upper_nats", "aggregate_prior_rate_nats")
PROBE_KEYS = ("linear_probe_accuracy", "linear_probe_accuracy_raw_pixels", "linear_probe_accuracy_pca",
              "linear_probe_accuracy_random_projection", "linear_probe_accuracy_untrained",
              "knn_accuracy", "knn_accuracy_raw_pixels", "knn_accuracy_untrained")  # fmt: skip


def encode_all(
    model: VaeVdm, params: PyTree, levels: Integer[np.ndarray, "n h w c"], batch_size: int
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]:
    """mu, logvar of every image."""
    return map_batches(lambda batch: _encode(model, params, batch), levels, batch_size, place=across_devices)


@partial(jax.jit, static_argnums=0)
def _encode(model: VaeVdm, params: PyTree, levels: Integer[Array, "b h w c"]):
    return model.encode(params, to_pixels(levels, model.pixel_values))


def sample_codes(key, mu: Float[np.ndarray, "n d"], logvar: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """w ~ q(w | x) of every image."""
    return np.asarray(draw_code(key, jnp.asarray(mu), jnp.asarray(logvar)))


def prior_codes(model: VaeVdm, params: PyTree, key: Key[Array, ""], num_codes: int) -> Float[np.ndarray, "n d"]:
    """w ~ p(w), the model's prior."""
    return np.asarray(_draw_prior(model, params, key, num_codes))


@partial(jax.jit, static_argnums=(0, 3))
def _draw_prior(model: VaeVdm, params: PyTree, key: Key[Array, ""], num_codes: int):
    return model.draw_prior(params, key, num_codes)


def information(
    key,
    mu: Float[np.ndarray, "n d"],
    logvar: Float[np.ndarray, "n d"],
    train_mu: Float[np.ndarray, "m d"],
    train_logvar: Float[np.ndarray, "m d"],
) -> dict[str, Any]:
    """Active units and the bounds on I(x; w) of the test images, N beside them; the rate under a better prior."""
    w = sample_codes(key, mu, logvar)
    bounds = mutual_information_bounds(mu, logvar, w) | aggregate_prior_rate(mu, logvar, w, train_mu, train_logvar)
    named = {"ln_n": "mi_lower_is_capped_at_ln_n", "num_images": "mi_num_images"}
    return {"active_units": active_units(mu)} | {named.get(name, name): value for name, value in bounds.items()}


def probes(experiment: Experiment, params: PyTree, untrained: PyTree) -> dict[str, Any]:
    """Linear probe and nearest neighbours on mu, beside raw pixels, as many principal components or random
    projections (mean and error over 5 of them), and the encoder before its training.

    Fitted on at most `config.evaluate.probe_images` training images, judged by all test images.
    """
    config, data, model = experiment.config.evaluate, experiment.data, experiment.model
    train = first(data.train, config.probe_images)
    splits = (train, data.validation, data.test)

    def codes(params):
        return [encode_all(model, params, split.levels, config.batch_size)[0] for split in splits]

    def labelled(features):
        return [Labelled(f, split.labels) for f, split in zip(features, splits, strict=True)]

    pixels = [model.pixel_values[split.levels].reshape(len(split), -1) for split in splits]
    of_w, of_untrained, of_pixels = labelled(codes(params)), labelled(codes(untrained)), labelled(pixels)
    found = {
        "linear_probe_accuracy": linear_probe(*of_w),
        "linear_probe_accuracy_untrained": linear_probe(*of_untrained),
        "linear_probe_accuracy_raw_pixels": linear_probe(*of_pixels),
        "linear_probe_accuracy_pca": linear_probe(*labelled(pca_projections(pixels, model.w_dim))),
        "linear_probe_accuracy_random_projection": _random_probe(pixels, labelled, model.w_dim),
        "knn_accuracy": knn_accuracy(of_w[0], of_w[2]),
        "knn_accuracy_untrained": knn_accuracy(of_untrained[0], of_untrained[2]),
        "knn_accuracy_raw_pixels": knn_accuracy(of_pixels[0], of_pixels[2]),
    }
    errors = {f"{name}_standard_error": result["standard_error"] for name, result in found.items()}
    sizes = {"probe_num_train": len(train), "probe_num_test": len(data.test)}
    return {name: result["accuracy"] for name, result in found.items()} | errors | sizes


def _random_probe(pixels: list[np.ndarray], labelled, w_dim: int) -> dict[str, Any]:
    accuracies = [
        linear_probe(*labelled(random_projections(pixels, w_dim, seed)))["accuracy"]
        for seed in range(RANDOM_PROJECTIONS)
    ]
    error = np.std(accuracies, ddof=1) / np.sqrt(RANDOM_PROJECTIONS)
    return {"accuracy": float(np.mean(accuracies)), "standard_error": float(error)}


def first(split: Split, num_images: int) -> Split:
    """The first images of a split with their labels, if it has any."""
    return split.first(num_images)


def embeddings(
    model: VaeVdm, params: PyTree, untrained: PyTree, data: Dataset, config: ConfigDict
) -> dict[str, np.ndarray]:
    """Two-dimensional PCA and t-SNE of mu of the test images (2,000 at most), before training and after."""
    levels = data.test.levels[:TSNE_IMAGES]
    arrays = {"label_names": np.array(data.label_names)}
    if data.test.labels is not None:
        arrays["labels"] = data.test.labels[:TSNE_IMAGES]
    for name, weights in {"trained": params, "untrained": untrained}.items():
        mu, _ = encode_all(model, weights, levels, config.evaluate.batch_size)
        arrays |= {f"pca_{name}": pca_2d(mu), f"tsne_{name}": tsne_2d(mu, seed=config.evaluate.seed)}
    return arrays


def derangement(key, num_images: int) -> Integer[np.ndarray, " n"]:
    """For each image another one, the next along a random cycle through all."""
    cycle = np.asarray(jax.random.permutation(key, num_images))
    others = np.empty_like(cycle)
    others[cycle] = np.roll(cycle, 1)
    return others
