"""The evaluation job: R after D, chains of N steps, and sets of generated images by method and start.

evaluate.json has "restoration" and "chains" (`restoration.py`), and "sets": {METHOD:STEPS:START: {"diversity"
(`diversity.py`), "coverage" of sprites, "frechet"}}.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Integer, Key, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.evals.latents.samples import score_sets
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.evaluate import about, save, say
from vdm_jax.experiments.common.functions import nearest_levels
from vdm_jax.experiments.degradation.build import RestorationExperiment, mean_image
from vdm_jax.experiments.degradation.diversity import diversity
from vdm_jax.experiments.degradation.generate import generate_restored
from vdm_jax.experiments.degradation.restoration import restoration_by_steps, restoration_by_time
from vdm_jax.experiments.degradation.samplings import DATA, generations_of
from vdm_jax.experiments.degradation.starts import make_starts

Levels = Integer[np.ndarray, "n h w c"]
NOTHING = "config.evaluate.samplings is empty, or there are fewer than 2 images to generate"


def evaluate_degradation(experiment: RestorationExperiment, workdir: pathlib.Path) -> str:
    """Writes `evaluate.json`; returns "done". All sets have the same keys: image i of two sets has the same noise."""
    config, data, model = experiment.config, experiment.data, experiment.model
    settings = config.evaluate
    weights = load_weights(workdir, model, config)
    levels = data.test.first(settings.num_images).levels
    x, key = data.pixel_values[levels], jax.random.key(settings.seed)
    say(f"step {weights.step}, {weights.kind} weights, {len(levels):,} test images")
    estimate = evaluate_bound(
        model.terms,
        weights.params,
        {"levels": levels},
        passes=1,
        batch_size=settings.batch_size,
        key=named_key(key, "loss"),
        progress=bar("evaluate: loss"),
    )
    values: dict[str, Any] = {"loss": float(estimate.mean["loss"]), "num_images": len(levels)}
    values["loss_standard_error"] = float(estimate.standard_error["loss"])
    common = {"batch_size": settings.batch_size}
    values["restoration"] = restoration_by_time(
        model,
        weights.params,
        x,
        mean_image(data),
        key,
        num_times=settings.num_times,
        progress=bar("evaluate: restoration"),
        **common,
    )
    values["chains"] = restoration_by_steps(
        model,
        weights.params,
        x,
        key,
        numbers=settings.chain_steps,
        progress=bar("evaluate: chains"),
        **common,
    )
    sets, reasons = measure_sets(experiment, weights.params, named_key(key, "sets"))
    record = about(config, data.fingerprint, weights, model.describe_objective(), reasons)
    save(workdir, values | {"sets": sets} | record, {})
    return "done"


def measure_sets(
    experiment: RestorationExperiment, params: PyTree, key: Key[Array, ""]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The scores of each set of `config.evaluate.samplings`, and why some are missing."""
    config, data, model = experiment.config, experiment.data, experiment.model
    settings, chain = config.evaluate, config.degradation
    most = len(data.test) if data.grid is None else len(data.train)  # as many real images there are to compare with
    number = min(settings.frechet_images if data.grid is None else settings.coverage_images, most)
    ways = generations_of(settings.samplings, "config.evaluate.samplings", chain.num_steps, chain.noise)
    if number < 2 or not ways:
        return {}, {"sets": NOTHING}
    fitting = {"mixture_components": config.start.mixture_components, "fitted_images": config.start.fitted_images}
    starts = make_starts({way.start for way in ways.values()}, data, model.process, seed=settings.seed, **fitting)
    made: dict[str, Levels] = {}
    for text, way in ways.items():
        progress = {"progress": bar(f"evaluate: {text}"), "batch_size": settings.batch_size}
        own = min(number, len(data.test)) if way.start == DATA else number
        batches = generate_restored(model, params, key, own, way, starts[way.start], **progress)
        made[text] = nearest_levels(np.concatenate([pixels for pixels, _ in batches]), data)
    of_sprites = ("sprite_tolerance", "reader_images", "reader_steps") if data.grid is not None else ()
    reading = {name: settings[name] for name in of_sprites}
    scores, why = score_sets(data, lambda _: made, num_images=number, **reading)
    real, others = data.test.first(number).levels, data.train.first(number).levels
    rows = {
        text: {"coverage": None, "frechet": None}
        | scores.get(text, {})
        | {"diversity": diversity(images, real, others, data.num_levels), "num_images": len(images)}
        for text, images in made.items()
    }
    return rows, why


def degradation_summary(record: Mapping[str, Any]) -> str:
    """What a launch ends with: the restoration at both ends, and a line for each set."""
    by_time, lines = record["restoration"], []
    lines.append(f"loss        {record['loss']:.5f} ± {record['loss_standard_error']:.5f}")
    ends = (f"{by_time['restored'][i]:.3f} at t = {by_time['times'][i]:g}" for i in (0, -1))
    lines.append(f"restored    RMS {', '.join(ends)} (the mean image {by_time['mean_image']:.3f})")
    for text, row in record["sets"].items():
        parts = [f"distinct {row['diversity']['distinct']:.3f}", f"covered {row['diversity']['covered']:.3f}"]
        if row["coverage"]:
            parts.append(f"no sprite {row['coverage']['not_a_sprite']:.3f}")
        if row["frechet"]:
            parts.append(f"Fréchet {row['frechet']['distance']:.3g}")
        lines.append(f"{text:<24} {', '.join(parts)}")
    return "\n".join(lines)
