"""Data whose exact denoiser is known: x ~ N(0, s²) in every dimension."""

import jax
import jax.numpy as jnp

from vdm_jax.diffusion.gaussian import alpha_sigma, expand

VARIANCE = 0.25


def marginal_variance(gamma, variance=VARIANCE):
    """Var z_t = alpha_t² s² + sigma_t²."""
    return jax.nn.sigmoid(-gamma) * variance + jax.nn.sigmoid(gamma)


def exact_eps_fn(schedule, variance=VARIANCE):
    """eps_hat = E[eps | z_t] = sigma_t z_t / Var z_t."""

    def eps_fn(z, t):
        gamma_t = expand(schedule.gamma(t), z)
        return alpha_sigma(gamma_t)[1] / marginal_variance(gamma_t, variance) * z

    return eps_fn


def point_eps_fn(schedule, point):
    """eps_hat for data that is always `point`: the exact one, whose error is 0."""

    def eps_fn(z, t):
        alpha, sigma = alpha_sigma(expand(schedule.gamma(t), z))
        return (z - alpha * jnp.broadcast_to(point, z.shape)) / sigma

    return eps_fn
