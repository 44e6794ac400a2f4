"""The job samplers: one network sampled in many ways, and how near the laws of these samples are.

samplers.json has "samplers": {name: {"evaluations" of the network, "frechet" to the training images, "pixels" to
samples of the reference, "beyond", what "pixels" is above the reference's own, "not_a_sprite"}}, each number {"value",
"standard_error"} over the evaluation seeds, "beyond" also "interval"; and "reference", the first name, whose "pixels"
is the floor: the distance of two draws of it. samplers.npz has the first images of each sampler, in that order, of the
first seed, "images" [S, N, H, W, C]: those of a column start from the same noise.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Integer
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json, write_npz
from vdm_jax.base.images import levels_to_bytes
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.base.provenance import provenance
from vdm_jax.base.statistics import mean_and_error, paired_difference
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.score_matching.langevin import method_of
from vdm_jax.evals.frechet import distance_from
from vdm_jax.evals.latents.samples import score_sets
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.launch.settings import plain
from vdm_jax.models.generate import generate

SAMPLINGS, PICTURES = "samplers.json", "samplers.npz"
SHOWN = 12  # images of each sampler that are stored
OF_READER = ("sprite_tolerance", "reader_images", "reader_steps")
OF_SAMPLE = ("num_steps", "grid", "clip", "batch_size")
Images = Mapping[tuple[int, str], Integer[np.ndarray, "n h w c"]]


def compare_samplers(experiment: Experiment, workdir: pathlib.Path) -> str:
    """Writes `samplers.npz` and `samplers.json`; returns "done". All samplers of a seed start from the same noise."""
    config, data, model = experiment.config, experiment.data, experiment.model
    settings, names = config.samplers, methods_of(config.samplers.methods)
    if not names:
        print("samplers: config.samplers.methods is empty: nothing is sampled", flush=True)
        return "done"
    weights = load_weights(workdir, model, config)
    key = named_key(jax.random.key(settings.seed), "samplers")
    print(f"samplers: step {weights.step}, {weights.kind} weights, {len(names)} samplers", flush=True)
    every = [(seed, name) for seed in range(settings.num_seeds) for name in names]
    every += [(settings.num_seeds, names[0])]  # a further draw of the reference
    own = {name: config.sample[name] for name in OF_SAMPLE} | {"dtype": data.test.levels.dtype}
    images = {}
    for i in bar("samplers: samples")(range(len(every))):
        seed, name = every[i]
        of_seed = jax.random.fold_in(key, seed)
        images[every[i]] = generate(model, weights.params, of_seed, settings.num_images, sampler=name, **own)
    shown = np.stack([images[0, name][:SHOWN] for name in names])
    write_npz(workdir / PICTURES, {"images": levels_to_bytes(shown, data.num_levels)})
    record = scored(images, names, data, settings, config) | {"reference": names[0]}
    for name, row in record["samplers"].items():
        row["evaluations"] = evaluations_of(name, config.sample.num_steps)
    record |= {"num_images": settings.num_images, "num_seeds": settings.num_seeds}
    record |= {"checkpoint_step": weights.step, "weights": weights.kind, "settings": plain(config)}
    origin = {"config": config.name, "seed": settings.seed, "data": data.fingerprint}
    write_json(workdir / SAMPLINGS, record | {"provenance": provenance() | origin})
    return "done"


def scored(images: Images, names: list[str], data: Dataset, settings: ConfigDict, config: ConfigDict) -> dict[str, Any]:
    """{"samplers", "reasons", "frechet", the floor and the network of the distances to the data}."""
    seeds = range(settings.num_seeds)
    sets = {f"{name} {seed}": levels for (seed, name), levels in images.items()}
    scores, why = score_sets(
        data,
        lambda number: {name: levels[:number] for name, levels in sets.items()},
        num_images=settings.num_images,
        **coverage_settings(config, data),
    )
    pixels = {name: pixel_distances(images, name, names[0], settings.num_seeds, data.pixel_values) for name in names}
    rows: dict[str, dict[str, Any]] = {}
    for name in names:
        found = [scores.get(f"{name} {seed}") for seed in seeds]
        rows[name] = {"frechet": None, "pixels": over_seeds(pixels[name])}
        if name != names[0]:
            rows[name]["beyond"] = beyond(pixels[name], pixels[names[0]])
        if all(found):
            rows[name]["frechet"] = over_seeds([each["frechet"]["distance"] for each in found])
            if found[0]["coverage"]:
                rows[name]["not_a_sprite"] = over_seeds([each["coverage"]["not_a_sprite"] for each in found])
    record: dict[str, Any] = {"samplers": rows, "reasons": why}
    if scores:
        record["frechet"] = scores[f"{names[0]} 0"]["frechet"] | {"distance": None}
    return record


def coverage_settings(config: ConfigDict, data: Dataset) -> dict[str, Any]:
    """The settings of `score_sets` for sprites; {} for other data."""
    return {name: config.evaluate[name] for name in OF_READER} if data.grid is not None else {}


def methods_of(text: str) -> list[str]:
    """The samplers of a list, each a name of `method_of`. Raises `UserError`."""
    names = [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        method_of(name, "config.samplers.methods: sampler")
    if len(set(names)) < len(names):
        raise UserError(f"config.samplers.methods={text!r} names a sampler twice")
    return names


def evaluations_of(name: str, num_steps: int) -> int:
    """How often the network is evaluated for an image."""
    return num_steps * getattr(method_of(name), "repeats", 1)


def pixel_distances(images: Images, name: str, reference: str, num_seeds: int, pixel_values: np.ndarray) -> list[float]:
    """For each seed the Fréchet distance of pixel values between a sampler's images and the reference's of the next
    seed, which have other noise; of the reference itself that is the floor."""
    found = []
    for seed in range(num_seeds):
        own, other = (
            np.asarray(pixel_values, np.float64)[levels].reshape(len(levels), -1)
            for levels in (images[seed, name], images[seed + 1, reference])
        )
        found.append(distance_from(other)(own))
    return found


def beyond(distances: list[float], floors: list[float]) -> dict[str, Any]:
    """By how much distances exceed the floors of the same seeds; "interval" of 95% where there are enough seeds."""
    found = paired_difference(np.asarray(distances), np.asarray(floors), "seeds")
    error = float(found.error) if len(distances) > 1 else None
    interval = None if found.interval is None else [float(end) for end in found.interval]
    return {"value": float(found.mean), "standard_error": error, "interval": interval}


def over_seeds(values: list[float]) -> dict[str, float | None]:
    """The mean over the evaluation seeds, and its standard error; None of one seed."""
    if len(values) == 1:
        return {"value": float(values[0]), "standard_error": None}
    found = mean_and_error(np.asarray(values, np.float64), "seeds")
    return {"value": float(found.mean), "standard_error": float(found.error)}


def samplers_summary(record: Mapping[str, Any]) -> str:
    """What a launch ends with: a line for each sampler."""
    lines = []
    for name, row in record["samplers"].items():
        parts = [f"{row['evaluations']} evaluations"]
        if row["frechet"]:
            parts.append(f"Fréchet {row['frechet']['value']:.3g}")
        floor = "of two draws of it" if name == record["reference"] else f"from {record['reference']}"
        lines.append(f"{name:<24} {', '.join(parts)}, pixels {row['pixels']['value']:.3g} {floor}")
    return "\n".join(lines)
