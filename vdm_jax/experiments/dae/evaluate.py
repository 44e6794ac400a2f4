"""The evaluation job of a denoising autoencoder: errors of x_hat by noise level, on images it knows and on others."""

import pathlib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.statistics import standard_error
from vdm_jax.evals.batches import map_batches
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.evaluate import about, save, say
from vdm_jax.experiments.dae.build import DaeExperiment
from vdm_jax.experiments.dae.checks import numbers_of
from vdm_jax.experiments.dae.denoisers import Known, Pixels, images_of, known_daes, noisy
from vdm_jax.models.dae import Dae


def evaluate_dae(experiment: DaeExperiment, workdir: pathlib.Path) -> str:
    """Writes `evaluate.json`; returns "done". The same noise for every DAE and at every sigma."""
    config, model = experiment.config, experiment.model
    weights = load_weights(workdir, model, config)
    train, test = images_of(experiment)
    sigmas = numbers_of(config.evaluate.sigmas, "evaluate.sigmas")
    say(f"step {weights.step}, {weights.kind} weights, {len(train):,} training and {len(test):,} test images")
    daes, key = known_daes(model, weights.params, train), jax.random.key(config.evaluate.seed)
    sets = {"train": train[: config.evaluate.num_images or None], "test": test}
    errors = {
        name: errors_by_sigma(daes, images, sigmas, named_key(key, name), config.evaluate.batch_size)
        for name, images in sets.items()
    }
    values = {
        "sigmas": sigmas,
        "errors": errors,
        "num_images": {name: len(images) for name, images in sets.items()},
        "num_known": len(train),
        "variance": float(train.var(0).mean()),  # the error of predicting the mean image, of the images of the subset
    }
    record = about(config, experiment.data.fingerprint, weights, model.describe_objective(), {})
    save(workdir, values | record, {})
    return "done"


def errors_by_sigma(
    daes: dict[str, Known], images: Pixels, sigmas: list[float], key: Any, batch_size: int
) -> dict[str, dict[str, list[float | None]]]:
    """{DAE: {"mse": mean over images of ||x - DAE(x + sigma eps)||²/D by sigma, "mse_standard_error": …}}; None at a
    sigma that it is not made for. It is also the error of the predicted noise, of deviation sigma."""
    found = {}
    for name, known in daes.items():
        apply, means, errors = partial(squared_error, known.dae), [], []
        for sigma in sigmas:
            if not known.takes(sigma):
                means.append(None)
                errors.append(None)
                continue
            pairs = np.stack([images, noisy(key, images, sigma)], axis=1)
            error = map_batches(
                partial(apply, sigma=np.float32(sigma)), pairs, batch_size, place=across_devices, whole=True
            )
            means.append(float(error.mean()))
            errors.append(standard_error(error))
        found[name] = {"mse": means, "mse_standard_error": errors}
    return found


@jax.jit
def squared_error(dae: Dae, pairs: Float[Any, "b 2 ..."], sigma: Any) -> Float[jax.Array, " b"]:
    """||x - DAE(noisy x)||²/D of pairs (x, noisy x)."""
    left = pairs[:, 0] - dae(pairs[:, 1], sigma)
    return jnp.mean(left.reshape(len(pairs), -1) ** 2, axis=1)


def dae_summary(values: dict[str, Any]) -> str:
    """A line for each of three noise levels: errors on test images, and in brackets on training images."""
    sigmas, lines = values["sigmas"], []
    for i in sorted({0, len(sigmas) // 2, len(sigmas) - 1}):
        shown = []
        for name, row in values["errors"]["test"].items():
            if row["mse"][i] is not None:
                shown.append(f"{name} {row['mse'][i]:.4f} ({values['errors']['train'][name]['mse'][i]:.4f})")
        lines.append(f"sigma {sigmas[i]:<5g} squared error a pixel of test (training) images: {', '.join(shown)}")
    return "\n".join(lines)
