"""Images of a diffusion model, batch by batch, each batch split over the devices."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, PyTree

from vdm_jax.base.keys import keys_of, named_key, normal
from vdm_jax.base.mesh import make_mesh, split_over_data
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.samplers import make_times, sample
from vdm_jax.diffusion.score_matching.langevin import method_of
from vdm_jax.models.diffusion import DiffusionModel


def generate(
    model: DiffusionModel,
    params: PyTree,
    key: Key[Array, ""],
    num_images: int,
    w: PyTree = None,
    *,
    keep: tuple[int, ...] | None = None,
    **settings: Any,
) -> Any:
    """N = `num_images` draws from fresh noise, what the model's likelihood decodes: levels [N, *shape].

    Args:
        w: the code of each, [N, w_dim], or other arrays [N, ...] that the model's `denoise` takes; None for an
            unconditional model.
        keep: returns (levels, z at these points of the grid [N, K, *shape], their times [K]).
        settings: of `generate_batches`.
    """
    codes = None if w is None else lambda indices: jax.tree.map(lambda leaf: leaf[indices], w)
    batches = generate_batches(model, params, key, num_images, codes, keep=keep, **settings)
    levels, chains, times = zip(*batches, strict=True)
    return np.concatenate(levels) if keep is None else (np.concatenate(levels), np.concatenate(chains), times[0])


def generate_batches(
    model: DiffusionModel,
    params: PyTree,
    key: Key[Array, ""],
    num_images: int,
    codes: Callable[[Int[np.ndarray, " b"]], PyTree] | None = None,
    *,
    first: int = 0,
    sampler: str = "ancestral",
    num_steps: int = 250,
    grid: str = "time",
    clip: bool = True,
    batch_size: int = 250,
    keep: tuple[int, ...] | None = None,
    dtype: np.dtype | None = None,
    progress: Callable[[range], Iterable[int]] = iter,
) -> Iterator[tuple[np.ndarray, Float[np.ndarray, "b k ..."], Float[np.ndarray, " k"]]]:
    """Images `first` … N - 1 of N = `num_images`, in batches: (levels [B, *shape], kept z [B, K, *shape], times [K]).

    The noise of image i is a function of `key` and i alone. The number of images, of devices and the batch size change
    an image by no more than the rounding of other batches.

    Args:
        codes: the code of each of the images `indices`, [B, w_dim]; None for an unconditional model.
        sampler: one of `samplers.SAMPLERS` or another name of `method_of`, over `num_steps` steps of
            `make_times(schedule, num_steps, grid)`.
        clip: x_hat to the model's `x_range` at every step.
        batch_size: images at once. The last batch is filled up with copies, so that one program serves all.
        keep: points of the grid at which z is kept.
        dtype: of the levels; None: that of the likelihood, int32.
    """
    mesh = make_mesh()
    batch_size = -(-min(batch_size, num_images) // mesh.size) * mesh.size
    x_range, place = model.x_range if clip else None, partial(jax.device_put, device=split_over_data(mesh))
    for start in progress(range(first, num_images, batch_size)):
        indices = np.minimum(np.arange(start, start + batch_size), num_images - 1)
        w = None if codes is None else place(codes(indices))
        out = _generate(model, params, key, place(indices), w, mesh, sampler, num_steps, grid, x_range, keep)
        levels, kept, times = jax.device_get(out)
        number = min(batch_size, num_images - start)
        yield np.asarray(levels[:number], dtype), kept[:number], times


@partial(jax.jit, static_argnums=(0, 5, 6, 7, 8, 9, 10))
def _generate(
    model: DiffusionModel,
    params: PyTree,
    key: Key[Array, ""],
    indices: Int[Array, " b"],
    w: PyTree,
    mesh: Mesh,
    sampler: str,
    num_steps: int,
    grid: str,
    x_range: tuple[float, float] | None,
    keep: tuple[int, ...] | None,
) -> tuple[Any, Float[Array, "b k ..."], Float[Array, " k"]]:
    schedule = model.schedule(params)
    times = make_times(schedule, num_steps, grid)
    key = keys_of(key, indices)
    z_1 = normal(named_key(key, "z_1"), (len(indices), *model.shape))
    z_1 = jax.lax.with_sharding_constraint(z_1, split_over_data(mesh))
    z_0, kept = sample(
        key, model.denoise(params, w), schedule, z_1, times, method_of(sampler), keep=keep or (), x_range=x_range
    )
    gamma_0 = schedule.gamma(times[-1])
    decoded = z_0 / alpha_sigma(gamma_0)[0] if model.likelihood is None else model.likelihood.decode(z_0, gamma_0)
    return decoded, jnp.swapaxes(kept, 0, 1), times[jnp.array(keep or (), jnp.int32)]
