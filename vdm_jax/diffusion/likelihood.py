"""p(x | z_0), the likelihood that ends the chain: of pixel levels, or of continuous data. Bits per dimension."""

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, Key

from vdm_jax.base.images import to_pixels
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import alpha_sigma, noised, sum_values

Gamma = Float[Array, ""]
X = Float[Array, "b ..."]
Levels = Integer[Array, "b ..."]


@runtime_checkable
class Likelihood(Protocol):
    """The interface between data and a diffusion model. `data` are what a batch holds, [B, ...]; x are the values that
    are noised."""

    def to_x(self, data: Any) -> X:
        """The values x that are noised."""

    def log_prob(self, data: Any, z_0: X, gamma_0: Gamma) -> Float[Array, " b"]:
        """log p(data | z_0), nats."""

    def reconstruction(self, key: Key[Array, ""], data: Any, gamma_0: Gamma) -> Float[Array, " b"]:
        """The mean of -log p(data | z_0) over z_0 ~ q(z_0 | x), or an unbiased estimate from one draw. nats."""

    def decode(self, z_0: X, gamma_0: Gamma) -> Any:
        """The data that z_0 stands for."""


@dataclass(frozen=True, eq=False)
class LevelLikelihood:
    """Levels 0 … K-1 with `pixel_values` [K]: a softmax over the K values (VDM eq. 8)."""

    pixel_values: Float[np.ndarray, " k"]

    def to_x(self, data: Integer[Array | np.ndarray, "b ..."]) -> X:
        """pixel_values[level]."""
        return to_pixels(data, self.pixel_values)

    def log_prob(self, data: Levels, z_0: X, gamma_0: Gamma) -> Float[Array, " b"]:
        """The sum of `log_likelihood` over an image's values."""
        return sum_values(log_likelihood(data, z_0, gamma_0, jnp.asarray(self.pixel_values)))

    def reconstruction(self, key: Key[Array, ""], data: Levels, gamma_0: Gamma) -> Float[Array, " b"]:
        """-log p(data | z_0) for one draw of z_0."""
        x = self.to_x(data)
        z_0 = noised(x, jax.random.normal(named_key(key, "eps_0"), x.shape), gamma_0)
        return -self.log_prob(data, z_0, gamma_0)

    def decode(self, z_0: X, gamma_0: Gamma) -> Int[Array, "b ..."]:
        """The most likely level of each value of z_0."""
        return decode_levels(z_0, gamma_0, jnp.asarray(self.pixel_values))


@dataclass(frozen=True)
class GaussianLikelihood:
    """Continuous data: p(x | z_0) = N(x; z_0/alpha_0, sigma_0²/alpha_0²)."""

    def to_x(self, data: X) -> X:
        """The data themselves."""
        return data

    def log_prob(self, data: X, z_0: X, gamma_0: Gamma) -> Float[Array, " b"]:
        """-½ Σ [exp(-gamma_0) (x - z_0/alpha_0)² + log 2π + gamma_0]; the variance is exp(gamma_0)."""
        distance = data - z_0 / alpha_sigma(gamma_0)[0]
        return -0.5 * sum_values(jnp.exp(-gamma_0) * distance**2 + math.log(2 * math.pi) + gamma_0)

    def reconstruction(self, key: Key[Array, ""], data: X, gamma_0: Gamma) -> Float[Array, " b"]:
        """The mean itself, ½ D (1 + log 2π + gamma_0), the same for every x."""
        return jnp.broadcast_to(0.5 * data[0].size * (1 + math.log(2 * math.pi) + gamma_0), data.shape[:1])

    def decode(self, z_0: X, gamma_0: Gamma) -> X:
        """z_0/alpha_0, the mean."""
        return z_0 / alpha_sigma(gamma_0)[0]


def level_logits(z_0: X, gamma_0: Gamma, pixel_values: Float[Array, " k"]) -> Float[Array, "b ... k"]:
    """-½ exp(-gamma_0) (z_0/alpha_0 - x_k)², the unnormalised log p(x_k | z_0) of every pixel value x_k."""
    distance = (z_0 / alpha_sigma(gamma_0)[0])[..., None] - pixel_values.reshape((1,) * z_0.ndim + (-1,))
    return -0.5 * jnp.exp(-gamma_0) * distance**2


def log_likelihood(levels: Levels, z_0: X, gamma_0: Gamma, pixel_values: Float[Array, " k"]) -> X:
    """log p(x | z_0) of each value, a softmax over the K pixel values (VDM eq. 8). levels: 0 … K-1 -> nats <= 0."""
    own = -0.5 * jnp.exp(-gamma_0) * (z_0 / alpha_sigma(gamma_0)[0] - pixel_values[levels]) ** 2
    log_p = own - jax.nn.logsumexp(level_logits(z_0, gamma_0, pixel_values), axis=-1)
    return jnp.minimum(log_p, 0.0)  # rounding may lie above


def decode_levels(z_0: X, gamma_0: Gamma, pixel_values: Float[Array, " k"]) -> Int[Array, "b ..."]:
    """The most likely level 0 … K-1 of each value of z_0: the nearest, also where gamma_0 = -inf (no noise)."""
    distance = (z_0 / alpha_sigma(gamma_0)[0])[..., None] - pixel_values.reshape((1,) * z_0.ndim + (-1,))
    return jnp.argmin(jnp.abs(distance), axis=-1)


def bits_per_dim(nats, num_dims: int):
    """nats / (D ln 2), D the number of values in an image. Takes numbers and arrays."""
    return nats / (num_dims * np.log(2))
