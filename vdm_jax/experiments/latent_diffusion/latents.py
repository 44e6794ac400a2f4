"""Latents of images as a diffusion model sees them, and their images: batch by batch on the host."""

from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Key

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.space import Space
from vdm_jax.data.dataset import Dataset
from vdm_jax.evals.batches import map_batches
from vdm_jax.experiments.common.space.encoded import EncodedSpace

Latents = Float[np.ndarray, "n ..."]
Pixels = Float[np.ndarray, "n h w c"]


def draw_latents(
    key: Key[Array, ""], mean: Float[Array, "b ..."], variance: Float[Array, "b ..."] | None
) -> Float[Array, "b ..."]:
    """x ~ N(mean, variance), [B, ...]; the mean itself where there is no variance."""
    return mean if variance is None else mean + jnp.sqrt(variance) * jax.random.normal(key, mean.shape)


def seen_moments(
    space: EncodedSpace, split: str, index: Integer[np.ndarray, " n"] | None = None
) -> tuple[Latents, Latents | None]:
    """Mean and variance of the latents x that a model sees of images of a split, [N, *shape] each: no variance where
    x are means. index: of the images in the split; None: all."""
    mean, variance = space.moments(split, index)
    return np.asarray(mean), np.asarray(variance) if space.sampled and variance is not None else None


def latents_of(space: EncodedSpace, data: Dataset, split: str, number: int, key: Key[Array, ""]) -> Latents:
    """x of the first `number` images of a split of the data (0: all), [N, *shape], float32: draws x ~ q(x | image)
    where the space is sampled, otherwise means."""
    most = len(getattr(data, split))
    mean, variance = seen_moments(space, split, np.arange(min(number or most, most)))
    if variance is None:
        return np.asarray(mean, np.float32)
    return np.asarray(draw_latents(named_key(key, "space"), jnp.asarray(mean), jnp.asarray(variance)))


def make_decoder(
    space: Space, batch_size: int, progress: Callable[[range], Iterable[int]] = iter
) -> Callable[[Latents], Pixels]:
    """`decoder(x [N, *shape]) -> pixels [N, H, W, C]`, batch by batch, by one program."""

    @jax.jit
    def decode_batch(params, x):
        return space.decode(params, x)

    def decoder(x: Latents) -> Pixels:
        def batch(index):
            return decode_batch(space.params, across_devices(np.asarray(x[index], np.float32)))

        return map_batches(batch, np.arange(len(x)), batch_size, progress=progress, whole=True)

    return decoder
