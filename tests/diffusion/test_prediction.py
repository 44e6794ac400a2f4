"""Predictions of x and eps: each by the direct formula, exact at any noise level, finite without noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.gaussian import alpha_sigma, noised
from vdm_jax.diffusion.prediction import TARGETS, to_prediction
from vdm_jax.diffusion.rows import matrix_posterior

GAMMAS = (-np.inf, -13.0, 0.0, 5.0)


def outputs(x, eps, z, gamma):
    """What an exact network of each target says, [B, ...], gamma [B]; log_odds for x inside ±1."""
    alpha, sigma = alpha_sigma(gamma[:, None])
    own = jnp.minimum(alpha * (1 + jnp.exp(-gamma[:, None])), 1e4)
    of_normal = {"normal": eps - sigma * z}
    return of_normal | {"eps": eps, "x": x, "v": alpha * eps - sigma * x, "log_odds": jnp.arctanh(x) - own * z}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("gamma", [-3.0, 0.0, 5.0])
def test_x_and_eps_make_up_z(key, target, gamma):
    """z = alpha x + sigma eps, whatever the network says. Any of `TARGETS`."""
    output, z = jax.random.normal(key, (2, 2, 3))
    x, eps = to_prediction(target, output, z, jnp.full(2, gamma))
    alpha, sigma = alpha_sigma(jnp.float32(gamma))
    np.testing.assert_allclose(alpha * x + sigma * eps, z, atol=1e-5)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("gamma", GAMMAS)
def test_round_trips(key, target, gamma):
    x, eps = jnp.full((2, 3), 0.4), jax.random.normal(key, (2, 3))
    gammas = jnp.full(2, gamma)
    z = noised(x, eps, gammas)
    found = to_prediction(target, outputs(x, eps, z, gammas)[target], z, gammas)
    # tanh of what is left of log odds near 1e4 keeps four digits; eps = (z - alpha x)/sigma divides by 0.0015 at -13.
    log_odds = target == "log_odds" and gamma < 0
    amplified = target in ("x", "log_odds") and gamma < 0
    np.testing.assert_allclose(
        found.x, x, atol={"eps": 2e-5, "normal": 2e-5, "v": 2e-6}.get(target, 2e-3 if log_odds else 2e-6)
    )
    atol = (1.0 if log_odds else 1e-3) if amplified else 1e-5
    np.testing.assert_allclose(found.eps, 0 * eps if np.isinf(gamma) else eps, atol=atol)


def test_nothing_is_converted_twice():
    """x of target "x" is the output to the last bit, at any noise level; so is eps of target "eps"."""
    output, z = jnp.array([[0.123456789]]), jnp.array([[0.7]])
    for gamma in GAMMAS:
        assert to_prediction("x", output, z, jnp.array([gamma])).x == output
        if np.isfinite(gamma):
            assert to_prediction("eps", output, z, jnp.array([gamma])).eps == output


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_gradients_are_finite_without_noise(target):
    gamma = jnp.array([-jnp.inf, -13.0, 0.0])

    def total(output, z):
        x, eps = to_prediction(target, output, z, gamma)
        return jnp.sum(x**2 + eps**2)

    by_output, by_z = jax.grad(total, argnums=(0, 1))(jnp.full((3, 2), 0.3), jnp.full((3, 2), 0.9))
    assert np.all(np.isfinite(by_output)) and np.all(np.isfinite(by_z))


@pytest.mark.parametrize("target", ["normal", "v"])
@pytest.mark.parametrize("gamma", [-13.0, 0.0, 15.0])
def test_an_output_of_zero_is_the_denoiser_of_standard_normal_data(key, target, gamma):
    z = jax.random.normal(key, (2, 3))
    alpha, sigma = alpha_sigma(jnp.float32(gamma))
    found = to_prediction(target, jnp.zeros((2, 3)), z, jnp.full(2, gamma))
    np.testing.assert_allclose(found.x, alpha * z, rtol=1e-6)
    np.testing.assert_allclose(found.eps, sigma * z, rtol=1e-6)


def test_without_noise_x_is_z_or_the_output():
    output, z, gamma = jnp.full((1, 2), 0.3), jnp.array([[0.9, -0.9]]), jnp.array([-jnp.inf])
    expected = {"eps": z, "v": z, "normal": z, "x": output, "log_odds": jnp.sign(z)}
    for target, x in expected.items():
        found = to_prediction(target, output, z, gamma)
        np.testing.assert_array_equal(found.x, x)
        assert not np.any(found.eps)


def test_a_mistyped_target_is_named():
    with pytest.raises(UserError, match="did you mean 'log_odds'"):
        to_prediction("logodds", jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.zeros(1))


@pytest.mark.parametrize("gamma", [-15.0, -1.0, 0.5, 9.0])
def test_log_odds_of_the_other_pixels_give_the_exact_denoiser(key, gamma):
    """Data are (1, 1) and (-1, -1): the other pixel's half log-odds are alpha z/sigma²."""
    points = jnp.array([[1.0, 1.0], [-1.0, -1.0]])
    z = noised(points[jnp.arange(6) % 2], jax.random.normal(key, (6, 2)), jnp.float32(gamma))
    alpha, sigma = alpha_sigma(jnp.float32(gamma))
    eps = eps_of_log_odds(alpha * z[:, ::-1] / sigma**2, z, jnp.full(6, gamma))
    x = matrix_posterior(points, z, jnp.float32(gamma), points, chunk=2)
    np.testing.assert_allclose(eps, (z - alpha * x) / sigma, atol=2e-3 if gamma < -9 else 1e-4)


def eps_of_log_odds(log_odds, z, gamma):
    return to_prediction("log_odds", log_odds, z, gamma).eps


def test_log_odds_are_finite_and_right_by_themselves_without_noise():
    z = jnp.array([[0.999, -1.001, 0.0]])

    def loss(log_odds, gamma):
        return jnp.sum(eps_of_log_odds(log_odds, z, gamma) ** 2)

    value, slope = jax.value_and_grad(loss)(jnp.full((1, 3), 0.3), jnp.full(1, -13.0))
    assert jnp.isfinite(value) and jnp.isfinite(slope).all()
    eps = eps_of_log_odds(jnp.full((1, 3), 5.0), z, jnp.full(1, -9.2))
    np.testing.assert_allclose(eps[0, :2], [-0.05, -0.05], atol=0.06)  # |z| - 1 over sigma = 0.01, alpha just below 1
