"""Everything a training step changes, and nothing else."""

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
    """step: int32 [], steps taken; params, ema_params: the weights and their average; opt_state: optax's;
    carry: what the loss remembers from step to step ({} for nothing); skipped, skipped_in_a_row: int32 [], updates left
    out because they were not finite, in all and since the last good one."""

    step: Any
    params: PyTree
    ema_params: PyTree
    opt_state: PyTree
    carry: PyTree
    skipped: Any
    skipped_in_a_row: Any


def init_state(params: PyTree, optimizer: optax.GradientTransformation, carry: PyTree | None = None) -> TrainState:
    """The state before the first step. Copies `params` and `carry`: a step donates its state, and the caller's stay."""
    zero = jnp.zeros((), jnp.int32)
    carry = {} if carry is None else carry
    state = TrainState(zero, params, params, optimizer.init(params), carry, zero, zero)
    return jax.tree.map(_own_copy, state)


def _own_copy(leaf: Any) -> jax.Array:
    """A buffer of its own, strongly typed as it will come back from a checkpoint."""
    return jnp.array(leaf, dtype=jnp.asarray(leaf).dtype, copy=True)
