"""From codes back to images: of two images, those of the points between their codes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from vdm_jax.base.images import to_unit
from vdm_jax.base.keys import keys_of, named_key, normal
from vdm_jax.base.mesh import across_devices
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.samplers import make_times, sample
from vdm_jax.diffusion.score_matching.langevin import method_of
from vdm_jax.evals.batches import map_batches
from vdm_jax.experiments.codes.codes import pixels_of
from vdm_jax.experiments.codes.runs import Levels, TrainedRun
from vdm_jax.models.autoencoder import Autoencoder
from vdm_jax.models.diffusion import DiffusionModel

Unit = Float[np.ndarray, "n h w c"]  # images in [0, 1]
Index = Int[np.ndarray, " n"]
Between = Callable[[Levels, Levels, Float[np.ndarray, " n"], Index], Unit]
"""`between(first, last, share, noise)`: images of the codes (1 - share) E(first) + share E(last), of N pairs. Decoders
that draw start from the same noise where the index `noise` is the same."""

SMALL = 1e-3  # of the penalty of the linear decoder, times the mean variance of the code


def own_decoder(run: TrainedRun, data: Dataset, settings: dict[str, Any], key: Key[Array, ""]) -> Between:
    """The decoder that was trained with the code; of a diffusion model samples from noise, with the code at every step.

    All models start from the same noise. settings: of a diffusion model, "sampler", "num_steps" and "grid".
    """
    is_autoencoder = isinstance(run.model, Autoencoder)
    decode = _latents_between if is_autoencoder else partial(_codes_between, **settings)

    def between(first: Levels, last: Levels, share: Float[np.ndarray, " n"], noise: Index) -> Unit:
        def batch(index: np.ndarray):
            arrays = first[index], last[index], share[index].astype(np.float32)
            keys = keys_of(key, jnp.asarray(noise[index]))
            return decode(run.model, run.params, keys, *map(across_devices, arrays))

        found = map_batches(batch, np.arange(len(first)), run.batch_size, whole=True)
        return to_unit_pixels(found, data) if is_autoencoder else to_unit(found, data.num_levels).astype(np.float32)

    return between


def linear_decoder(means: Callable[[Levels], Float[np.ndarray, "n d"]], fitted: Levels, data: Dataset) -> Between:
    """The best linear map from a code to pixels, by ridge regression on the images `fitted`. Of principal components it
    is their inverse."""
    codes = means(fitted).astype(np.float64)
    pixels = pixels_of(data, fitted).astype(np.float64)
    centre, mean = codes.mean(axis=0), pixels.mean(axis=0)
    covariance = (codes - centre).T @ (codes - centre) / len(codes)
    ridge = SMALL * max(np.trace(covariance) / len(covariance), 1e-30)
    weights = np.linalg.solve(
        covariance + ridge * np.eye(len(covariance)), (codes - centre).T @ (pixels - mean) / len(codes)
    )

    def between(first: Levels, last: Levels, share: Float[np.ndarray, " n"], _: Index) -> Unit:
        ends = (means(levels) for levels in (first, last))
        blend = sum(part * own[:, None] for part, own in zip(ends, (1 - share, share), strict=True))
        found = mean + (blend - centre) @ weights
        return to_unit_pixels(found.reshape(first.shape).astype(np.float32), data)

    return between


def to_unit_pixels(pixels: Float[np.ndarray, "n h w c"], data: Dataset) -> Unit:
    """Pixel values of a model as numbers in [0, 1], cut off at its ends."""
    low, high = data.pixel_values[[0, -1]]
    return np.clip((pixels - low) / (high - low), 0, 1).astype(np.float32)


@partial(jax.jit, static_argnums=0)
def _latents_between(
    model: Autoencoder, params: PyTree, _: Any, first: Array, last: Array, share: Float[Array, " b"]
) -> Float[Array, "b h w c"]:
    ends = (model.moments(params, levels)[0] for levels in (first, last))
    return model.decode(params, _blend(*ends, share))


@partial(jax.jit, static_argnums=0, static_argnames=("sampler", "num_steps", "grid"))
def _codes_between(
    model: DiffusionModel,
    params: PyTree,
    keys: Key[Array, " b"],
    first: Array,
    last: Array,
    share: Float[Array, " b"],
    *,
    sampler: str,
    num_steps: int,
    grid: str,
) -> Int[Array, "b h w c"]:
    schedule, ends = model.schedule(params), [model.to_x(levels) for levels in (first, last)]
    times = make_times(schedule, num_steps, grid)

    def codes(t: Float[Array, " b"] | None):
        return _blend(*(model.encode(params, x, t=t)[0] for x in ends), share)

    at_all_times = None if model.code.of_time else codes(None)

    def denoise(z, t):
        return model.denoise(params, codes(t) if at_all_times is None else at_all_times)(z, t)

    z_1 = normal(named_key(keys, "z_1"), (len(share), *model.shape))
    z_0 = sample(keys, denoise, schedule, z_1, times, method_of(sampler), x_range=model.x_range)
    return model.likelihood.decode(z_0, schedule.gamma(times[-1]))


def _blend(first: Float[Array, "b ..."], last: Float[Array, "b ..."], share: Float[Array, " b"]) -> Array:
    share = share.reshape(-1, *[1] * (first.ndim - 1))
    return (1 - share) * first + share * last
