"""The loss of a DDPM by timestep beside denoisers that need no training, and how far z_T is from N(0, I)."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Key, PyTree

from vdm_jax.base.keys import keys_of, named_key, normal
from vdm_jax.base.progress import bar
from vdm_jax.diffusion.gaussian import alpha_sigma, eps_of_x, noised, sum_values
from vdm_jax.diffusion.objective import prior_term
from vdm_jax.diffusion.posterior import Feature, Posterior, finite_posterior
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.evals.latents.denoising import linear_errors
from vdm_jax.models.diffusion import DiffusionModel

QUERIES = 500  # images of a batch of exact posteriors
Pixels = Float[np.ndarray, "n h w c"]


class Moments(NamedTuple):
    """Of training pixels, float64: the mean, and the covariance by its eigenvalues and vectors."""

    mean: Float[np.ndarray, " d"]
    eigenvalues: Float[np.ndarray, " d"]
    vectors: Float[np.ndarray, "d d"]

    @property
    def square(self) -> float:
        """E x² of a value."""
        return float((np.sum(self.mean**2) + self.eigenvalues.sum()) / len(self.mean))


class TrainingSet(NamedTuple):
    """Training images as the model sees them, their moments, and the exact posterior over them."""

    pixels: Pixels
    moments: Moments
    posterior: Posterior


def training_set_of(pixels: Pixels) -> TrainingSet:
    """What is known of a finite training set."""
    one_class = {"any": np.zeros(len(pixels), int)}, {"any": Feature(np.ones(1))}
    return TrainingSet(pixels, moments_of(pixels), finite_posterior(pixels, *one_class))


def moments_of(pixels: Pixels) -> Moments:
    """The moments of images."""
    flat = np.asarray(pixels, np.float64).reshape(len(pixels), -1)
    mean = flat.mean(0)
    values, vectors = np.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    return Moments(mean, np.clip(values, 0, None), vectors)


def known_losses(moments: Moments, gammas: Float[np.ndarray, " m"]) -> dict[str, Float[np.ndarray, " m"]]:
    """E ||eps - eps_hat||²/D at noise levels, of denoisers that are known.

    identity: eps_hat = z_t, (1 - sigma)² + alpha² E x². linear: the best linear one, the mean of
    alpha² λ/(alpha² λ + sigma²) over the eigenvalues λ of the covariance; the floor for Gaussian data.
    """
    gammas = np.asarray(gammas, np.float64)
    alpha2, sigma2 = 1 / (1 + np.exp(gammas)), 1 / (1 + np.exp(-gammas))
    identity = (1 - np.sqrt(sigma2)) ** 2 + alpha2 * moments.square
    return {"identity": identity, "linear": linear_errors(moments.eigenvalues, gammas)[1]}


def loss_by_timestep(
    model: DiffusionModel,
    params: PyTree,
    key: Key[Array, ""],
    test: Integer[np.ndarray, "n h w c"],
    training_set: TrainingSet,
    timesteps: Integer[np.ndarray, " k"],
) -> dict[str, Any]:
    """The loss of test images at each timestep with its standard error, `known_losses` there, and two averages.

    optimum: E ||eps - E[eps | z_t]||²/D of training images under the exact posterior of the training set. It is the
    least loss of training; a model that generalises lies above it. mean_linear, mean_identity: over all T timesteps.
    """
    chain = model.fixed_schedule
    losses = [_losses(model, params, key, jnp.asarray(test), jnp.float32(i / chain.num_steps)) for i in timesteps]
    losses = np.asarray(losses, np.float64)
    gammas = _gammas(chain, timesteps)
    known = {name: values.tolist() for name, values in known_losses(training_set.moments, gammas).items()}
    queries = jnp.asarray(training_set.pixels[:QUERIES])
    optimum = [
        np.asarray(_optimum(training_set.posterior, queries, key, jnp.float32(gammas[m])), np.float64)
        for m in bar("round_trip: optimum")(range(len(gammas)))
    ]
    every = known_losses(training_set.moments, _gammas(chain, np.arange(1, chain.num_steps + 1)))
    return {
        "timesteps": timesteps.tolist(),
        "abar": (1 / (1 + np.exp(gammas))).tolist(),
        "loss": losses.mean(1).tolist(),
        "loss_standard_error": (losses.std(1, ddof=1) / np.sqrt(len(test))).tolist(),
        **known,
        "optimum": np.mean(optimum, axis=1).tolist(),
        "optimum_standard_error": (np.std(optimum, axis=1, ddof=1) / np.sqrt(len(queries))).tolist(),
        **{f"mean_{name}": float(values.mean()) for name, values in every.items()},
        "num_images": len(test),
        "num_optimum": len(queries),
        "num_train": len(training_set.pixels),
    }


def end_of_chain(model: DiffusionModel, levels: Integer[np.ndarray, "n h w c"], moments: Moments) -> dict[str, float]:
    """How far z_T is from N(0, I), nats an image.

    prior_nats: the mean of KL(q(z_T | x) || N(0, I)), of the bound. gaussian_nats: KL of the Gaussian with the moments
    of z_T to N(0, I), which no choice of x can lower.
    """
    gamma = model.fixed_schedule.gamma(jnp.float32(1))
    alpha, sigma = (float(value) for value in alpha_sigma(gamma))
    variance = alpha**2 * moments.eigenvalues + sigma**2
    shift = alpha**2 * float(np.sum(moments.mean**2))
    prior = prior_term(model.likelihood.to_x(levels), model.fixed_schedule)
    return {
        "abar": alpha**2,
        "prior_nats": float(np.mean(np.asarray(prior, np.float64))),
        "gaussian_nats": 0.5 * (float(np.sum(variance - 1 - np.log(variance))) + shift),
        "largest_variance": float(variance.max()),
        "mean_norm": shift**0.5,
    }


def _gammas(chain: Schedule, timesteps: Integer[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    return np.asarray(chain.gamma(jnp.asarray(timesteps) / chain.num_steps), np.float64)


@partial(jax.jit, static_argnums=0)
def _losses(model: DiffusionModel, params: PyTree, key, levels, t: Float[Array, ""]) -> Float[Array, " b"]:
    """||eps - eps_hat||²/D of each image at one time; the same noise at all."""
    x = model.likelihood.to_x(levels)
    eps = normal(named_key(keys_of(key, jnp.arange(len(x))), "loss"), x.shape)
    z = noised(x, eps, model.schedule(params).gamma(t))
    found = model.denoise(params)(z, jnp.full(len(x), t)).eps
    return sum_values((eps - found) ** 2) / (x.size // len(x))


@jax.jit
def _optimum(posterior: Posterior, x, key, gamma: Float[Array, ""]) -> Float[Array, " b"]:
    eps = normal(named_key(keys_of(key, jnp.arange(len(x))), "optimum"), x.shape)
    z = noised(x, eps, gamma)
    found = eps_of_x(posterior.mean(z, gamma), z, gamma)
    return sum_values((eps - found) ** 2) / (x.size // len(x))
