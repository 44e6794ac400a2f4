"""What the code w holds: information, active units, readouts of it with their baselines, and pictures.

An encoder is handed in as `encode(levels [N, H, W, C]) -> mu, logvar`, [N, d] each.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Integer, Key

from vdm_jax.data.dataset import Split
from vdm_jax.evals.embedding import pca_2d, tsne_2d
from vdm_jax.evals.information import active_units, aggregate_prior_rate, mutual_information_bounds
from vdm_jax.evals.representations import (
    Labelled,
    knn_accuracy,
    linear_probe,
    pca_projections,
    random_projections,
)

RANDOM_PROJECTIONS = 5
CODE_KEYS = ("active_units", "mi_lower_nats", "mi_upper_nats", "aggregate_prior_rate_nats")
PROBE_KEYS = ("linear_probe_accuracy", "linear_probe_accuracy_raw_pixels", "linear_probe_accuracy_pca",
              "linear_probe_accuracy_random_projection", "linear_probe_accuracy_untrained",
              "knn_accuracy", "knn_accuracy_raw_pixels", "knn_accuracy_untrained")  # fmt: skip

Codes = Float[np.ndarray, "n d"]
Levels = Integer[np.ndarray, "n h w c"]
Encode = Callable[[Levels], tuple[Codes, Codes]]


def information(
    w: Codes, mu: Codes, logvar: Codes, train_mu: Float[np.ndarray, "m d"], train_logvar: Float[np.ndarray, "m d"]
) -> dict[str, Any]:
    """Active units, bounds on I(x; w) of N test images from one draw w of each, and the rate under the aggregate
    posterior of M training images."""
    bounds = mutual_information_bounds(mu, logvar, w) | aggregate_prior_rate(mu, logvar, w, train_mu, train_logvar)
    named = {"ln_n": "mi_lower_is_capped_at_ln_n", "num_images": "mi_num_images"}
    return {"active_units": active_units(mu)} | {named.get(name, name): value for name, value in bounds.items()}


def readouts(
    encode: Encode, untrained: Encode, splits: Sequence[Split], pixel_values: Float[np.ndarray, " k"]
) -> dict[str, Any]:
    """Linear readout and nearest neighbours on mu, with baselines: raw pixels, as many principal components or random
    projections (mean and error over 5 of them), and the encoder before its training.

    splits: train, which they are fitted on, validation and test. Keys: `linear_probe_accuracy…`, `knn_accuracy…`.
    """
    train, _, test = splits

    def labelled(features):
        return [Labelled(f, split.labels) for f, split in zip(features, splits, strict=True)]

    pixels = [pixel_values[split.levels].reshape(len(split), -1) for split in splits]
    of_w = labelled([encode(split.levels)[0] for split in splits])
    of_untrained = labelled([untrained(split.levels)[0] for split in splits])
    of_pixels, w_dim = labelled(pixels), of_w[0].features.shape[1]
    found = {
        "linear_probe_accuracy": linear_probe(*of_w),
        "linear_probe_accuracy_untrained": linear_probe(*of_untrained),
        "linear_probe_accuracy_raw_pixels": linear_probe(*of_pixels),
        "linear_probe_accuracy_pca": linear_probe(*labelled(pca_projections(pixels, w_dim))),
        "linear_probe_accuracy_random_projection": _random_readout(pixels, labelled, w_dim),
        "knn_accuracy": knn_accuracy(of_w[0], of_w[2]),
        "knn_accuracy_untrained": knn_accuracy(of_untrained[0], of_untrained[2]),
        "knn_accuracy_raw_pixels": knn_accuracy(of_pixels[0], of_pixels[2]),
    }
    errors = {f"{name}_standard_error": result["standard_error"] for name, result in found.items()}
    sizes = {"probe_num_train": len(train), "probe_num_test": len(test)}
    return {name: result["accuracy"] for name, result in found.items()} | errors | sizes


def _random_readout(pixels: list[np.ndarray], labelled, w_dim: int) -> dict[str, Any]:
    accuracies = [
        linear_probe(*labelled(random_projections(pixels, w_dim, seed)))["accuracy"]
        for seed in range(RANDOM_PROJECTIONS)
    ]
    error = np.std(accuracies, ddof=1) / np.sqrt(RANDOM_PROJECTIONS)
    return {"accuracy": float(np.mean(accuracies)), "standard_error": float(error)}


def embeddings(
    encode: Encode, untrained: Encode, images: Split, label_names: Sequence[str], seed: int
) -> dict[str, np.ndarray]:
    """Two-dimensional PCA and t-SNE of mu of the images, before training and after; the labels where there are any."""
    arrays = {"label_names": np.array(label_names)}
    if images.labels is not None:
        arrays["labels"] = images.labels
    for name, encoder in {"trained": encode, "untrained": untrained}.items():
        mu, _ = encoder(images.levels)
        arrays |= {f"pca_{name}": pca_2d(mu), f"tsne_{name}": tsne_2d(mu, seed=seed)}
    return arrays


def derangement(key: Key[Array, ""], num_images: int) -> Integer[np.ndarray, " n"]:
    """For each image another one, the next along a random cycle through all."""
    cycle = np.asarray(jax.random.permutation(key, num_images))
    others = np.empty_like(cycle)
    others[cycle] = np.roll(cycle, 1)
    return others
