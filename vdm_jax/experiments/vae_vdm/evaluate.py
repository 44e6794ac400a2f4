"""The evaluation job: everything that is measured on the test split, at one checkpoint."""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from vdm_jax.base.files import write_json, write_npz
from vdm_jax.base.keys import named_key
from vdm_jax.base.provenance import provenance
from vdm_jax.evals.representations import why_unread
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import Weights, initial_params, load_weights
from vdm_jax.experiments.common.pictures import measure_images
from vdm_jax.experiments.vae_vdm import codes
from vdm_jax.experiments.vae_vdm.bound import FOREIGN_KEYS, measure_bound, measure_curves, with_codes
from vdm_jax.launch import store as workdirs

RATE_KEYS = ("encoder_kl_nats", "encoder_kl_bpd")


def evaluate(experiment: Experiment, workdir: pathlib.Path) -> str:
    """Writes `evaluate_curves.npz`, `evaluate_images.npz` (D + R and the curve of each image, for differences between
    runs), `embeddings.npz` and `evaluate.json`, all at the end; returns "done".

    A function of checkpoint, config and data: another process finds the same numbers.
    """
    config, data, model = experiment.config, experiment.data, experiment.model
    weights = load_weights(workdir, model, config)
    levels = data.test.levels[: config.evaluate.num_images or None]
    say(f"step {weights.step}, {weights.kind} weights, {len(levels):,} test images")
    key = jax.random.key(config.evaluate.seed)
    params, batch_size = weights.params, config.evaluate.batch_size
    images = with_codes(model, params, levels, named_key(key, "others"), batch_size)
    values, bounds = measure_bound(model, params, images, named_key(key, "bound"), config.evaluate)
    curves, by_image = measure_curves(model, params, images, named_key(key, "curve"), config.evaluate)
    say("generating images and scoring them")
    scores, reasons = measure_images(experiment, params, images, named_key(key, "images"))
    say("reading the code")
    read, unread, pictures = read_codes(experiment, params, images)
    values |= scores | read
    reasons |= unread
    if model.encoder is None:
        values |= dict.fromkeys(RATE_KEYS + FOREIGN_KEYS)
        reasons |= dict.fromkeys(RATE_KEYS + FOREIGN_KEYS, codes.UNCONDITIONAL)
    each = {"bound_nats": bounds.astype(np.float32), "own": by_image.astype(np.float32)}
    arrays = {"evaluate_curves.npz": curves, "evaluate_images.npz": each, "embeddings.npz": pictures}
    save(workdir, values | about(experiment, weights, model.objective(), reasons), arrays)
    return "done"


def save(workdir: pathlib.Path, record: dict[str, Any], arrays: Mapping[str, Mapping[str, np.ndarray] | None]) -> None:
    """Writes `evaluate.json`, and before it `arrays` by the name of their file, none where there are none.

    The record of the evaluation before goes first: killed in between, no record stands beside arrays of another one.
    """
    (workdir / "evaluate.json").unlink(missing_ok=True)
    for name, found in arrays.items():
        if found is None:
            (workdir / name).unlink(missing_ok=True)
        else:
            write_npz(workdir / name, found)
    write_json(workdir / "evaluate.json", record)


def about(experiment: Experiment, weights: Weights, objective: str, reasons: dict[str, str]) -> dict[str, Any]:
    """What stands beside the numbers of every kind: which weights of what training on which data, and why some lack."""
    config = experiment.config
    origin = {"config": config.name, "seed": config.train.seed, "data": experiment.data.fingerprint}
    return {
        "checkpoint_step": weights.step,
        "weights": weights.kind,
        "objective": objective,
        "settings": workdirs.plain(config),
        "provenance": provenance() | origin,
        "reasons": reasons,
    }


def read_codes(
    experiment: Experiment, params: PyTree, images: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, str], dict[str, np.ndarray] | None]:
    """What the code holds, the reasons of what is missing, and its pictures; none without a code."""
    config, data, model = experiment.config, experiment.data, experiment.model
    keys = codes.CODE_KEYS + codes.PROBE_KEYS
    if model.encoder is None:
        return dict.fromkeys(keys), dict.fromkeys(keys, codes.UNCONDITIONAL), None
    untrained = initial_params(model, config)
    pictures = codes.embeddings(model, params, untrained, data, config)
    key = named_key(jax.random.key(config.evaluate.seed), "information")
    train = codes.first(data.train, config.evaluate.probe_images)
    read = codes.encode_all(model, params, train.levels, config.evaluate.batch_size)
    found = codes.information(key, images["mu"], images["logvar"], *read)
    if reason := why_unread(train.labels):
        return found | dict.fromkeys(codes.PROBE_KEYS), dict.fromkeys(codes.PROBE_KEYS, reason), pictures
    return found | codes.probes(experiment, params, untrained), {}, pictures


def say(what: str) -> None:
    print(f"evaluate: {what}", flush=True)
