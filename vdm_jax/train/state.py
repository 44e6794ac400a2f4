"""The state that a training step changes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from vdm_jax.train.flat import Layout, layout_of, ravel_parts, unravel_parts

Metrics = dict[str, Any]
LossFn = Callable[..., tuple[jax.Array, Metrics]]
"""`loss_fn(params, carry, batch, key, step) -> (loss [B], {name: [B] or []})`. Only `update_carry` sees the
metrics "statistics", a dict of arrays [B, …], and "draws", a dict of arrays that are drawn from the batch."""
UpdateCarry = Callable[[PyTree, Metrics, Any], PyTree]
"""`update_carry(carry, {name: []}, step) -> carry`, from the batch's mean metrics; "statistics" and "draws" are [...]
each, the latter of one micro-batch"""


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
        layout: None; where the parameters, their average and the parts of `opt_state` with the structure of the
            parameters are a vector each, the layout of these vectors.
    """

    step: Any
    params: PyTree
    ema_params: PyTree
    opt_state: PyTree
    carry: PyTree
    skipped: Any
    skipped_in_a_row: Any
    layout: Layout | None = field(default=None, metadata={"static": True})


def init_state(params: PyTree, optimizer: optax.GradientTransformation, carry: PyTree | None = None) -> TrainState:
    """The state before the first step. Copies `params` and `carry`, because a step donates its state."""
    zero = jnp.zeros((), jnp.int32)
    carry = {} if carry is None else carry
    state = TrainState(zero, params, params, optimizer.init(params), carry, zero, zero)
    return jax.tree.map(_own_copy, state)


def _own_copy(leaf: Any) -> jax.Array:
    """A separate buffer, strongly typed like a leaf that comes from a checkpoint."""
    return jnp.array(leaf, dtype=jnp.asarray(leaf).dtype, copy=True)


def as_vectors(state: TrainState) -> TrainState:
    """The same state with a vector in place of each tree of parameters, for steps in few operations.

    Only for an optimizer that treats all numbers alike, or through norms of them all, as AdamW and clipping do. The
    same state where the parameters are of several dtypes.
    """
    layout = layout_of(state.params) if state.layout is None else None
    if layout is None:
        return state
    return replace(state, **_changed(ravel_parts, layout, state), layout=layout)


def as_trees(state: TrainState) -> TrainState:
    """The inverse of `as_vectors`; the same state where it holds trees."""
    if state.layout is None:
        return state
    return replace(state, **_changed(unravel_parts, state.layout, state), layout=None)


def averaged(state: TrainState) -> PyTree:
    """The tree of the averaged parameters."""
    return state.ema_params if state.layout is None else unravel_parts(state.layout, state.ema_params)


def _changed(change: Callable[[Layout, PyTree], PyTree], layout: Layout, state: TrainState) -> dict[str, PyTree]:
    return {name: change(layout, getattr(state, name)) for name in ("params", "ema_params", "opt_state")}
