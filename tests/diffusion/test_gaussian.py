"""The Gaussians of the noising process against textbook formulas in float64, and at the edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.diffusion.gaussian import (
    alpha_sigma,
    eps_of_x,
    kl_to_standard_normal,
    noised,
    posterior_mean,
    posterior_variance,
    step_variance,
    x_of_eps,
)
from vdm_jax.diffusion.schedules import make_schedule


def test_alpha_and_sigma_lie_on_the_circle_and_keep_small_digits():
    gamma = np.linspace(-20, 20, 41)
    alpha, sigma = alpha_sigma(jnp.asarray(gamma, jnp.float32))
    np.testing.assert_allclose(alpha**2 + sigma**2, 1, rtol=1e-6)
    np.testing.assert_allclose(alpha, np.sqrt(1 / (1 + np.exp(gamma))), rtol=2e-6)
    np.testing.assert_allclose(sigma, np.sqrt(1 / (1 + np.exp(-gamma))), rtol=2e-6)


def test_noised_has_the_moments_of_q(key):
    gamma = jnp.array([-1.0, 2.0])
    eps = jax.random.normal(key, (2, 200_000))
    z = np.asarray(noised(jnp.full((2, 200_000), 0.7), eps, gamma))
    np.testing.assert_allclose(z.mean(1), 0.7 * alpha_sigma(gamma)[0], atol=0.01)
    np.testing.assert_allclose(z.var(1), jax.nn.sigmoid(gamma), rtol=0.01)


def test_posterior_is_bayes_rule(key):
    """q(z_s | z_t, x) by conditioning the joint Gaussian of (z_s, z_t) given x, in float64."""
    gamma_s, gamma_t, x, z_t = -1.3, 0.4, 0.3, -0.8
    a_s, v_s = 1 / np.sqrt(1 + np.exp(gamma_s)), 1 / (1 + np.exp(-gamma_s))
    a_t, v_t = 1 / np.sqrt(1 + np.exp(gamma_t)), 1 / (1 + np.exp(-gamma_t))
    covariance = a_t / a_s * v_s
    mean = a_s * x + covariance / v_t * (z_t - a_t * x)
    variance = v_s - covariance**2 / v_t
    ours = posterior_mean(jnp.full((1, 1), z_t), jnp.full((1, 1), x), jnp.float32(gamma_s), jnp.float32(gamma_t))
    np.testing.assert_allclose(ours, mean, rtol=1e-5)
    np.testing.assert_allclose(posterior_variance(jnp.float32(gamma_s), jnp.float32(gamma_t)), variance, rtol=1e-5)


def test_posterior_variance_is_beta_tilde_and_step_variance_beta():
    betas = np.linspace(1e-4, 0.02, 1000)
    abar = np.cumprod(1 - betas)
    beta_tilde = (1 - abar[:-1]) / (1 - abar[1:]) * betas[1:]
    gammas = make_schedule("ddpm_linear").gamma(jnp.arange(1, 1001) / 1000)
    np.testing.assert_allclose(posterior_variance(gammas[:-1], gammas[1:]), beta_tilde, rtol=2e-4)
    np.testing.assert_allclose(step_variance(gammas[:-1], gammas[1:]), betas[1:], rtol=2e-4)


def test_without_noise_everything_is_finite():
    nothing = jnp.float32(-jnp.inf)
    x, z = jnp.full((1, 2), 0.3), jnp.full((1, 2), 0.9)
    assert np.array_equal(alpha_sigma(nothing), (1.0, 0.0))
    assert np.array_equal(posterior_mean(z, x, nothing, nothing), z)  # s = t: nothing moves
    np.testing.assert_allclose(posterior_mean(z, x, nothing, jnp.float32(1)), x, rtol=1e-6)  # all noise leaves: x
    assert posterior_variance(nothing, nothing) == 0 and posterior_variance(nothing, jnp.float32(1)) == 0


@pytest.mark.parametrize("log_variance", [0.0, 1e-3, -0.5, 3.0])
def test_kl_to_standard_normal(log_variance):
    expected = 0.5 * (0.2**2 + np.exp(log_variance) - 1 - log_variance)
    np.testing.assert_allclose(kl_to_standard_normal(jnp.float32(0.2), jnp.float32(log_variance)), expected, rtol=1e-5)
    small = 0.5 * (np.expm1(np.float64(np.float32(1e-3))) - np.float64(np.float32(1e-3)))
    np.testing.assert_allclose(kl_to_standard_normal(jnp.float32(0), jnp.float32(1e-3)), small, rtol=2e-3)


def test_predictions_convert_into_each_other(key):
    x, eps = jnp.full((3, 2, 2), 0.4), jax.random.normal(key, (3, 2, 2))
    gamma = jnp.array([-4.0, 0.0, 3.0])
    z = noised(x, eps, gamma)
    np.testing.assert_allclose(x_of_eps(eps, z, gamma), x, atol=2e-6)
    np.testing.assert_allclose(eps_of_x(x, z, gamma), eps, atol=2e-6)
