"""Reconstruction of an image noised to t: errors of a denoiser and of chains, where knowledge of the data begins to
matter, and where information is lost."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import alpha_sigma, noised
from vdm_jax.diffusion.objective import noise_error
from vdm_jax.diffusion.posterior import Posterior
from vdm_jax.diffusion.prediction import Denoise
from vdm_jax.diffusion.samplers import sample
from vdm_jax.diffusion.schedules import Schedule

X = Float[Array, "b ..."]


class Errors(NamedTuple):
    """Of each image, [B]: mean absolute and mean squared error over its values."""

    mae: Float[Array, " b"]
    mse: Float[Array, " b"]


def errors(x: X, x_hat: X, x_range: tuple[float, float] | None) -> Errors:
    """The errors of x_hat, clipped to `x_range`."""
    x_hat = x_hat if x_range is None else jnp.clip(x_hat, *x_range)
    off = (x_hat - x).reshape(len(x), -1)
    return Errors(jnp.abs(off).mean(1), (off**2).mean(1))


class Recovered(NamedTuple):
    """What is found of z_t in one step.

    Attributes:
        denoised: of x_hat of the denoiser.
        unfiltered: of z_t/alpha_t, which needs no knowledge of the data.
        noise_error: ||eps - eps_hat||² of each image, [B]. Half of it are the nats lost per unit of log SNR.
    """

    denoised: Errors
    unfiltered: Errors
    noise_error: Float[Array, " b"]


class Recovery(NamedTuple):
    """Compiled functions of a schedule. Noise depends on the key alone: one key gives one eps at all times.

    Attributes:
        denoise: (key, denoise, x, t []) -> `Recovered`.
        sample: (key, denoise, x, first []) -> `Errors` of the chain from times[first] to x.
        exact: (key, posterior, x, t []) -> ({"denoised", "sampled"}: `Errors` of E[x | z_t] and of a draw from
            p(x | z_t), p(c | z_t) of each feature).
    """

    denoise: Callable[[Key[Array, ""], Denoise, X, Float[Array, ""]], Recovered]
    sample: Callable[[Key[Array, ""], Denoise, X, Any], Errors]
    exact: Callable[[Key[Array, ""], Posterior, X, Float[Array, ""]], tuple[dict[str, Errors], dict[str, Array]]]


def make_recovery(
    schedule: Schedule, times: Float[Array, " n"], x_range: tuple[float, float] | None, sampler: str = "ancestral"
) -> Recovery:
    """times: of the chains, descending from 1 to 0."""

    def start(key, x, t):
        gamma = schedule.gamma(t)
        eps = jax.random.normal(named_key(key, "eps"), x.shape)
        return gamma, eps, noised(x, eps, gamma)

    @jax.jit
    def denoised(key, denoise, x, t):
        gamma, eps, z = start(key, x, t)
        x_hat = denoise(z, jnp.full(len(x), t)).x
        error = noise_error(eps, x, denoise, gamma, jnp.full(len(x), t))
        return Recovered(errors(x, x_hat, x_range), errors(x, z / alpha_sigma(gamma)[0], x_range), error)

    @jax.jit
    def sampled(key, denoise, x, first):
        _, _, z = start(key, x, times[first])
        found = sample(named_key(key, "chain"), denoise, schedule, z, times, sampler, x_range=x_range, first=first)
        return errors(x, found, x_range)

    @jax.jit
    def exact(key, posterior, x, t):
        gamma, _, z = start(key, x, t)
        found = {"denoised": posterior.mean(z, gamma), "sampled": posterior.draw(named_key(key, "x"), z, gamma)}
        return {name: errors(x, each, x_range) for name, each in found.items()}, posterior.classes(z, gamma)

    return Recovery(denoised, sampled, exact)


def first_above(own: Float[np.ndarray, " m"], other: Float[np.ndarray, " m"], tolerance: float) -> int | None:
    """The first index at which `other` is larger than `own` by more than `tolerance`, a share of it; None: nowhere."""
    above = np.flatnonzero(other > (1 + tolerance) * own)
    return int(above[0]) if len(above) else None


def share_left(noise_errors: Float[np.ndarray, " m"], gammas: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """The share of the nats ½ ∫ ||eps - eps_hat||² dgamma that is lost at more noise than each gamma, ascending: 1 at
    the first, 0 at the last. By trapezoids."""
    steps = 0.5 * (noise_errors[1:] + noise_errors[:-1]) * np.diff(gammas)
    lost = np.concatenate([np.zeros(1), np.cumsum(steps)])
    return 1 - lost / lost[-1]
