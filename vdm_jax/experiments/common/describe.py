"""What `--dry_run` says of a training: parameters, memory and work, from shapes alone. Nothing is compiled."""

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from vdm_jax.base.pytrees import num_parameters
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.training import make_training

COPIES = 5  # of the parameters: themselves, their average, two moments of Adam, the gradient
UNITS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def describe_model(experiment: Experiment) -> Iterator[str]:
    """The parameters by part, the memory and the work of the training."""
    config, model, num_devices = experiment.config.train, experiment.model, jax.device_count()
    params = jax.eval_shape(model.init, jax.random.key(0))
    parts = ", ".join(f"{name} {num_parameters(part):,}" for name, part in params.items())
    yield f"parameters: {num_parameters(params):,} ({parts})"
    training = make_training(experiment, num_devices)
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
    """The floating-point operations of `function`, as XLA counts them in the program before it is compiled."""
    return jax.jit(function).lower(*shapes).cost_analysis().get("flops", math.nan)


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
