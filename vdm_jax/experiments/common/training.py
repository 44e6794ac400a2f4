"""What the training job needs of a diffusion model of either kind: its loss, batches and validation; what it costs."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Num, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.progress import bar
from vdm_jax.base.pytrees import num_parameters
from vdm_jax.data.order import batch_indices
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.evals.information import active_units
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.codes import encode_all
from vdm_jax.models.diffusion import DiffusionModel
from vdm_jax.train.state import LossFn, UpdateCarry

COPIES = 5  # of the parameters: themselves, their average, two moments of Adam, the gradient
UNITS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


class ModelTraining(NamedTuple):
    """What a training needs: loss, batches, scores."""

    loss_fn: LossFn
    data: PyTree  # arrays that batches are gathered from, on every device
    batch_fn: Callable[[PyTree, Any], PyTree]  # (data, step) -> batch: a function of seed and step
    num_images: int
    validate: Callable[[PyTree], dict[str, float]]  # of averaged weights; with "score", lower is better
    carry: PyTree = None  # what the loss remembers from step to step
    update_carry: UpdateCarry | None = None
    complete: Callable[[PyTree, PyTree], PyTree] = lambda params, carry: params  # what `validate` takes, with the carry


def make_training(experiment: Experiment, num_devices: int) -> ModelTraining:
    """Batches of training images, rendered in the compiled step where the data set stores indices.

    Where the rate mode holds a target, a batch also has validation images ("held_out"), whose KL steers the multiplier.
    """
    config, data, model = experiment.config, experiment.data, experiment.model
    key = jax.random.key(config.train.seed)
    stored, sizes = {"levels": data.train.stored}, {"levels": config.train.batch_size}
    labels = {"labels": jnp.asarray(data.train.labels)} if model.num_labels else {}
    if model.code is not None and model.code.rate.steered_by_held_out:
        parts = config.train.accumulate * num_devices
        stored["held_out"] = data.validation.stored
        sizes["held_out"] = parts * max(1, min(config.train.batch_size, len(data.validation)) // parts)

    def batch_fn(splits, step):
        def indices(name):
            return batch_indices(named_key(key, name), step, len(splits[name]), sizes[name])

        batch = {name: data.levels_of(splits[name][indices(name)]) for name in sizes}
        return batch | {name: splits[name][indices("levels")] for name in labels}

    shown = data.validation.first(config.train.eval_images)
    return ModelTraining(
        loss_fn=model.loss_fn,
        data=stored | labels,
        batch_fn=batch_fn,
        num_images=len(data.train),
        validate=partial(validate, model=model, config=config, levels=shown.levels, labels=shown.labels),
        carry=model.init_carry(),
        update_carry=None if model.code is None else model.update_carry,
    )


def validate(
    params: PyTree,
    *,
    model: DiffusionModel,
    config: ConfigDict,
    levels: Num[np.ndarray, "n ..."],
    labels: Int[np.ndarray, " n"] | None = None,
) -> dict[str, float]:
    """Means over validation images with the averaged weights, and the score by which a checkpoint is the best: that of
    the rate mode, the bound without a code, or DDPM's loss. levels: the images as a batch of training holds them.
    labels: for a model that reads them."""
    images, found = {"levels": levels} | ({"labels": labels} if model.num_labels else {}), {}
    if model.has_moments:
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
    return means | found | {"score": model.select(means)}


def describe_model(
    experiment: Experiment, make: Callable[[Experiment, int], ModelTraining] = make_training
) -> Iterator[str]:
    """The parameters by part, the memory and the work of the training. make: as in `common/train.py: train`."""
    params = jax.eval_shape(experiment.model.init, jax.random.key(0))
    yield from describe_training(make(experiment, jax.device_count()), params, experiment.config.train)


def describe_training(training: ModelTraining, params: PyTree, config: ConfigDict) -> Iterator[str]:
    """The lines of `describe_model`. params: their shapes. config: `config.train`."""
    num_devices = jax.device_count()
    parts = ", ".join(f"{name} {num_parameters(part):,}" for name, part in params.items())
    yield f"parameters: {num_parameters(params):,} ({parts})"
    batch = jax.eval_shape(training.batch_fn, training.data, jax.ShapeDtypeStruct((), jnp.int32))

    def mean_loss(params, batch, key):
        loss, _ = training.loss_fn(params, training.carry, batch, key, jnp.int32(0))
        return loss.mean()

    key = jax.eval_shape(lambda: jax.random.key(0))
    parts_of_batch = config.accumulate * num_devices
    micro = jax.tree.map(lambda leaf: _first(leaf, parts_of_batch), batch)
    residuals = jax.eval_shape(lambda params, batch, key: jax.vjp(mean_loss, params, batch, key)[1], params, micro, key)
    data, state = num_bytes(training.data), COPIES * num_bytes(params)
    yield (
        f"memory of the training on each device: {in_units(data)}B of data, {in_units(state)}B of parameters, average, "
        f"moments and gradient, and up to {in_units(num_bytes(residuals))}B of activations for "
        f"{-(-config.batch_size // parts_of_batch):,} images"
    )
    flops = count_flops(jax.value_and_grad(mean_loss), params, batch, key)
    yield (
        f"work of the training: {in_units(flops)}FLOP a step of {config.batch_size:,} images, "
        f"{in_units(flops * config.num_steps)}FLOP in {config.num_steps:,} steps"
    )


def count_flops(function, *shapes: PyTree) -> float:
    """The floating-point operations of `function`, as XLA counts them in the program before it is compiled; nan on
    a back end that does not count."""
    return (jax.jit(function).lower(*shapes).cost_analysis() or {}).get("flops", math.nan)


def num_bytes(tree: PyTree) -> int:
    """The bytes of all leaves, arrays or shapes."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)


def in_units(number: float | int) -> str:
    """ "4.5 G" of 4.5e9."""
    for size, unit in UNITS:
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g} "


def _first(leaf: jax.ShapeDtypeStruct, parts: int) -> jax.ShapeDtypeStruct:
    """The shape of one of `parts` parts of a batch."""
    return jax.ShapeDtypeStruct((-(-leaf.shape[0] // parts), *leaf.shape[1:]), leaf.dtype)
