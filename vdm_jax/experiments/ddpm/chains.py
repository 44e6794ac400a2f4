"""Chains of a DDPM: images noised and brought back, starts other than N(0, I), the optimal denoiser."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, Key, PyTree

from vdm_jax.base.keys import keys_of, named_key, normal
from vdm_jax.base.progress import bar
from vdm_jax.diffusion.gaussian import alpha_sigma, noised
from vdm_jax.diffusion.posterior import Posterior
from vdm_jax.diffusion.samplers import make_times, sample, sample_by_x, times_through
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.evals.batches import map_batches
from vdm_jax.models.diffusion import DiffusionModel

Levels = Integer[np.ndarray, "n h w c"]
Times = Float[np.ndarray, " k"]


class Chain(NamedTuple):
    """How chains are run. times: descending, from 1 to 0. x_range: of x_hat; None: not clipped."""

    sampler: str
    times: Times
    x_range: tuple[float, float] | None
    batch_size: int


class Gaussian(NamedTuple):
    """N(mean, root root) of z_1."""

    mean: Float[np.ndarray, " d"]
    root: Float[np.ndarray, "d d"]  # symmetric


def grid_times(schedule: Schedule, num_steps: int, grid: str) -> Times:
    """The times of a sampling, on the host."""
    return np.asarray(make_times(schedule, num_steps, grid))


def times_of_beta(schedule: Schedule, beta: float) -> Times:
    """The times of steps that each take the share `beta` of the signal's variance: of a table with constant beta.

    abar_s = abar_t/(1 - beta) from the end of the table on, to the nearest entries; the last step may be shorter.
    """
    with jax.ensure_compile_time_eval():
        total = float(jax.nn.softplus(schedule.gamma(jnp.float32(1))))  # -log abar_T
    length = -math.log1p(-beta)
    num_steps = min(max(1, math.ceil(total / length - 1e-3)), schedule.num_steps)
    lost = total - length * np.arange(1, num_steps)  # -log abar
    return np.asarray(times_through(schedule, jnp.asarray(np.log(np.expm1(np.maximum(lost, 1e-6))), jnp.float32)))


def round_trips(
    model: DiffusionModel, params: PyTree, key: Key[Array, ""], levels: Levels, chain: Chain, start: float = 1.0
) -> Levels:
    """Each image noised to the time of the chain nearest to `start`, and sampled back. The noise of image i is a
    function of `key` and i alone."""
    first = jnp.int32(np.argmin(np.abs(chain.times[:-1] - start)))
    times, static = jnp.asarray(chain.times), (chain.sampler, chain.x_range)

    def run(batch):
        indices, levels = batch
        return _round_trips(model, params, key, indices, levels, times, first, *static)

    return _in_batches(run, levels, chain, "round trips").astype(levels.dtype)


def paths(
    model: DiffusionModel, params: PyTree, key: Key[Array, ""], levels: Levels, chain: Chain, keep: tuple[int, ...]
) -> tuple[Float[np.ndarray, "k n h w c"], Float[np.ndarray, "k n h w c"]]:
    """z_t of the noising process, and of the way back from its z_T, at the points `keep` of the chain."""
    indices = jnp.arange(len(levels))
    static = (chain.sampler, chain.x_range, keep)
    return jax.device_get(_paths(model, params, key, indices, jnp.asarray(levels), jnp.asarray(chain.times), *static))


def from_start(
    model: DiffusionModel,
    params: PyTree,
    key: Key[Array, ""],
    num_images: int,
    chain: Chain,
    gaussian: Gaussian | None = None,
) -> Levels:
    """N images from z_1 ~ N(0, I), or from another Gaussian. The noise of image i is a function of `key` and i."""
    times = jnp.asarray(chain.times)
    start = None if gaussian is None else Gaussian(*map(jnp.asarray, gaussian))

    def run(batch):
        return _from_start(model, params, key, batch[0], times, start, chain.sampler, chain.x_range)

    return _in_batches(run, np.zeros(num_images, np.int8), chain, "chains")


def from_optimum(
    model: DiffusionModel, posterior: Posterior, key: Key[Array, ""], num_images: int, chain: Chain
) -> Levels:
    """N images from N(0, I) by E[x | z_t] of an exact posterior in place of the network; the noise is that of
    `from_start`."""
    times = jnp.asarray(chain.times)

    def run(batch):
        return _from_optimum(model, posterior, key, batch[0], times, chain.sampler)

    return _in_batches(run, np.zeros(num_images, np.int8), chain, "chains of the optimum")


def gaussian_of_end(
    mean: Float[np.ndarray, " d"],
    eigenvalues: Float[np.ndarray, " d"],
    vectors: Float[np.ndarray, "d d"],
    schedule: Schedule,
) -> Gaussian:
    """The Gaussian with the moments of z_1, from those of x: N(alpha m, alpha² S + sigma² I)."""
    alpha, sigma = (float(value) for value in alpha_sigma(schedule.gamma(jnp.float32(1))))
    root = (vectors * np.sqrt(alpha**2 * eigenvalues + sigma**2)) @ vectors.T
    return Gaussian((alpha * mean).astype(np.float32), root.astype(np.float32))


def _in_batches(run: Callable, levels: np.ndarray, chain: Chain, what: str) -> np.ndarray:
    numbers = np.arange(len(levels))
    parts = map_batches(
        lambda batch: run((jnp.asarray(batch), jnp.asarray(levels[batch]))),
        numbers,
        chain.batch_size,
        progress=bar(f"round_trip: {what}"),
    )
    return np.asarray(parts)


@partial(jax.jit, static_argnums=(0, 7, 8))
def _round_trips(model, params, key, indices: Int[Array, " b"], levels, times, first, sampler, x_range):
    schedule, keys = model.schedule(params), keys_of(key, indices)
    x = model.likelihood.to_x(levels)
    z = noised(x, normal(named_key(keys, "eps"), x.shape), schedule.gamma(times[first]))
    z_0 = sample(keys, model.denoise(params), schedule, z, times, sampler, x_range=x_range, first=first)
    return model.likelihood.decode(z_0, schedule.gamma(times[-1]))


@partial(jax.jit, static_argnums=(0, 6, 7, 8))
def _paths(model, params, key, indices: Int[Array, " b"], levels, times, sampler, x_range, keep):
    schedule, keys = model.schedule(params), keys_of(key, indices)
    x = model.likelihood.to_x(levels)
    eps = normal(named_key(keys, "eps"), x.shape)
    there = jnp.stack([noised(x, eps, schedule.gamma(times[k])) for k in keep])
    z = noised(x, eps, schedule.gamma(times[0]))
    back = sample(keys, model.denoise(params), schedule, z, times, sampler, keep=keep, x_range=x_range)[1]
    return there, back


@partial(jax.jit, static_argnums=(0, 5))
def _from_optimum(model, posterior: Posterior, key, indices: Int[Array, " b"], times, sampler):
    schedule, keys = model.fixed_schedule, keys_of(key, indices)
    z = normal(named_key(keys, "z_1"), (len(indices), *model.shape))
    z_0 = sample_by_x(keys, lambda _, z, t: posterior.mean(z, schedule.gamma(t)), schedule, z, times, sampler)
    return model.likelihood.decode(z_0, schedule.gamma(times[-1]))


@partial(jax.jit, static_argnums=(0, 6, 7))
def _from_start(model, params, key, indices: Int[Array, " b"], times, start: Gaussian | None, sampler, x_range):
    schedule, keys = model.schedule(params), keys_of(key, indices)
    z = normal(named_key(keys, "z_1"), (len(indices), *model.shape))
    if start is not None:
        z = (start.mean[None] + z.reshape(len(indices), -1) @ start.root).reshape(z.shape)
    z_0 = sample(keys, model.denoise(params), schedule, z, times, sampler, x_range=x_range)
    return model.likelihood.decode(z_0, schedule.gamma(times[-1]))
