"""What the training of a denoising autoencoder needs: batches of the subset, and errors of validation images."""

from functools import partial

import jax
import numpy as np
from jaxtyping import Array, Integer, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.progress import bar
from vdm_jax.data.order import batch_indices
from vdm_jax.evals.batches import map_batches
from vdm_jax.experiments.common.training import ModelTraining
from vdm_jax.experiments.dae.build import DaeExperiment
from vdm_jax.models.dae import DenoisingAutoencoder


def make_dae_training(experiment: DaeExperiment, num_devices: int) -> ModelTraining:
    """Batches of the subset, a function of `train.seed` and the step. Where there are fewer images than a batch has,
    each is in it several times, with noise of its own."""
    config, data, model, subset = experiment.config, experiment.data, experiment.model, experiment.subset
    key, size = named_key(jax.random.key(config.train.seed), "levels"), config.train.batch_size
    times = -(-size // len(subset))

    def batch_fn(stored: Array, step) -> dict[str, Array]:
        rows = batch_indices(key, step, times * len(subset), size) % len(subset)
        return {"levels": data.levels_of(stored[rows])}

    held_out = data.validation.first(config.train.eval_images).levels
    settings = {"batch_size": config.evaluate.batch_size, "passes": config.train.eval_passes, "seed": config.train.seed}
    return ModelTraining(
        loss_fn=model.loss_fn,
        data=subset.stored,
        batch_fn=batch_fn,
        num_images=len(subset),
        validate=partial(validate, model=model, levels=held_out, **settings),
        carry={},
    )


def validate(
    params: PyTree,
    *,
    model: DenoisingAutoencoder,
    levels: Integer[np.ndarray, "n h w c"],
    batch_size: int,
    passes: int,
    seed: int,
) -> dict[str, float]:
    """Means over validation images at stratified sigmas, the same in every call; the score is the loss."""
    key, found = named_key(jax.random.key(seed), "validation"), []
    for i in range(passes):
        own = jax.random.fold_in(key, i)
        apply = partial(_errors, model, params, own)
        found.append(map_batches(apply, levels, batch_size, progress=bar("validation"), place=across_devices))
    loss, mse = (float(np.mean(values)) for values in zip(*found, strict=True))
    return {"loss": loss, "mse": mse, "score": loss}


@partial(jax.jit, static_argnums=0)
def _errors(model: DenoisingAutoencoder, params: PyTree, key, levels):
    return model.errors(params, levels, key)
