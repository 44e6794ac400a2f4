"""AdamW with clipping by global norm, and the learning rate as a function of the number of the update."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from vdm_jax.base.errors import UserError, choose

SCHEDULES: dict[str, Callable] = {
    "constant": lambda n, num_steps: 1.0,
    "cosine": lambda n, num_steps: 0.5 * (1 + jnp.cos(math.pi * jnp.minimum(n / num_steps, 1.0))),
}


def make_learning_rate(learning_rate: float, *, schedule: str, warmup_steps: int, num_steps: int) -> optax.Schedule:
    """`n -> learning_rate · schedule(n) · min(1, (n + 1) / warmup_steps)`. The first update has a positive rate."""
    if warmup_steps < 0:
        raise UserError(f"warmup_steps={warmup_steps} is negative")
    shape = choose("learning-rate schedule", schedule, SCHEDULES)

    def rate(n):
        warmup = jnp.minimum(1.0, (n + 1) / max(warmup_steps, 1))
        return learning_rate * warmup * shape(n, num_steps)

    return rate


def make_optimizer(
    learning_rate: float,
    *,
    num_steps: int,
    schedule: str = "constant",
    warmup_steps: int = 0,
    b1: float = 0.9,
    b2: float = 0.99,
    weight_decay: float = 0.01,
    clip: float | None = 1.0,
    decays: Callable[[PyTree], PyTree] | None = None,
) -> optax.GradientTransformation:
    """AdamW (Loshchilov & Hutter 2019) on gradients clipped to a global norm of `clip` (None: not clipped).

    Weight decay applies to the parameters for which `decays(params)` is True (None: to all parameters): one truth
    value a leaf, or an array of them. `schedule` is one of `SCHEDULES`; "cosine" falls to zero at `num_steps`.
    """
    rate = make_learning_rate(learning_rate, schedule=schedule, warmup_steps=warmup_steps, num_steps=num_steps)
    decay = optax.add_decayed_weights(weight_decay) if decays is None else _decay_some(weight_decay, decays)
    adamw = optax.chain(optax.scale_by_adam(b1, b2), decay, optax.scale_by_learning_rate(rate))
    return adamw if clip is None else optax.chain(optax.clip_by_global_norm(clip), adamw)


def with_own_rate(optimizer: optax.GradientTransformation, learning_rate: float) -> optax.GradientTransformation:
    """`optimizer`, made with a learning rate of 1, times `learning_rate`, which is a number of the state: trainings
    with other rates share a compiled step. The state is (rate [], the state of `optimizer`)."""

    def init(params: PyTree) -> tuple[jax.Array, PyTree]:
        return jnp.float32(learning_rate), optimizer.init(params)

    def update(updates: PyTree, state: tuple[jax.Array, PyTree], params: PyTree | None = None):
        rate, inner = state
        updates, inner = optimizer.update(updates, inner, params)
        return jax.tree.map(lambda leaf: rate * leaf, updates), (rate, inner)

    return optax.GradientTransformation(init, update)


def _decay_some(weight_decay: float, decays: Callable[[PyTree], PyTree]) -> optax.GradientTransformation:
    """Adds `weight_decay` times the parameters for which `decays` is True. optax has masks of whole leaves alone."""

    def update(updates: PyTree, state: PyTree, params: PyTree) -> tuple[PyTree, PyTree]:
        def add(update, param, decays):
            return update + weight_decay * param if decays is True else update + weight_decay * decays * param

        return jax.tree.map(add, updates, params, decays(params)), state

    return optax.GradientTransformation(lambda _: optax.MaskedState(optax.EmptyState()), update)
