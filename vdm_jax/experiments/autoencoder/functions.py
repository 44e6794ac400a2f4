"""What `vdm_jax.load` offers of a trained autoencoder: plain functions with its parameters bound."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Integer, Key, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import keys_of, named_key
from vdm_jax.data.dataset import Dataset
from vdm_jax.evals.batches import map_batches
from vdm_jax.experiments.autoencoder.build import AutoencoderExperiment
from vdm_jax.experiments.autoencoder.prior import FITTED, PRIOR, LatentPrior, make_priors
from vdm_jax.experiments.common.functions import check_number, to_levels
from vdm_jax.models.autoencoder import Autoencoder

Levels = Integer[np.ndarray, "b h w c"]
Latents = Float[np.ndarray, "b ..."]


def autoencoder_functions(experiment: AutoencoderExperiment, params: PyTree) -> dict[str, Callable]:
    """`encode`, `decode` and `sample`."""
    of_model = AutoencoderFunctions(experiment.model, params, experiment.data, experiment.config.evaluate.batch_size)
    return {name: getattr(of_model, name) for name in ("encode", "decode", "sample")}


@dataclass(frozen=True, eq=False)
class AutoencoderFunctions:
    """The functions of one autoencoder with its parameters.

    Images x are levels where their dtype is an integer, the model's pixels where it is floating point. Both are
    checked. Images that are returned are levels, [N, H, W, C]. Labels [N] are those of a conditional model alone.
    """

    model: Autoencoder
    params: PyTree
    data: Dataset
    batch_size: int

    def encode(self, x: ArrayLike, labels: ArrayLike | None = None) -> tuple[Latents, Latents | None]:
        """mean and log variance of q(u | x), [B, *latent] each; None for the log variance of a function of x."""
        images = to_levels(x, self.data)
        mean, variance = self._encode(images, self._labels(labels, len(images)))
        return mean, None if variance is None else np.log(variance)

    def decode(self, u: ArrayLike, labels: ArrayLike | None = None) -> Levels:
        """The images of latents u [B, *latent]: the mean of p(x | u), rounded to the nearest level."""
        u = np.asarray(u, np.float32)
        shape = tuple(self.model.latent_shape)
        if u.ndim != 1 + len(shape) or u.shape[1:] != shape or not len(u):
            raise UserError(f"u is of shape {list(u.shape)}; expected latents [B, {', '.join(map(str, shape))}]")
        if not np.isfinite(u).all():
            raise UserError("u holds numbers that are not finite")
        return self._decode(u, self._labels(labels, len(u)))

    def sample(self, key: Key[Array, ""], n: int, *, labels: ArrayLike | None = None) -> Levels:
        """n images of latents from the prior, [n, H, W, C]: N(0, I); of a deterministic code a Gaussian with the mean
        and the deviation of each latent over test images; of a quantised one the codes' frequencies at each place. The
        thesis fits to test images too, and so do the jobs `sample` and `evaluate`.

        labels: of a conditional model; None draws them with their shares among the test images.
        """
        check_number(n)
        given = self._labels(labels, n, drawn=named_key(key, "label"))
        prior = self._prior()
        keys = keys_of(named_key(key, "u"), jnp.arange(n))
        return self._decode(np.asarray(prior.draw(prior.params, keys), np.float32), given)

    def _prior(self) -> LatentPrior:
        """The prior of the code, fitted to the first `FITTED` test images where it has to be."""
        if self.model.code == "gaussian":
            return make_priors("gaussian", np.zeros((1, *self.model.latent_shape), np.float32))[PRIOR]
        split = self.data.test.first(FITTED)
        labels = split.labels if self.model.num_classes else None
        return make_priors(self.model.code, self._encode(split.levels, labels)[0])[PRIOR]

    def _labels(self, labels: ArrayLike | None, number: int, drawn: Key[Array, ""] | None = None) -> np.ndarray | None:
        """The labels [N] as int32, checked; drawn ones where none are given and `drawn` is a key."""
        num_classes = self.model.num_classes
        if not num_classes:
            if labels is not None:
                raise UserError("labels were given, and this model is not conditional; leave them out")
            return None
        if labels is None and drawn is not None:
            among = self.data.test.first(FITTED).labels
            return among[np.asarray(jax.random.randint(drawn, (number,), 0, len(among)))]
        if labels is None:
            raise UserError(f"this model is conditional: give labels, {number} of 0 … {num_classes - 1}")
        found = np.asarray(labels)
        if found.shape != (number,) or found.dtype.kind not in "iu" or found.min() < 0 or found.max() >= num_classes:
            why = f"labels are {found.dtype}{list(found.shape)}"
            raise UserError(f"{why}; expected {number} whole numbers 0 … {num_classes - 1}")
        return found.astype(np.int32)

    def _encode(self, levels: Levels, labels: np.ndarray | None) -> tuple[Latents, Latents | None]:
        found = self._batches(partial(_moments, self.model, self.params), levels, labels)
        return found[0], found[1] if len(found) == 2 else None

    def _decode(self, u: Latents, labels: np.ndarray | None) -> Levels:
        pixels = self._batches(partial(_decode, self.model, self.params), u, labels)
        values = self.data.pixel_values
        middles = (values[1:] + values[:-1]) / 2  # ascending
        return np.searchsorted(middles, pixels).astype(
            self.data.test.stored.dtype if self.data.grid is None else np.uint8
        )

    def _batches(self, apply: Callable[..., Any], arrays: np.ndarray, labels: np.ndarray | None) -> Any:
        def batch(index):
            return apply(jnp.asarray(arrays[index]), None if labels is None else jnp.asarray(labels[index]))

        return map_batches(batch, np.arange(len(arrays)), self.batch_size)


@partial(jax.jit, static_argnums=0)
def _moments(model: Autoencoder, params: PyTree, levels: Array, labels: Array | None) -> tuple[Array, ...]:
    mean, variance = model.moments(params, levels, labels)
    return (mean,) if variance is None else (mean, variance)


@partial(jax.jit, static_argnums=0)
def _decode(model: Autoencoder, params: PyTree, u: Array, labels: Array | None) -> Array:
    return model.decode(params, u, labels)
