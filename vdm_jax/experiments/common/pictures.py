"""Scores of generated images: Fréchet distance, labels that guidance keeps, likeness of reconstructions."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Integer, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.images import to_unit
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import Dataset
from vdm_jax.evals.feature_net import FeatureNet, compute_features, predict_labels, train_feature_net
from vdm_jax.evals.fid import FID_KEYS, measure_fid
from vdm_jax.evals.frechet import frechet_report
from vdm_jax.evals.frechet_by_n import frechet_by_n
from vdm_jax.evals.image_metrics import compare_images
from vdm_jax.evals.representations import NO_LABELS
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.vae_vdm.codes import UNCONDITIONAL, prior_codes, sample_codes
from vdm_jax.models.generate import generate
from vdm_jax.networks.classifier import make_classifier

FEATURE_NET_SEED = 0  # one network a data set, whatever the run, but for what rounding on another machine makes of it
LABEL_KEYS = ("frechet", "frechet_aggregate", "guided_label_kept")
RECONSTRUCTION_KEYS = ("psnr", "rmse", "ssim")
Levels = Integer[np.ndarray, "n h w c"]


def measure_images(
    experiment: Experiment, params: PyTree, images: dict[str, np.ndarray], key: Key[Array, ""]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Scores of generated images, and the reasons of those that there are not.

    `config.evaluate.frechet_images` images (at most one for each test image) with w from the prior: `frechet`; as many
    with w ~ q(w | x) of test images: `frechet_aggregate`, `guided_label_kept` (the share in which the classifier sees
    the label of x), and `psnr`, `rmse`, `ssim` of each against its x. With `config.evaluate.inception` also `fid…`;
    `frechet_by_n` has these distances at fractions of N.
    """
    config, data, model = experiment.config, experiment.data, experiment.model
    num_images = min(config.evaluate.frechet_images, len(images["levels"]))
    keys = (*LABEL_KEYS, *RECONSTRUCTION_KEYS, *FID_KEYS, "frechet_by_n")
    if num_images < 2:
        why = f"evaluate.frechet_images={config.evaluate.frechet_images}: nothing was generated"
        return dict.fromkeys(keys), dict.fromkeys(keys, why)
    codes = {"prior": prior_codes(model, params, named_key(key, "prior_codes"), num_images)}
    if model.encoder is not None:
        moments = (images[name][:num_images] for name in ("mu", "logvar"))
        codes["aggregate"] = sample_codes(named_key(key, "aggregate"), *moments)
    generated = {
        name: generate(model, params, named_key(key, name), w, config.sample, progress=bar(f"evaluate: {name} samples"))
        for name, w in codes.items()
    }
    values, reasons = dict.fromkeys(keys), {}
    if model.encoder is None:
        reasons |= dict.fromkeys((*LABEL_KEYS[1:], *RECONSTRUCTION_KEYS), UNCONDITIONAL)
    else:
        likeness = compare_images(
            *(to_unit(levels, data.num_levels) for levels in (generated["aggregate"], data.test.levels[:num_images]))
        )
        reasons |= likeness.pop("reasons")
        likeness["likeness_num_images"] = likeness.pop("num_images")  # the bound has a number of its own
        values |= likeness
    scores, why = image_distances(config.evaluate, data, generated, num_images)
    return values | scores, reasons | why


def image_distances(
    config: ConfigDict, data: Dataset, generated: dict[str, Levels], num_images: int
) -> tuple[dict[str, Any], dict[str, str]]:
    """Scores of each feature network there is, of images `generated`; the reasons of those that there are not."""
    values, by_n, reasons = measure_fid(config, data, generated, data.test.levels[:num_images])
    if data.train.labels is None:
        reasons |= dict.fromkeys(LABEL_KEYS, f"{NO_LABELS} to train a feature network on")
    else:
        scores, curves = _with_feature_net(data, generated, num_images)
        values |= scores
        by_n = {"frechet": curves} | by_n
    if not by_n:
        reasons["frechet_by_n"] = "there is no feature network: neither labels to train one on, nor Inception weights"
    return values | {"frechet_by_n": by_n or None}, reasons


def _with_feature_net(
    data: Dataset, generated: dict[str, Levels], num_images: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """`frechet…` against the training images, held-out test images beside it; `guided_label_kept`. Then the distances
    at fractions of N."""
    net = train_feature_net(
        make_classifier(data.shape, data.num_classes),
        data.name,
        data.pixel_values,
        (data.train.levels, data.train.labels),
        (data.test.levels, data.test.labels),
        key=jax.random.key(FEATURE_NET_SEED),
        progress=bar("evaluate: feature network"),
    )
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
