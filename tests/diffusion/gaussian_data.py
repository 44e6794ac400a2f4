"""Data whose exact denoiser is known: x ~ N(0, s²) in every dimension."""

import jax
import jax.numpy as jnp

from vdm_jax.diffusion.gaussian import alpha_sigma, expand
from vdm_jax.diffusion.prediction import to_prediction

VARIANCE = 0.25


def marginal_variance(gamma, variance=VARIANCE):
    """Var z_t = alpha_t² s² + sigma_t²."""
    return jax.nn.sigmoid(-gamma) * variance + jax.nn.sigmoid(gamma)


def denoise_by(schedule, target, function):
    """A denoiser whose output `function(z, t)` is `target`."""
    return lambda z, t: to_prediction(target, function(z, t), z, schedule.gamma(t))


def exact_denoise(schedule, variance=VARIANCE):
    """eps_hat = E[eps | z_t] = sigma_t z_t / Var z_t."""

    def eps_hat(z, t):
        gamma_t = expand(schedule.gamma(t), z)
        return alpha_sigma(gamma_t)[1] / marginal_variance(gamma_t, variance) * z

    return denoise_by(schedule, "eps", eps_hat)


def point_denoise(schedule, point):
    """The exact denoiser of data that is always `point`: its error is 0."""
    return denoise_by(schedule, "x", lambda z, t: jnp.broadcast_to(point, z.shape))
