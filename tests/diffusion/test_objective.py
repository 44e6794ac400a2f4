"""The loss against the numbers of exactly solvable data."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_data import VARIANCE, denoise_by, exact_denoise, marginal_variance, point_denoise

from vdm_jax.base.errors import UserError
from vdm_jax.base.images import even_pixel_values
from vdm_jax.diffusion.gaussian import (
    alpha_sigma,
    noised,
    posterior_mean,
    posterior_variance,
    x_of_eps,
)
from vdm_jax.diffusion.likelihood import GaussianLikelihood, LevelLikelihood, bits_per_dim
from vdm_jax.diffusion.objective import WEIGHTINGS, bound_weight, prior_term, vdm_losses
from vdm_jax.diffusion.schedules import Schedule, make_schedule
from vdm_jax.diffusion.times import draw_times

LINEAR = make_schedule("linear")
PIXELS = jnp.asarray(even_pixel_values(256))


def losses_on_gaussian(key, schedule, batch_size=1024, num_dims=1024, num_steps=None, **options):
    x = np.sqrt(VARIANCE) * jax.random.normal(jax.random.key(1), (batch_size, num_dims))
    t = draw_times(jax.random.key(2), batch_size, schedule.num_steps or num_steps)
    denoise = exact_denoise(schedule)
    return vdm_losses(key, x, denoise, schedule, t, GaussianLikelihood(), num_steps=num_steps, **options)


def expected_error(gamma):
    """E (eps - eps_hat)² = alpha² s²/Var z, per dimension."""
    return jax.nn.sigmoid(-gamma) * VARIANCE / marginal_variance(gamma)


@pytest.mark.parametrize(
    ("num_steps", "expected"), [(None, 5.95601), (10, 15.7276), (100, 6.48569), (1000, 6.00624), (10_000, 5.96101)]
)
def test_golden_diffusion_term(num_steps, expected):
    """The weights, over every time, of the exact mean error."""
    t = (jnp.arange(20_000) + 0.5) / 20_000 if num_steps is None else jnp.arange(1, num_steps + 1) / num_steps
    gamma_t, weight = bound_weight(LINEAR, t, num_steps)
    term = np.mean(0.5 * np.float64(weight) * np.float64(expected_error(gamma_t)))
    assert float(term) == pytest.approx(expected, rel=3e-5)


@pytest.mark.parametrize(("num_steps", "expected"), [(None, 5.95601), (10, 15.7276), (100, 6.48569)])
def test_the_loss_estimates_the_golden_term(key, num_steps, expected):
    term = losses_on_gaussian(key, LINEAR, num_steps=num_steps).terms.diffusion.mean() / 1024
    assert float(term) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("name", ["ddpm_linear", "cosine", "constant"])
def test_on_a_table_the_sum_starts_at_the_second_step(name):
    schedule = make_schedule(name)
    t = jnp.arange(1, schedule.num_steps + 1) / schedule.num_steps
    gamma_t, weight = bound_weight(schedule, t, None)
    gammas = np.float64(gamma_t)
    expected = schedule.num_steps * np.expm1(gammas[1:] - gammas[:-1])
    assert weight[0] == 0
    np.testing.assert_allclose(weight[1:], expected, rtol=1e-3)


def test_a_step_of_the_chain_is_a_kl_divergence(key):
    """½ T expm1(gamma_t - gamma_s) ||eps - eps_hat||² = T KL(q(z_s | z_t, x) || q(z_s | z_t, x_hat))."""
    x, eps = jnp.full((4, 3), 0.4), jax.random.normal(key, (4, 3))
    t = jnp.array([0.2, 0.5, 0.8, 1.0])
    gamma_t, weight = bound_weight(LINEAR, t, 10)
    gamma_s = LINEAR.gamma(t - 0.1)
    z_t, eps_hat = noised(x, eps, gamma_t), 0.7 * eps
    x_hat = x_of_eps(eps_hat, z_t, gamma_t)
    shift = posterior_mean(z_t, x, gamma_s, gamma_t) - posterior_mean(z_t, x_hat, gamma_s, gamma_t)
    kl = 0.5 * (shift**2).sum(1) / posterior_variance(gamma_s, gamma_t)
    np.testing.assert_allclose(0.5 * weight * ((eps - eps_hat) ** 2).sum(1), 10 * kl, rtol=1e-3)


def test_data_known_beforehand_cost_nothing_in_the_chain(key):
    levels = jnp.full((1024, 8, 8, 1), 100)
    denoise, t = point_denoise(LINEAR, PIXELS[100]), draw_times(jax.random.key(1), 1024, None)
    losses = vdm_losses(key, levels, denoise, LINEAR, t, LevelLikelihood(np.asarray(PIXELS)))
    np.testing.assert_allclose(losses.terms.diffusion, 0, atol=1e-4)
    assert float(bits_per_dim(losses.terms.reconstruction.mean(), 64)) == pytest.approx(0.01045, rel=0.2)
    assert np.all(losses.terms.encoder_kl == 0)


def test_golden_prior_of_the_brightest_image():
    x = jnp.full((1, 28, 28, 1), PIXELS[-1])
    worst = float(bits_per_dim(prior_term(x, LINEAR), 784)[0])
    assert worst == pytest.approx(0.0048, abs=5e-5)


@pytest.mark.parametrize(("half_range", "expected"), [(0.5, 16.2), (1.0, 53.0)])
def test_golden_prior_of_the_constant_schedule_on_mnist(half_range, expected):
    path = Path(os.environ.get("VDM_DATA_DIR", "")) / "mnist.npz"
    if not path.is_file():
        pytest.skip("needs mnist.npz in the folder VDM_DATA_DIR")
    with np.load(path) as file:
        x = (file["x_train"][:20_000] / 127.5 - 1).astype(np.float32) * half_range
    prior = prior_term(jnp.asarray(x), make_schedule("constant", num_steps=2000, beta=1e-3))
    assert float(prior.mean()) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(("half_range", "expected"), [(0.5, 16.2), (1.0, 53.0)])
def test_golden_prior_of_the_constant_schedule_on_the_mean_square_of_mnist(half_range, expected):
    x = jnp.full((1, 784), half_range * np.sqrt(0.9256))  # pixels in ±1: a mean square of 0.9256
    prior = prior_term(x, make_schedule("constant", num_steps=2000, beta=1e-3))
    assert float(prior[0]) == pytest.approx(expected, abs=0.1)


def test_dirac_has_no_bound_and_says_so(key):
    with pytest.raises(UserError, match="no bound is defined for the Dirac schedule"):
        losses_on_gaussian(key, make_schedule("dirac"), batch_size=2, num_dims=2)


def test_the_weights_of_the_papers(key):
    bound = losses_on_gaussian(key, LINEAR, 64, 8)
    assert np.array_equal(bound.trained, bound.terms.diffusion)
    snr = np.exp(-np.float64(bound.gamma_t))
    weights = {"simple": np.ones(64), "p2": 1 / (1 + snr), "min_snr": np.minimum(snr, 5) / snr}
    for name, weight in weights.items():
        other = losses_on_gaussian(key, LINEAR, 64, 8, weighting=name)
        np.testing.assert_allclose(other.trained, 0.5 * weight * bound.squared_error, rtol=1e-4)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_weighting_changes_what_is_trained_and_not_the_bound(key, name):
    """Any of `WEIGHTINGS`: a finite weight >= 0 of each example's squared error. Under "bound" both are the same."""
    bound, other = (losses_on_gaussian(key, LINEAR, 64, 8, weighting=weighting) for weighting in ("bound", name))
    assert np.array_equal(other.terms.diffusion, bound.terms.diffusion)
    weight = WEIGHTINGS[name](bound.gamma_t, 2 * bound.terms.diffusion / bound.squared_error)
    assert weight.shape == (64,) and np.isfinite(weight).all() and (weight >= 0).all() and weight.max() > 0
    np.testing.assert_allclose(other.trained, 0.5 * weight * bound.squared_error, rtol=1e-4)


