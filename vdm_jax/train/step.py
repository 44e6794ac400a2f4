"""One training step: gradients of the mean loss, an update that is skipped if it is not finite, averages of the
weights, and the carry of the loss."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.base.mesh import DATA, replicated, split_over_data
from vdm_jax.train.state import LossFn, Metrics, TrainState, UpdateCarry

STATISTICS = "statistics"  # a metric of [B, …] arrays, averaged over the batch for `update_carry` alone
DRAWS = "draws"  # a metric of [...] arrays drawn from the batch, for `update_carry` alone: not averaged


def ema_rate(num_updates: Int[Array, ""], ema_decay: float, warmup: bool = True) -> Float[Array, ""]:
    """`1 - min(ema_decay, (1 + n) / (10 + n))` after n updates. Early averages forget the random start quickly.

    Without `warmup` it is `1 - ema_decay` from the first update on, as in VDM's code.
    """
    if not warmup:
        return jnp.float32(1 - ema_decay)
    return jnp.maximum(1 - ema_decay, 9 / (10 + num_updates))  # 1 - decay in float32 would lose half of its digits


def mean_gradients(
    loss_fn: LossFn, params: PyTree, carry: PyTree, batch: PyTree, key: Key[Array, ""], step: Int[Array, ""]
) -> tuple[PyTree, Metrics]:
    """Gradients of the mean loss of the batch, and the mean {name: []} of every metric and of "loss".

    The arrays of the metric `STATISTICS` keep their axes behind the batch, those of `DRAWS` all of theirs.
    """

    def mean_loss(params):
        loss, metrics = loss_fn(params, carry, batch, key, step)
        kept = {name: metrics[name] for name in (STATISTICS, DRAWS) if name in metrics}
        means = jax.tree.map(jnp.mean, {**metrics, "loss": loss} | dict.fromkeys(kept))
        if STATISTICS in kept:
            kept[STATISTICS] = jax.tree.map(partial(jnp.mean, axis=0), kept[STATISTICS])
        return means["loss"], means | kept

    return jax.grad(mean_loss, has_aux=True)(params)


def accumulated_gradients(
    loss_fn: LossFn,
    params: PyTree,
    carry: PyTree,
    batch: PyTree,
    key: Key[Array, ""],
    step: Int[Array, ""],
    *,
    accumulate: int,
    mesh: Mesh | None,
) -> tuple[PyTree, Metrics]:
    """`mean_gradients` of `accumulate` micro-batches in turn. Each micro-batch has its own key; `DRAWS` are those of
    the first, for a mean of draws is no draw. Without a mesh the batch stays on one device."""

    def split(x, axis=0):
        return x if mesh is None else jax.lax.with_sharding_constraint(x, split_over_data(mesh, axis))

    check_divisible(batch, accumulate * (1 if mesh is None else mesh.shape[DATA]))
    if accumulate == 1:
        return mean_gradients(loss_fn, params, carry, split(batch), key, step)

    def micro_batches(x):  # every accumulate-th example: no example moves to another device
        x = split(x)
        x = x.reshape(x.shape[0] // accumulate, accumulate, *x.shape[1:]).swapaxes(0, 1)
        return split(x, axis=1)

    def add(total, micro):
        index, batch = micro
        grads, means = mean_gradients(loss_fn, params, carry, batch, jax.random.fold_in(key, index), step)
        return jax.tree.map(jnp.add, total, grads), means

    zeros = jax.tree.map(jnp.zeros_like, params)
    total, each = jax.lax.scan(add, zeros, (jnp.arange(accumulate), jax.tree.map(micro_batches, batch)))
    means = jax.tree.map(partial(jnp.mean, axis=0), each)
    if DRAWS in each:
        means[DRAWS] = jax.tree.map(lambda draws: draws[0], each[DRAWS])
    return jax.tree.map(lambda g: g / accumulate, total), means


def check_divisible(batch: PyTree, parts: int) -> None:
    """Raises `UserError` unless the leading axis of every leaf divides into `parts` equal parts."""
    for leaf in jax.tree.leaves(batch):
        if leaf.shape[0] % parts:
            raise UserError(f"a batch of {leaf.shape[0]} does not divide by {parts}, micro-batches times devices")


def train_step(
    state: TrainState,
    data: PyTree,
    key: Key[Array, ""],
    *,
    loss_fn: LossFn,
    batch_fn: Callable[[PyTree, Any], PyTree],
    optimizer: optax.GradientTransformation,
    update_carry: UpdateCarry | None,
    ema_decay: float,
    ema_warmup: bool,
    accumulate: int,
    mesh: Mesh | None,
) -> tuple[TrainState, Metrics]:
    """One step. Its random draws are a function of `key` and `state.step` alone.

    An update is skipped and counted if the loss, the gradient or the update is not finite. Weights, averages,
    optimizer state and carry are then unchanged, and `step` advances, so that the next batch differs. All weights of
    a state are therefore finite.

    Returns:
        The state, and metrics {name: []}: those of the loss, "loss", "grad_norm" (before clipping) and "finite".
    """
    batch = batch_fn(data, state.step)
    key = jax.random.fold_in(key, state.step)
    params = state.params if state.layout is None else state.layout.unravel(state.params)
    grads, means = accumulated_gradients(
        loss_fn, params, state.carry, batch, key, state.step, accumulate=accumulate, mesh=mesh
    )
    grads = grads if state.layout is None else state.layout.ravel(grads)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    grad_norm = optax.tree.norm(grads)
    finite = jnp.isfinite(means["loss"] + grad_norm + optax.tree.norm(updates))

    params = optax.apply_updates(state.params, updates)
    rate = ema_rate(state.step - state.skipped, ema_decay, ema_warmup)
    ema_params = jax.tree.map(lambda mean, new: mean + rate * (new - mean), state.ema_params, params)
    carry = state.carry if update_carry is None else update_carry(state.carry, means, state.step)
    means = {name: mean for name, mean in means.items() if name not in (STATISTICS, DRAWS)}
    params, ema_params, opt_state, carry = jax.tree.map(
        partial(jnp.where, finite),
        (params, ema_params, opt_state, carry),
        (state.params, state.ema_params, state.opt_state, state.carry),
    )
    skipped = state.skipped + ~finite
    skipped_in_a_row = jnp.where(finite, 0, state.skipped_in_a_row + 1)
    state = TrainState(state.step + 1, params, ema_params, opt_state, carry, skipped, skipped_in_a_row, state.layout)
    return state, means | {"grad_norm": grad_norm, "finite": finite}


def train_steps(
    state: TrainState, data: PyTree, key: Key[Array, ""], *, steps_per_call: int, **static: Any
) -> tuple[TrainState, Metrics]:
    """`steps_per_call` steps. Metrics are averaged over the updates that were not skipped (NaN if all were skipped).

    Several steps a call are faster if a step is shorter than its dispatch (small networks on accelerators). XLA's CPU
    back end runs convolutions slowly inside a loop; one step a call has no loop.
    """
    one = partial(train_step, data=data, key=key, **static)
    if steps_per_call == 1:
        state, metrics = one(state)
        metrics = jax.tree.map(lambda m: m[None], metrics)
    else:
        state, metrics = jax.lax.scan(lambda state, _: one(state), state, length=steps_per_call)
    finite = metrics.pop("finite")
    return state, jax.tree.map(partial(jnp.mean, where=finite), metrics)


@dataclass(frozen=True)
class CompiledStep:
    """`step(state, data) -> (state, metrics)` with a bound key. Donates the state."""

    jitted: Any
    key: Key[Array, ""]

    def __call__(self, state: TrainState, data: PyTree) -> tuple[TrainState, Metrics]:
        return self.jitted(state, data, self.key)

    def lower(self, state: TrainState, data: PyTree) -> Any:
        """The lowered program, for counting its operations."""
        return self.jitted.lower(state, data, self.key)


def make_train_step(
    loss_fn: LossFn,
    optimizer: optax.GradientTransformation,
    key: Key[Array, ""],
    *,
    mesh: Mesh,
    batch_fn: Callable[[PyTree, Any], PyTree],
    update_carry: UpdateCarry | None = None,
    ema_decay: float = 0.9999,
    ema_warmup: bool = True,
    accumulate: int = 1,
    steps_per_call: int = 1,
) -> CompiledStep:
    """Returns the compiled `step(state, data) -> (state, metrics)`. The state is donated and replicated over the mesh.

    `batch_fn(data, step)` gathers a batch. The leading axis of its leaves is the example; it is split over the mesh.
    """
    static = dict(
        loss_fn=loss_fn,
        batch_fn=batch_fn,
        optimizer=optimizer,
        update_carry=update_carry,
        ema_decay=ema_decay,
        ema_warmup=ema_warmup,
        accumulate=accumulate,
        mesh=mesh,
    )
    whole = replicated(mesh)
    compiled = jax.jit(
        partial(train_steps, steps_per_call=steps_per_call, **static),
        donate_argnums=0,
        in_shardings=(whole, None, whole),
        out_shardings=whole,
    )
    return CompiledStep(compiled, key)
