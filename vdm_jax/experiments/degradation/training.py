"""What the training of a restoration needs: batches of images, and their error on validation images."""

from functools import partial

import jax
import numpy as np
from jaxtyping import Num, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.progress import bar
from vdm_jax.data.order import batch_indices
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.experiments.common.training import ModelTraining
from vdm_jax.experiments.degradation.build import RestorationExperiment
from vdm_jax.models.degradation import RestorationModel


def make_restoration_training(experiment: RestorationExperiment, num_devices: int) -> ModelTraining:
    """Batches of training images, rendered in the compiled step where the data set stores indices."""
    config, data, model = experiment.config, experiment.data, experiment.model
    key = named_key(jax.random.key(config.train.seed), "levels")

    def batch_fn(stored, step):
        rows = batch_indices(key, step, len(stored["levels"]), config.train.batch_size)
        return {"levels": data.levels_of(stored["levels"][rows])}

    levels = data.validation.first(config.train.eval_images).levels
    return ModelTraining(
        loss_fn=model.loss_fn,
        data={"levels": data.train.stored},
        batch_fn=batch_fn,
        num_images=len(data.train),
        validate=partial(validate, model=model, config=config, levels=levels),
    )


def validate(
    params: PyTree, *, model: RestorationModel, config: ConfigDict, levels: Num[np.ndarray, "n ..."]
) -> dict[str, float]:
    """Means over validation images with the averaged weights; the score is the loss."""
    estimate = evaluate_bound(
        model.terms,
        params,
        {"levels": levels},
        passes=config.train.eval_passes,
        batch_size=config.evaluate.batch_size,
        key=named_key(jax.random.key(config.train.seed), "validation"),
        progress=bar("validation"),
        place=across_devices,
    )
    means = {name: float(value) for name, value in estimate.mean.items()}
    return means | {"score": means["loss"]}
