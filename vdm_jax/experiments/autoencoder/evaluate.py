"""The evaluation job of an autoencoder: reconstruction and bound on test images."""

import pathlib
from typing import Any

import jax

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.progress import bar
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.experiments.autoencoder.build import AutoencoderExperiment
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.evaluate import about, save, say


def evaluate(experiment: AutoencoderExperiment, workdir: pathlib.Path) -> str:
    """Writes `evaluate.json`; returns "done"."""
    config, data, model = experiment.config, experiment.data, experiment.model
    weights = load_weights(workdir, model, config)
    split = data.test.first(config.evaluate.num_images)
    say(f"step {weights.step}, {weights.kind} weights, {len(split):,} test images")
    estimate = evaluate_bound(
        model.terms,
        weights.params,
        {"levels": split.levels} | ({"labels": split.labels} if model.num_classes else {}),
        passes=config.evaluate.passes if model.code == "gaussian" else 1,
        batch_size=config.evaluate.batch_size,
        key=named_key(jax.random.key(config.evaluate.seed), "bound"),
        progress=bar("evaluate: bound"),
        place=across_devices,
    )
    num_latents = 1
    for side in model.latent_shape:
        num_latents *= side
    names = {
        "reconstruction_sum": ("squared_error_of_mean", 1.0),
        "reconstruction_per_pixel": ("squared_error_of_mean", 1 / model.num_dims),
        "negative_log_likelihood": ("distortion", 1.0),
        "bound_nats": ("bound", 1.0),
        "rate_nats": ("rate", 1.0),
        "rate_per_dim": ("rate", 1 / num_latents),
    }
    values: dict[str, Any] = {"num_images": estimate.num_images, "num_latents": num_latents}
    for name, (term, scale) in names.items():
        found = term in estimate.mean
        values[name] = scale * float(estimate.mean[term]) if found else None
        values[f"{name}_standard_error"] = scale * float(estimate.standard_error[term]) if found else None
    reasons = {name: model.no_bound or "not defined" for name in names if values[name] is None}
    record = about(config, data.fingerprint, weights, model.describe_objective(), reasons)
    save(workdir, values | record, {})
    return "done"
