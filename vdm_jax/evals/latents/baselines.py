"""What a diffusion model of latents is compared with: N(0, I), a Gaussian and a mixture of Gaussians.

All are mixtures of K Gaussians, whose draws, density and optimal denoiser are exact. With K = 1 the latter is the best
linear denoiser.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from vdm_jax.base.keys import named_key, normal
from vdm_jax.base.sklearn import import_sklearn
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.prediction import Prediction

MOST_FULL = 256  # latents, at most, whose mixture has full covariances
ITERATIONS = 200  # of expectation maximisation, at most
RIDGE = 1e-6  # added to the variances of a mixture, times the mean variance of the latents
EXACT = jax.lax.Precision.HIGHEST  # accelerators round the factors of a float32 product by default
X = Float[Array, "b ..."]


class GaussianMixture(NamedTuple):
    """x ~ Σ_k weight_k N(mean_k, V_k diag(values_k) V_kᵀ), of latents of D numbers. A pytree.

    vectors: the axes V_k in columns; None: the axes of the latents.
    """

    log_weights: Float[Array, " k"]
    mean: Float[Array, "k d"]
    values: Float[Array, "k d"]  # variances along the axes
    vectors: Float[Array, "k d d"] | None

    def draw(self, keys: Key[Array, " b"], shape: tuple[int, ...]) -> X:
        """x of `shape`, one for each key, [B, *shape]."""
        chosen = jax.vmap(jax.random.categorical, (0, None))(named_key(keys, "component"), self.log_weights)
        noise = jnp.sqrt(self.values)[chosen] * normal(named_key(keys, "x"), (len(keys), self.mean.shape[1]))
        if self.vectors is not None:
            every = self._turned_back(jnp.broadcast_to(noise[:, None], (len(keys), *self.mean.shape)))
            noise = jnp.take_along_axis(every, chosen[:, None, None], axis=1)[:, 0]
        return (self.mean[chosen] + noise).reshape(-1, *shape)

    def log_prob(self, x: X) -> Float[Array, " b"]:
        """log p(x), nats."""
        along = self._turned(x.reshape(len(x), 1, -1) - self.mean[None])
        return jax.nn.logsumexp(self._log_joint(along, self.values[None]), axis=1)

    def denoise(self, z: X, gamma: Float[Array, " b"]) -> Prediction:
        """E[x | z_t] and E[eps | z_t]: the optimal denoiser of draws from the mixture."""
        alpha, sigma = (each[:, None, None] for each in alpha_sigma(gamma))
        variance = alpha**2 * self.values[None] + sigma**2
        along = self._turned(z.reshape(len(z), 1, -1) - alpha * self.mean[None])
        share = jax.nn.softmax(self._log_joint(along, variance), axis=1)[:, :, None]
        x = self.mean[None] + self._turned_back(alpha * self.values[None] / variance * along)
        eps = self._turned_back(sigma / variance * along)
        return Prediction(*(jnp.sum(share * each, axis=1).reshape(z.shape) for each in (x, eps)))

    def _log_joint(self, along: Float[Array, "b k d"], variance: Float[Array, "_ k d"]) -> Float[Array, "b k"]:
        """log weight_k N(·; 0, variance_k)."""
        density = -0.5 * (along**2 / variance + jnp.log(variance) + math.log(2 * math.pi)).sum(axis=2)
        return self.log_weights[None] + density

    def _turned(self, x: Float[Array, "b k d"]) -> Float[Array, "b k d"]:
        return x if self.vectors is None else jnp.einsum("bkd,kde->bke", x, self.vectors, precision=EXACT)

    def _turned_back(self, along: Float[Array, "b k d"]) -> Float[Array, "b k d"]:
        return along if self.vectors is None else jnp.einsum("bke,kde->bkd", along, self.vectors, precision=EXACT)


def prior_of(deviation: Float[np.ndarray, " d"]) -> GaussianMixture:
    """N(0, diag deviation²): N(0, I) of latents that are scaled by `deviation`; in the form of `gaussian_of`, so that
    one program serves both."""
    values = jnp.asarray(deviation, jnp.float32)[None] ** 2
    return GaussianMixture(jnp.zeros(1), jnp.zeros_like(values), values, jnp.eye(values.shape[1])[None])


def gaussian_of(mean: Float[np.ndarray, " d"], covariance: Float[np.ndarray, "d d"]) -> GaussianMixture:
    """The Gaussian with these moments; `denoise` is the best linear denoiser of anything that has them."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    parts = mean[None], np.maximum(values, 0.0)[None], vectors[None]
    return GaussianMixture(jnp.zeros(1), *(jnp.asarray(part, jnp.float32) for part in parts))


def fit_mixture(codes: Float[np.ndarray, "n d"], num_components: int, seed: int) -> GaussianMixture:
    """A mixture fitted to latents by scikit-learn's expectation maximisation, from k-means.

    Of at most `MOST_FULL` latents the covariances are full, of more they are diagonal. Raises `UserError` without
    scikit-learn.
    """
    mixture = import_sklearn("mixture", "the baseline of a mixture of Gaussians")
    full = codes.shape[1] <= MOST_FULL
    scale = float(np.sqrt(codes.var(axis=0, dtype=np.float64).mean())) or 1.0
    found = mixture.GaussianMixture(
        min(num_components, len(codes)),
        covariance_type="full" if full else "diag",
        reg_covar=RIDGE,
        max_iter=ITERATIONS,
        random_state=seed,
    ).fit(np.asarray(codes, np.float64) / scale)
    values, vectors = np.linalg.eigh(found.covariances_) if full else (found.covariances_, None)
    parts = np.log(np.maximum(found.weights_, 1e-300)), found.means_ * scale, np.maximum(values, 0.0) * scale**2
    arrays = (jnp.asarray(part, jnp.float32) for part in parts)
    return GaussianMixture(*arrays, None if vectors is None else jnp.asarray(vectors, jnp.float32))
