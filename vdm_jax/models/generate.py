"""Images from codes, batch by batch, each batch split over the devices."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Integer, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import make_mesh, split_over_data
from vdm_jax.diffusion.likelihood import decode_levels
from vdm_jax.diffusion.samplers import make_times, sample
from vdm_jax.models.diffuser import Diffuser


def generate(
    model: Diffuser,
    params: PyTree,
    key: Key[Array, ""],
    w: Float[np.ndarray, "n d"],
    config: ConfigDict,
    *,
    keep: tuple[int, ...] | None = None,
    progress: Callable[[range], Iterable[int]] = iter,
) -> Any:
    """One image for each code, from fresh noise, by the sampler of `config` (`config.sample`): levels [N, H, W, C].

    Where `keep` is given, also z at those points of the time grid, [N, K, H, W, C], and their times [K]. The last batch
    is filled up with copies, so that one program serves all.
    """
    mesh = make_mesh()
    batch_size = -(-min(config.batch_size, len(w)) // mesh.size) * mesh.size
    levels, chains, times = [], [], None
    for start in progress(range(0, len(w), batch_size)):
        indices = np.minimum(np.arange(start, start + batch_size), len(w) - 1)
        codes = jax.device_put(w[indices], split_over_data(mesh))
        out = _generate(
            model, params, jax.random.fold_in(key, start), codes, mesh,
            config.sampler, config.num_steps, config.grid, config.clip, keep,
        )  # fmt: skip
        images, chain, times = jax.device_get(out)
        levels.append(images)
        chains.append(chain)
    levels = np.concatenate(levels)[: len(w)]
    return levels if keep is None else (levels, np.concatenate(chains)[: len(w)], times)


@partial(jax.jit, static_argnums=(0, 4, 5, 6, 7, 8, 9))
def _generate(
    model: Diffuser,
    params: PyTree,
    key: Key[Array, ""],
    w: Float[Array, "b d"],
    mesh: Mesh,
    sampler: str,
    num_steps: int,
    grid: str,
    clip: bool,
    keep: tuple[int, ...] | None,
) -> tuple[Integer[Array, "b h w c"], Float[Array, "b k h w c"], Float[Array, " k"]]:
    schedule = model.schedule(params)
    times = make_times(schedule, num_steps, grid)
    z_1 = jax.random.normal(named_key(key, "z_1"), (w.shape[0], *model.image_shape))
    z_1 = jax.lax.with_sharding_constraint(z_1, split_over_data(mesh))
    x_range = (float(model.pixel_values[0]), float(model.pixel_values[-1])) if clip else None
    z_0, kept = sample(key, model.eps_fn(params, w), schedule, z_1, times, sampler, keep=keep or (), x_range=x_range)
    levels = decode_levels(z_0, schedule.gamma(times[-1]), jnp.asarray(model.pixel_values))
    return levels, jnp.swapaxes(kept, 0, 1), times[jnp.array(keep or (), jnp.int32)]
