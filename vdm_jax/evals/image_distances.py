"""Scores of sets of generated images by every feature network there is: Fréchet distance, FID, labels kept."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Integer

from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import Dataset
from vdm_jax.evals.feature_net import FeatureNet, compute_features, predict_labels, train_feature_net
from vdm_jax.evals.fid import measure_fid
from vdm_jax.evals.frechet import frechet_report
from vdm_jax.evals.frechet_by_n import frechet_by_n
from vdm_jax.evals.representations import NO_LABELS
from vdm_jax.networks.classifier import make_classifier

FEATURE_NET_SEED = 0  # one network a data set, whatever the run, but for the rounding of another machine
LABEL_KEYS = ("frechet", "frechet_aggregate", "guided_label_kept")
Levels = Integer[np.ndarray, "n h w c"]


def image_distances(
    data: Dataset,
    generated: Mapping[str, Levels],
    num_images: int,
    *,
    inception: str = "",
    fid_reference_images: int = 0,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Scores of the sets `generated` ("prior", perhaps "aggregate"), and the reasons of those that are missing.

    `frechet…` by a network that is trained on the labels of the data, `fid…` by Inception weights (see `measure_fid`),
    `guided_label_kept` of "aggregate", whose images follow those of the test split one by one.
    """
    held_out = data.test.levels[:num_images]
    values, by_n, reasons = measure_fid(inception, data, generated, held_out, num_reference=fid_reference_images)
    if data.train.labels is None:
        reasons |= dict.fromkeys(LABEL_KEYS, f"{NO_LABELS} to train a feature network on")
    else:
        scores, curves = _with_feature_net(data, generated, num_images)
        values |= scores
        by_n = {"frechet": curves} | by_n
    if not by_n:
        reasons["frechet_by_n"] = "there is no feature network: neither labels to train one on, nor Inception weights"
    return values | {"frechet_by_n": by_n or None}, reasons


def feature_net_of(data: Dataset) -> FeatureNet:
    """The network whose features Fréchet distances of labelled images compare: a classifier of their training images.

    Raises `UserError` for data without labels.
    """
    return train_feature_net(
        make_classifier(data.shape, data.num_classes),
        data.name,
        data.pixel_values,
        (data.train.levels, data.train.labels),
        (data.test.levels, data.test.labels),
        key=jax.random.key(FEATURE_NET_SEED),
        progress=bar("evaluate: feature network"),
    )


def _with_feature_net(
    data: Dataset, generated: Mapping[str, Levels], num_images: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """`frechet…` to the training images, with that of held-out test images; `guided_label_kept`. Then the distances at
    fractions of N."""
    net = feature_net_of(data)
    real, held_out = (compute_features(net, levels) for levels in (data.train.levels, data.test.levels[:num_images]))
    names = {"prior": "frechet", "aggregate": "frechet_aggregate"}
    features = {name: compute_features(net, levels) for name, levels in generated.items()}
    values: dict[str, Any] = {
        names[name]: frechet_report(made, held_out, real, net.network) for name, made in features.items()
    }
    values["feature_net_test_accuracy"] = net.test_accuracy
    if "aggregate" in generated:
        values |= _label_kept(net, generated["aggregate"], data.test.labels[:num_images])
    return values, frechet_by_n(features | {"real": held_out}, real)


def _label_kept(net: FeatureNet, levels: Levels, labels: Integer[np.ndarray, " n"]) -> dict[str, float]:
    kept = float(np.mean(predict_labels(net, levels) == labels))
    error = float(np.sqrt(kept * (1 - kept) / len(labels)))
    return {"guided_label_kept": kept, "guided_label_kept_standard_error": error}
