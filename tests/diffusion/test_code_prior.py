"""The prior of the code: bounds that are tight where everything is Gaussian, and stay bounds where it is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_data import denoise_by

from vdm_jax.diffusion.code_prior import DiffusionPrior, NormalPrior, density_bound, entropy
from vdm_jax.diffusion.gaussian import alpha_sigma, expand
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.diffusion.times import stratified_times

SCHEDULE = make_schedule("linear", gamma_min=-12.0, gamma_max=6.0)
DRAWS = 100_000


def exact_denoise(mean, deviation, schedule=SCHEDULE):
    """Of x ~ N(mean, deviation²): eps_hat = sigma_t (z_t - alpha_t mean)/(alpha_t² deviation² + sigma_t²)."""

    def eps_hat(z_t, t):
        alpha, sigma = alpha_sigma(expand(schedule.gamma(t), z_t))
        return sigma * (z_t - alpha * mean) / (alpha**2 * deviation**2 + sigma**2)

    return denoise_by(schedule, "eps", eps_hat)


def gaussian_prior(mean, deviation, schedule=SCHEDULE):
    """A `DiffusionPrior` that is exactly N(mean, deviation²)."""

    def network(params, z_t, t):
        sigma = alpha_sigma(expand(schedule.gamma(t), z_t))[1]
        return exact_denoise(mean, deviation, schedule)(z_t, t).eps - sigma * z_t

    return DiffusionPrior(network, schedule, 200)


def nats(x, mean, deviation):
    """-log N(x; mean, deviation²), [...]."""
    return 0.5 * ((x - mean) / deviation) ** 2 + jnp.log(deviation) + 0.5 * jnp.log(2 * jnp.pi)


def means(values):
    return np.mean(values), np.std(values) / np.sqrt(len(values))


def repeated(*values):
    return tuple(jnp.full((DRAWS, 1), value) for value in values)


def test_the_bound_on_a_gaussian_is_its_log_density(key):
    """For each x, not only in the mean."""
    times = stratified_times(jax.random.key(1), DRAWS)
    for x in (-0.5, 1.0, 2.5):
        mean, error = means(density_bound(key, *repeated(x), exact_denoise(1.0, 0.5), SCHEDULE, times))
        np.testing.assert_allclose(mean, nats(x, 1.0, 0.5), atol=4 * error + 0.01)
        assert error < 0.06


def test_a_wrong_model_has_a_larger_bound(key):
    times = stratified_times(jax.random.key(1), DRAWS)
    x = 1.0 + 0.5 * jax.random.normal(jax.random.key(2), (DRAWS, 1))
    right, wrong = (density_bound(key, x, exact_denoise(mean, 0.5), SCHEDULE, times).mean() for mean in (1.0, 0.0))
    np.testing.assert_allclose(wrong - right, 2.0, atol=0.1)  # KL(N(1, ¼) || N(0, ¼))
    np.testing.assert_allclose(right, entropy(jnp.full((1, 1), 2 * np.log(0.5)))[0], atol=0.05)


@pytest.mark.slow
def test_a_network_of_zeros_is_the_standard_normal(key):
    mu, logvar = repeated(1.5, np.log(0.04))
    w = mu + jnp.exp(0.5 * logvar) * jax.random.normal(jax.random.key(3), mu.shape)
    times = stratified_times(jax.random.key(1), DRAWS)
    prior = DiffusionPrior(lambda params, z_t, t: jnp.zeros_like(z_t), SCHEDULE, 10)
    mean, error = means(prior.rate({}, key, mu, logvar, w, times))
    exact = NormalPrior().rate({}, key, mu, logvar, w, times)[0]
    np.testing.assert_allclose(mean, exact, atol=4 * error + 0.01)
    assert error < 0.06


def test_distortion_plus_rate_is_log_p_of_x_where_all_is_exact_and_above_it_where_not(key):
    """w ~ N(1, 0.3²), x = 2w + 0.4 n: with the exact posterior q(w|x) and prior D + R = -log p(x) for every x.

    Under N(0, 1) as the prior it lies above by KL(q(w|x) || N(0, 1)) - KL(q(w|x) || p(w)), with a q twice as wide by
    KL(q || p(w|x)).
    """
    m, s, a, n = 1.0, 0.3, 2.0, 0.4
    precision = 1 / s**2 + a**2 / n**2
    x = jnp.float32(2.9)
    mu, deviation = (m / s**2 + a * x / n**2) / precision, precision**-0.5
    exact = nats(x, a * m, np.hypot(a * s, n))
    noise = jax.random.normal(jax.random.key(3), (DRAWS, 1))
    times = stratified_times(jax.random.key(1), DRAWS)

    def bound(prior, width):
        moments = repeated(mu, 2 * jnp.log(width * deviation))
        w = moments[0] + width * deviation * noise
        distortion = density_bound(key, *repeated(x), exact_denoise(a * w, n), SCHEDULE, times)
        return means(distortion + prior.rate({}, jax.random.key(4), *moments, w, times))

    tight, error = bound(gaussian_prior(m, s), 1.0)
    assert error < 0.06
    np.testing.assert_allclose(tight, exact, atol=4 * error + 0.01)

    def kl(mean, sd):  # KL(q(w|x) || N(mean, sd²))
        return 0.5 * ((deviation / sd) ** 2 + ((mu - mean) / sd) ** 2 - 1) + jnp.log(sd / deviation)

    loose, error = bound(NormalPrior(), 1.0)
    np.testing.assert_allclose(loose - exact, kl(0.0, 1.0) - kl(m, s), atol=4 * error + 0.01)
    wide, error = bound(gaussian_prior(m, s), 2.0)
    np.testing.assert_allclose(wide - exact, 0.5 * (4 - 1) - np.log(2), atol=4 * error + 0.01)


def test_draws_from_the_prior_have_its_moments(key):
    draws = gaussian_prior(1.0, 0.5).sample({}, key, (4000, 2))
    np.testing.assert_allclose(draws.mean(0), 1.0, atol=0.04)
    np.testing.assert_allclose(draws.std(0), 0.5, atol=0.03)


def test_a_draw_ends_with_the_likelihood_that_the_bound_has(key):
    """w ~ N(z_0/alpha_0, sigma_0²/alpha_0²), seen where z_0 is noisy: the variance is s² + 2 sigma_0²/alpha_0²."""
    noisy = make_schedule("linear", gamma_min=-1.0, gamma_max=6.0)
    draws = gaussian_prior(1.0, 0.5, noisy).sample({}, key, (4000, 2))
    np.testing.assert_allclose(draws.mean(0), 1.0, atol=0.08)
    np.testing.assert_allclose(draws.std(0), np.sqrt(0.25 + 2 * np.exp(-1)), atol=0.05)
