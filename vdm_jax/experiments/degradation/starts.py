"""What chains start from: fully degraded test images, or draws from a model of fully degraded training images."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from vdm_jax.base.keys import named_key, normal
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.degradation.chains import ForwardProcess
from vdm_jax.evals.batches import map_batches
from vdm_jax.evals.latents.baselines import GaussianMixture, fit_mixture, gaussian_of
from vdm_jax.experiments.degradation.samplings import DATA, MIXTURE

MOST_AXES = 64  # principal components in which the fitted images are modelled
LEAST_SHARE = 1e-6  # of the variance that may lie outside: R may read what little is left of an image
NO_VARIANCE = 1e-10
BATCH = 500

DrawStart = Callable[[Key[Array, " b"], Int[np.ndarray, " b"]], Float[Array, "b h w c"]]
"""`draw(keys [B], index [B]) -> z_1`"""


class FittedStart(NamedTuple):
    """x_1 = centre + axes u, with u of a mixture of Gaussians. Of degraded images, whose axes are few."""

    centre: Float[Array, " d"]
    axes: Float[Array, "d m"]
    mixture: GaussianMixture

    def draw(self, keys: Key[Array, " b"], shape: tuple[int, ...]) -> Float[Array, "b ..."]:
        """Images of `shape`, one for each key."""
        along = self.mixture.draw(keys, (self.axes.shape[1],))
        return (self.centre[None] + along @ self.axes.T).reshape(len(keys), *shape)


def make_starts(
    names: Iterable[str],
    data: Dataset,
    process: ForwardProcess,
    *,
    mixture_components: int,
    fitted_images: int,
    seed: int,
) -> dict[str, DrawStart]:
    """By the names of `STARTS` what draws z_1, with noise of sigma_1."""
    values, names = data.pixel_values, set(names)

    @jax.jit
    def end(x):
        return process.degrade(x, jnp.ones(len(x)))

    @jax.jit
    def noisy(keys, x):
        return x + process.sigma(jnp.float32(1)) * normal(named_key(keys, "start"), x.shape)

    test = data.test.levels
    starts: dict[str, DrawStart] = {}
    if DATA in names:
        starts[DATA] = lambda keys, index: noisy(keys, end(jnp.asarray(values[test[index % len(test)]])))
    if fitted := names - {DATA}:
        levels = data.train.first(fitted_images).levels
        degraded = map_batches(lambda each: end(jnp.asarray(values[each])), levels, BATCH)
        for name in fitted:
            own = fit_start(degraded, mixture_components if name == MIXTURE else 1, seed)
            draw = jax.jit(lambda keys, own=own: own.draw(named_key(keys, "x_1"), data.shape))
            starts[name] = lambda keys, index, draw=draw: noisy(keys, draw(keys))
    return starts


def fit_start(images: Float[np.ndarray, "n h w c"], num_components: int, seed: int) -> FittedStart:
    """A mixture of `num_components` Gaussians of the principal components of the images; fewer where the images have
    fewer distinct values. One component: the Gaussian with their moments."""
    rows = images.reshape(len(images), -1).astype(np.float64)
    centre = rows.mean(axis=0)
    values, axes = _principal(rows - centre)
    if values.sum() <= NO_VARIANCE * rows.shape[1]:
        return _of(centre, axes[:, :1], gaussian_of(np.zeros(1), np.zeros((1, 1))))
    outside = 1 - np.cumsum(values) / values.sum()
    number = min(MOST_AXES, int(np.argmax(outside <= LEAST_SHARE)) + 1)
    axes = axes[:, :number]
    along = (rows - centre) @ axes
    distinct = len(np.unique(along.round(4), axis=0))
    if min(num_components, distinct) == 1:
        return _of(centre, axes, gaussian_of(np.zeros(number), np.diag(values[:number])))
    return _of(centre, axes, fit_mixture(along, min(num_components, distinct), seed))


def _of(centre: np.ndarray, axes: np.ndarray, mixture: GaussianMixture) -> FittedStart:
    return FittedStart(jnp.asarray(centre, jnp.float32), jnp.asarray(axes, jnp.float32), mixture)


def _principal(rows: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "d m"]]:
    """Variances along the principal axes, falling, and the axes in columns. rows: centred."""
    if len(rows) >= rows.shape[1]:
        values, axes = np.linalg.eigh(rows.T @ rows / len(rows))
        return np.maximum(values[::-1], 0), axes[:, ::-1]
    _, lengths, axes = np.linalg.svd(rows, full_matrices=False)
    return lengths**2 / len(rows), axes.T
