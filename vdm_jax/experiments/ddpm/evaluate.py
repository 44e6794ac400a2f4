"""The evaluation job of a DDPM: loss and bound on test images, scores of generated ones."""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Integer
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import Dataset
from vdm_jax.evals.coverage import measure_coverage
from vdm_jax.evals.image_distances import image_distances
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.evaluate import (
    about,
    compare_with_entropy,
    inception_settings,
    measure_loss,
    sampling,
    save,
    say,
)
from vdm_jax.models.generate import generate

Levels = Integer[np.ndarray, "n h w c"]
FRECHET_KEYS = ("frechet", "frechet_by_n")


def evaluate_ddpm(experiment: Experiment, workdir: pathlib.Path) -> str:
    """Writes `evaluate.json`; returns "done". Loss and bound on test images, and scores of generated ones: for sprites
    `coverage`, for labelled images the Fréchet distance."""
    config, data, model = experiment.config, experiment.data, experiment.model
    weights = load_weights(workdir, model, config)
    levels = data.test.first(config.evaluate.num_images).levels
    say(f"step {weights.step}, {weights.kind} weights, {len(levels):,} test images")
    key = jax.random.key(config.evaluate.seed)
    values, reasons = measure_loss(model, weights.params, levels, named_key(key, "bound"), config.evaluate)
    entropy, unknown = compare_with_entropy(values, data)

    def draw(num_images: int) -> Levels:
        settings = sampling(config.sample) | {"progress": bar("evaluate: samples"), "dtype": levels.dtype}
        return generate(model, weights.params, named_key(key, "prior"), num_images, **settings)

    found, why = score_samples(config, data, len(levels), draw)
    reasons |= unknown | {name: reason for name, reason in why.items() if name in found}
    record = about(config, data.fingerprint, weights, model.describe_objective(), reasons)
    save(workdir, values | entropy | found | record, {})
    return "done"


def score_samples(
    config: ConfigDict, data: Dataset, num_test: int, draw: Callable[[int], Levels]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Scores of generated images `draw(N)`, and the reasons of those that are missing."""
    settings = config.evaluate
    if data.grid is not None:  # every factor of a sprite is known
        none = dict.fromkeys(FRECHET_KEYS), dict.fromkeys(FRECHET_KEYS, "of sprites the modes are counted instead")
        if settings.coverage_images == 0:
            why = {"coverage": "evaluate.coverage_images=0: nothing was generated"}
            return {"coverage": None} | none[0], why | none[1]
        found = measure_coverage(
            data,
            draw,
            num_images=settings.coverage_images,
            sprite_tolerance=settings.sprite_tolerance,
            reader_images=settings.reader_images,
            reader_steps=settings.reader_steps,
        )
        found |= {"sampler": config.sample.sampler, "num_sampling_steps": config.sample.num_steps}
        return {"coverage": found} | none[0], none[1]
    no_coverage = {"coverage": "modes are counted of sprites alone, whose every factor is known"}
    num_images = min(settings.frechet_images, num_test)
    if num_images < 2:
        why = f"evaluate.frechet_images={settings.frechet_images}: nothing was generated"
        keys = (*FRECHET_KEYS, "fid")
        return dict.fromkeys(("coverage", *keys)), no_coverage | dict.fromkeys(keys, why)
    found, why = image_distances(data, {"prior": draw(num_images)}, num_images, **inception_settings(settings))
    return found | {"coverage": None}, why | no_coverage
