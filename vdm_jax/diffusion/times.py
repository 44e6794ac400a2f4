"""Training times, stratified over the batch: each t_i is uniform, and together they cover [0, 1] evenly."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key


def stratified_times(key: Key[Array, ""], batch_size: int) -> Float[Array, " b"]:
    """t_i = mod(u + i/B, 1), u ~ U(0, 1) (VDM app. I.1). -> [B] in [0, 1)."""
    return jnp.mod(jax.random.uniform(key) + jnp.arange(batch_size) / batch_size, 1.0)


def stratified_steps(key: Key[Array, ""], batch_size: int, num_steps: int) -> Float[Array, " b"]:
    """t = i/T with i uniform on 1 … T, stratified. -> [B]."""
    return to_steps(stratified_times(key, batch_size), num_steps)


def to_steps(t: Float[Array, " b"], num_steps: int) -> Float[Array, " b"]:
    """i/T, i = 1 + floor(t T): uniform t in [0, 1) become uniform steps 1 … T of a chain."""
    return jnp.minimum(1 + jnp.floor(t * num_steps), num_steps) / num_steps


def to_entries(t: Float[Array, " b"], entries: Int[np.ndarray, " m"], num_steps: int) -> Float[Array, " b"]:
    """i/T, i uniform on `entries` of a table of T: as `to_steps`, which is that of all."""
    return jnp.asarray(entries)[jnp.minimum(jnp.floor(t * len(entries)).astype(int), len(entries) - 1)] / num_steps


def draw_times(key: Key[Array, ""], batch_size: int, num_steps: int | None) -> Float[Array, " b"]:
    """Continuous times where `num_steps` is None, otherwise steps of the chain: as `objective.vdm_losses` expects."""
    return stratified_times(key, batch_size) if num_steps is None else stratified_steps(key, batch_size, num_steps)
