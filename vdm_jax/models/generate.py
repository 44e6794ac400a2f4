"""Images of a diffusion model, batch by batch, each batch split over the devices."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import make_mesh, split_over_data
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.samplers import make_times, sample
from vdm_jax.models.diffusion import DiffusionModel


def generate(
    model: DiffusionModel,
    params: PyTree,
    key: Key[Array, ""],
    num_images: int,
    w: Float[np.ndarray | Array, "n d"] | None = None,
    *,
    sampler: str = "ancestral",
    num_steps: int = 250,
    grid: str = "time",
    clip: bool = True,
    batch_size: int = 250,
    keep: tuple[int, ...] | None = None,
    progress: Callable[[range], Iterable[int]] = iter,
) -> Any:
    """N = `num_images` draws from fresh noise, what the model's likelihood decodes: levels [N, *shape].

    Args:
        w: the code of each, [N, w_dim]; None for an unconditional model.
        sampler: one of `samplers.SAMPLERS`, over `num_steps` steps of `make_times(schedule, num_steps, grid)`.
        clip: x_hat to the model's `x_range` at every step.
        batch_size: images at once. The last batch is filled up with copies, so that one program serves all.
        keep: returns (levels, z at these points of the grid [N, K, *shape], their times [K]).
    """
    mesh = make_mesh()
    batch_size = -(-min(batch_size, num_images) // mesh.size) * mesh.size
    x_range = model.x_range if clip else None
    levels, chains, times = [], [], None
    for start in progress(range(0, num_images, batch_size)):
        indices = np.minimum(np.arange(start, start + batch_size), num_images - 1)
        codes = None if w is None else jax.device_put(w[indices], split_over_data(mesh))
        out = _generate(
            model, params, jax.random.fold_in(key, start), codes,
            batch_size, mesh, sampler, num_steps, grid, x_range, keep,
        )  # fmt: skip
        images, chain, times = jax.device_get(out)
        levels.append(images)
        chains.append(chain)
    levels = np.concatenate(levels)[:num_images]
    return levels if keep is None else (levels, np.concatenate(chains)[:num_images], times)


@partial(jax.jit, static_argnums=(0, 4, 5, 6, 7, 8, 9, 10))
def _generate(
    model: DiffusionModel,
    params: PyTree,
    key: Key[Array, ""],
    w: Float[Array, "b d"] | None,
    batch_size: int,
    mesh: Mesh,
    sampler: str,
    num_steps: int,
    grid: str,
    x_range: tuple[float, float] | None,
    keep: tuple[int, ...] | None,
) -> tuple[Any, Float[Array, "b k ..."], Float[Array, " k"]]:
    schedule = model.schedule(params)
    times = make_times(schedule, num_steps, grid)
    z_1 = jax.random.normal(named_key(key, "z_1"), (batch_size, *model.shape))
    z_1 = jax.lax.with_sharding_constraint(z_1, split_over_data(mesh))
    z_0, kept = sample(key, model.denoise(params, w), schedule, z_1, times, sampler, keep=keep or (), x_range=x_range)
    gamma_0 = schedule.gamma(times[-1])
    decoded = z_0 / alpha_sigma(gamma_0)[0] if model.likelihood is None else model.likelihood.decode(z_0, gamma_0)
    return decoded, jnp.swapaxes(kept, 0, 1), times[jnp.array(keep or (), jnp.int32)]