def test_a_mistyped_weighting_is_named(key):
    with pytest.raises(UserError, match="did you mean 'simple'"):
        losses_on_gaussian(key, LINEAR, 2, 2, weighting="simpel")


def bent(theta):
    """A toy learned schedule: pinned ends, the interior bent by theta."""
    return Schedule(lambda t: -13.3 + 18.3 * (t + theta * t * (1 - t)))


def toy_losses(theta, slope, **options):
    x = 0.5 * jax.random.normal(jax.random.key(1), (256, 4))
    t = draw_times(jax.random.key(2), 256, options.get("num_steps"))
    stopped = Schedule(lambda t: jax.lax.stop_gradient(bent(theta).gamma(t)))
    denoise = denoise_by(stopped, "eps", lambda z, t: jnp.tanh(slope * z) * (1 + t.reshape(-1, 1)))
    return vdm_losses(jax.random.key(3), x, denoise, bent(theta), t, GaussianLikelihood(), **options)


@pytest.mark.slow
@pytest.mark.parametrize("num_steps", [None, 10])
def test_variance_surrogate_has_the_direct_gradient(num_steps):
    def relative_square(theta):
        loss = toy_losses(theta, 0.8, num_steps=num_steps).terms.diffusion
        return 0.5 * (loss**2).mean() / jax.lax.stop_gradient(loss.mean())

    def surrogate(theta, slope):
        return toy_losses(theta, slope, num_steps=num_steps, minimise_variance=True).trained.mean()

    by_theta, by_slope = jax.grad(surrogate, argnums=(0, 1))(0.2, 0.8)
    np.testing.assert_allclose(by_theta, jax.grad(relative_square)(0.2), rtol=1e-4)
    network = jax.grad(lambda slope: toy_losses(0.2, slope, num_steps=num_steps).trained.mean())(0.8)
    np.testing.assert_allclose(by_slope, network, rtol=1e-4)  # the network's own gradient is left as it was


def test_variance_surrogate_lowers_the_variance():
    step = jax.jit(jax.grad(lambda theta: toy_losses(theta, 0.8, minimise_variance=True).trained.mean()))
    theta = 0.0
    for _ in range(100):
        theta -= 1e-3 * np.sign(step(theta)) * 3
    losses = [toy_losses(value, 0.8).terms.diffusion for value in (0.0, theta)]
    assert losses[1].std() < 0.98 * losses[0].std()
    np.testing.assert_allclose(losses[1].mean(), losses[0].mean(), rtol=0.15)


@pytest.mark.slow
def test_on_a_table_the_first_noisy_entry_is_reconstructed(key):
    schedule = make_schedule("ddpm_linear")
    levels = jnp.full((256, 64), 8)
    likelihood = LevelLikelihood(even_pixel_values(17))
    t = draw_times(jax.random.key(1), 256, 1000)
    losses = vdm_losses(key, levels, point_denoise(schedule, likelihood.to_x(levels)[:1]), schedule, t, likelihood)
    sigma_0 = float(alpha_sigma(schedule.gamma(jnp.float32(1e-3)))[1])
    assert sigma_0 == pytest.approx(0.01, rel=1e-4) and np.all(np.isfinite(losses.trained))
    assert np.all(losses.terms.reconstruction < 0.01)  # 17 levels 0.118 apart, 12 deviations of z_0
