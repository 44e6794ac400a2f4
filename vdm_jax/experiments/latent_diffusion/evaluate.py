"""The evaluation job of a latent diffusion model: loss and bound of the latents of test images."""

import pathlib

import jax

from vdm_jax.base.keys import named_key
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.evaluate import about, measure_loss, save, say
from vdm_jax.experiments.latent_diffusion.build import LatentExperiment
from vdm_jax.experiments.latent_diffusion.latents import latents_of


def evaluate_latents(experiment: LatentExperiment, workdir: pathlib.Path) -> str:
    """Writes `evaluate.json`; returns "done". The loss, and the bound on -log p(x) of latents x of test images."""
    config, data, model, space = experiment.config, experiment.data, experiment.model, experiment.space
    weights = load_weights(workdir, model, config)
    key = jax.random.key(config.evaluate.seed)
    x = latents_of(space, data, "test", config.evaluate.num_images, named_key(key, "test"))
    say(f"step {weights.step}, {weights.kind} weights, {len(x):,} test images")
    values, reasons = measure_loss(model, weights.params, x, named_key(key, "bound"), config.evaluate)
    record = about(config, data.fingerprint, weights, model.describe_objective(), reasons)
    save(workdir, values | {"space": space.about} | record, {})
    return "done"
