"""`Space`: where a diffusion model lives. Pixels are the identity; an autoencoder's latents are another space."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PyTree

Levels = Integer[Array, "b h w c"]
Pixels = Float[Array, "b h w c"]
X = Float[Array, "b ..."]


class Space(NamedTuple):
    """What a model of any space needs to know of it. Functions take `params` as their first argument.

    name: of the space, such as "pixels".
    fingerprint: of the weights; "" for pixels.
    shape: of one x of the space.
    params: {} for pixels; always an argument of what is compiled, never closed over.
    moments: (params, levels [B, H, W, C]) -> mean and variance of q(x | image), [B, *shape] each; a variance of None
        says that x is a function of the image.
    decode: (params, x [B, *shape]) -> pixels [B, H, W, C].
    log_prob: (params, levels, x) -> log p(image | x) of the decoder, nats [B]; None: there is no such likelihood.
    x_range: the smallest and the largest value of x where these are known.
    """

    name: str
    fingerprint: str
    shape: tuple[int, ...]
    params: PyTree
    moments: Callable[[PyTree, Levels], tuple[X, X | None]]
    decode: Callable[[PyTree, X], Pixels]
    log_prob: Callable[..., Float[Array, " b"]] | None
    x_range: tuple[float, float] | None


def pixel_space(shape: tuple[int, ...], pixel_values: Float[Array | np.ndarray, " k"]) -> Space:
    """The identity: x are the pixel values [K] of the levels. p(image | z_0) belongs to the diffusion model."""
    values = jnp.asarray(pixel_values)
    return Space(
        name="pixels",
        fingerprint="",
        shape=tuple(shape),
        params={},
        moments=lambda params, levels: (values[levels], None),
        decode=lambda params, x: x,
        log_prob=None,
        x_range=(float(values.min()), float(values.max())),
    )
