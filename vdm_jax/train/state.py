"""The state that a training step changes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

Metrics = dict[str, Any]
LossFn = Callable[..., tuple[jax.Array, Metrics]]
"""`loss_fn(params, carry, batch, key, step) -> (loss [B], {name: [B] or []})`"""
UpdateCarry = Callable[[PyTree, Metrics, Any], PyTree]
"""`update_carry(carry, {name: []}, step) -> carry`, from the batch's mean metrics"""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """The state of a training.

    Attributes:
        step: int32 [], number of steps taken.
        params, ema_params: the weights and their exponential moving average.
        opt_state: the state of optax's optimizer.
        carry: values that the loss keeps from step to step; {} for none.
        skipped, skipped_in_a_row: int32 [], number of updates skipped because they were not finite, in all and since
            the last applied update.
    """

    step: Any
    params: PyTree
    ema_params: PyTree
    opt_state: PyTree
    carry: PyTree
    skipped: Any
    skipped_in_a_row: Any


def init_state(params: PyTree, optimizer: optax.GradientTransformation, carry: PyTree | None = None) -> TrainState:
    """The state before the first step. Copies `params` and `carry`, because a step donates its state."""
    zero = jnp.zeros((), jnp.int32)
    carry = {} if carry is None else carry
    state = TrainState(zero, params, params, optimizer.init(params), carry, zero, zero)
    return jax.tree.map(_own_copy, state)


def _own_copy(leaf: Any) -> jax.Array:
    """A separate buffer, strongly typed like a leaf that comes from a checkpoint."""
    return jnp.array(leaf, dtype=jnp.asarray(leaf).dtype, copy=True)
