"""Scores of generated images: Fréchet distances, labels that the code keeps, likeness of reconstructions."""

from typing import Any

import numpy as np
from jaxtyping import Array, Key, PyTree

from vdm_jax.base.images import to_unit
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.diffusion.rate import UNCONDITIONAL
from vdm_jax.evals.fid import FID_KEYS
from vdm_jax.evals.image_distances import LABEL_KEYS, image_distances
from vdm_jax.evals.image_metrics import compare_images
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.codes import conditions, guided, prior_conditions, reads_condition
from vdm_jax.experiments.common.evaluate import inception_settings, sampling
from vdm_jax.models.generate import generate

NO_PRIOR = "w cannot be drawn: the code is deterministic, or there is one for each time"
RECONSTRUCTION_KEYS = ("psnr", "rmse", "ssim")


def measure_images(
    experiment: Experiment, params: PyTree, images: dict[str, np.ndarray], key: Key[Array, ""]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Scores of generated images, and the reasons of those that are missing.

    `config.evaluate.frechet_images` images (at most one for each test image) with w from the prior: `frechet`. As many
    with w ~ q(w | x), or the label, of test images: `frechet_aggregate`, `guided_label_kept` (the share in which the
    classifier sees the label of x), and with a code `psnr`, `rmse`, `ssim` of each against its x. With
    `config.evaluate.inception` also `fid…`. `frechet_by_n` has these distances at fractions of N.
    """
    config, data, model = experiment.config, experiment.data, experiment.model
    settings = config.evaluate
    num_images = min(settings.frechet_images, len(images["levels"]))
    keys = (*LABEL_KEYS, *RECONSTRUCTION_KEYS, *FID_KEYS, "frechet_by_n")
    if num_images < 2:
        why = f"evaluate.frechet_images={settings.frechet_images}: nothing was generated"
        return dict.fromkeys(keys), dict.fromkeys(keys, why)
    codes, own = {}, {name: values[:num_images] for name, values in images.items()}
    if model.code is None or model.code.has_prior:
        labels = data.train.labels
        codes["prior"] = prior_conditions(model, params, named_key(key, "prior_codes"), labels, num_images)
    if reads_condition(model):
        moments = (own["mu"], own["logvar"]) if model.has_moments else None
        codes["aggregate"] = conditions(model, named_key(key, "aggregate"), own["levels"], moments, own.get("labels"))
    of_samples = guided(model, config.sample)
    generated = {
        name: generate(
            of_samples,
            params,
            named_key(key, name),
            num_images,
            w,
            **sampling(config.sample),
            dtype=images["levels"].dtype,  # four times less memory than int32
            progress=bar(f"evaluate: {name} samples"),
        )
        for name, w in codes.items()
    }
    values, reasons = dict.fromkeys(keys), {}
    if "prior" not in codes:
        reasons["frechet"] = NO_PRIOR
    if not reads_condition(model):
        reasons |= dict.fromkeys(LABEL_KEYS[1:], UNCONDITIONAL)
    if model.code is None:
        reasons |= dict.fromkeys(RECONSTRUCTION_KEYS, UNCONDITIONAL)
    else:
        likeness = compare_images(
            *(to_unit(levels, data.num_levels) for levels in (generated["aggregate"], images["levels"][:num_images]))
        )
        reasons |= likeness.pop("reasons")
        likeness["likeness_num_images"] = likeness.pop("num_images")  # the bound has a number of its own
        values |= likeness
    scores, why = image_distances(data, generated, num_images, **inception_settings(settings))
    return values | scores, reasons | why
