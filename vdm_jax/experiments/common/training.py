"""What the training job needs of a diffusion model of either kind: its loss, its batches, its validation."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Integer, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.progress import bar
from vdm_jax.data.order import batch_indices
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.evals.information import active_units
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.codes import encode_all
from vdm_jax.models.diffusion import DiffusionModel
from vdm_jax.train.state import LossFn, UpdateCarry


class ModelTraining(NamedTuple):
    """What a training needs: loss, batches, scores."""

    loss_fn: LossFn
    data: PyTree  # arrays that batches are gathered from, on every device
    batch_fn: Callable[[PyTree, Any], PyTree]  # (data, step) -> batch: a function of seed and step
    num_images: int
    validate: Callable[[PyTree], dict[str, float]]  # of averaged weights; with "score", lower is better
    carry: PyTree = None  # what the loss remembers from step to step
    update_carry: UpdateCarry | None = None


def make_training(experiment: Experiment, num_devices: int) -> ModelTraining:
    """Batches of training images, rendered in the compiled step where the data set stores indices.

    Where the rate mode holds a target, a batch also has validation images ("held_out"), whose KL steers the multiplier.
    """
    config, data, model = experiment.config, experiment.data, experiment.model
    key = jax.random.key(config.train.seed)
    stored, sizes = {"levels": data.train.stored}, {"levels": config.train.batch_size}
    if model.code is not None and model.code.rate.steered_by_held_out:
        parts = config.train.accumulate * num_devices
        stored["held_out"] = data.validation.stored
        sizes["held_out"] = parts * max(1, min(config.train.batch_size, len(data.validation)) // parts)

    def batch_fn(splits, step):
        def take(name, size):
            rows = splits[name][batch_indices(named_key(key, name), step, len(splits[name]), size)]
            return data.levels_of(rows)

        return {name: take(name, size) for name, size in sizes.items()}

    levels = data.validation.first(config.train.eval_images).levels
    return ModelTraining(
        loss_fn=model.loss_fn,
        data=stored,
        batch_fn=batch_fn,
        num_images=len(data.train),
        validate=partial(validate, model=model, config=config, levels=levels),
        carry=model.init_carry(),
        update_carry=None if model.code is None else model.update_carry,
    )


def validate(
    params: PyTree, *, model: DiffusionModel, config: ConfigDict, levels: Integer[np.ndarray, "n h w c"]
) -> dict[str, float]:
    """Means over validation images with the averaged weights, and the score by which a checkpoint is the best: that of
    the rate mode, the bound without a code, or DDPM's loss."""
    images, found = {"levels": levels}, {}
    if model.code is not None:
        mu, logvar = encode_all(model, params, levels, config.evaluate.batch_size)
        images |= {"mu": mu, "logvar": logvar}
        found["active_units"] = active_units(mu)
    estimate = evaluate_bound(
        model.terms,
        params,
        images,
        passes=config.train.eval_passes,
        batch_size=config.evaluate.batch_size,
        key=named_key(jax.random.key(config.train.seed), "validation"),
        progress=bar("validation"),
        place=across_devices,
    )
    means = {name: float(value) for name, value in estimate.mean.items()}
    return means | found | {"score": _score(model, means)}


def _score(model: DiffusionModel, means: dict[str, float]) -> float:
    if model.code is not None:
        return model.code.rate.select(means["distortion"], means["rate"])
    return means["bound"] if model.objective.loss == "bound" else means["loss"]
