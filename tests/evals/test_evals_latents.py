"""Denoising over the best linear denoiser, Gaussian baselines, and the bound through a decoder, by known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from vdm_jax.base.keys import keys_of
from vdm_jax.diffusion.code_prior import density_bound
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.prediction import Prediction
from vdm_jax.diffusion.rows import covariance_of_rows
from vdm_jax.diffusion.schedules import cosine, ddpm_linear, linear
from vdm_jax.diffusion.times import to_steps
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.evals.latents.baselines import GaussianMixture, fit_mixture, gaussian_of, prior_of
from vdm_jax.evals.latents.bound import code_terms, density_terms, latent_bound, time_proposal
from vdm_jax.evals.latents.denoising import (
    denoising_terms,
    gammas_of_parts,
    linear_errors,
    measure_denoising,
    over_linear,
)

TABLES = {"linear": ddpm_linear(), "cosine": cosine()}
OF_A_NORMAL = {"linear": 0.7245, "cosine": 0.5044}  # SCIENCE, section 8
OF_TWO_DELTAS = {"linear": 0.7016, "cosine": 0.4621}


def gammas(schedule):
    return np.asarray(schedule.gamma(jnp.arange(1, schedule.num_steps + 1) / schedule.num_steps))


def steps_of(schedule):
    return lambda t: to_steps(t, schedule.num_steps)


def measured(mixture, schedule, latents, key, parts=5, passes=1, batch_size=2_000):
    """The errors of the optimal denoiser of a mixture, which is its own parameters."""

    def denoise(params):
        return lambda z, t: params.denoise(z, schedule.gamma(t))

    terms = denoising_terms(denoise, schedule, steps_of(schedule), parts)
    return measure_denoising(terms, mixture, latents, parts, key=key, passes=passes, batch_size=batch_size)


def correlated():
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    return np.array([1.0, -2.0, 0.5]), turn @ np.diag([4.0, 1.0, 0.01]) @ turn.T


@pytest.mark.parametrize("name", TABLES)
def test_the_linear_denoiser_of_a_normal_has_the_error_of_the_formula(name):
    of_x, of_eps = linear_errors(np.ones(7), gammas(TABLES[name]))
    assert of_x.mean() == pytest.approx(OF_A_NORMAL[name], abs=6e-5)
    assert (of_x + of_eps).mean() == pytest.approx(1.0)
    flat, _ = linear_errors(np.array([0.0, 2.0]), gammas(TABLES[name]))
    assert flat == pytest.approx(linear_errors(np.array([2.0]), gammas(TABLES[name]))[0] / 2)


@pytest.mark.parametrize("name", TABLES)
def test_two_deltas_have_less_than_the_linear_error(name, key):
    two = GaussianMixture(jnp.log(jnp.full(2, 0.5)), jnp.array([[1.0], [-1.0]]), jnp.zeros((2, 1)), None)
    latents = {"mean": np.random.default_rng(0).choice([-1.0, 1.0], (4_000, 1)).astype(np.float32)}
    errors = measured(two, TABLES[name], latents, key, passes=2)
    linear_one = measured(gaussian_of(np.zeros(1), np.eye(1)), TABLES[name], latents, key, passes=2)
    found = over_linear(errors, linear_one)["x"]
    assert found["loss_standard_error"] < 4e-3
    assert abs(found["loss"] - OF_TWO_DELTAS[name]) < 4 * found["loss_standard_error"]
    expected = OF_TWO_DELTAS[name] / OF_A_NORMAL[name]
    assert abs(found["over_linear"] - expected) < 4 * found["over_linear_standard_error"] < 0.03
    assert len(found["by_time"]["over_linear"]) == 5 and max(found["by_time"]["over_linear"]) < 1.02


def test_a_gaussian_is_denoised_with_the_linear_error_at_every_time(key):
    """Of noisy codes: means with one part of the variance, noise with the other."""
    mean, covariance = correlated()
    noise = np.full((6_000, 3), 0.005, np.float32)
    means = np.random.default_rng(1).multivariate_normal(mean, covariance - 0.005 * np.eye(3), 6_000)
    latents = {"mean": means.astype(np.float32), "variance": noise}
    schedule = TABLES["linear"]
    errors = measured(gaussian_of(mean, covariance), schedule, latents, key)
    levels = gammas_of_parts(schedule, steps_of(schedule), 5)
    np.testing.assert_allclose(levels.ravel(), gammas(schedule))
    formula = linear_errors(np.linalg.eigvalsh(covariance), levels.ravel())
    for name, of_formula in zip(("x", "eps"), formula, strict=True):
        own = getattr(errors, name)
        expected, error = of_formula.reshape(levels.shape).mean(axis=1), own.std(axis=0) / np.sqrt(len(own))
        assert np.all(np.abs(own.mean(axis=0) - expected) < 4.5 * error), name
        assert np.all(error < 0.03 * expected)
    np.testing.assert_allclose(errors.time, (np.arange(5) + 0.5) / 5, atol=2e-3)
    assert np.all(np.diff(errors.logsnr) < 0)
    same = over_linear(errors, errors)["eps"]
    assert same["over_linear"] == 1 and same["over_linear_standard_error"] == 0
    assert np.trace(covariance_of_rows(latents["mean"], noise)[1]) == pytest.approx(np.trace(covariance), rel=0.05)


def mixture():
    rng = np.random.default_rng(3)
    vectors = np.stack([np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(2)])
    values = np.array([[2.0, 1.0, 0.1], [0.5, 0.2, 0.3]])
    mean = np.array([[1.0, 0.0, -1.0], [-2.0, 1.0, 0.5]])
    weights = np.array([0.3, 0.7])
    found = GaussianMixture(*(jnp.asarray(a, jnp.float32) for a in (np.log(weights), mean, values, vectors)))
    return found, weights, mean, vectors @ (values[:, :, None] * vectors.transpose(0, 2, 1))


def log_density(weights, mean, covariance, points):
    each = [multivariate_normal(m, c).logpdf(points) for m, c in zip(mean, covariance, strict=True)]
    return np.logaddexp(*(np.log(w) + one for w, one in zip(weights, each, strict=True)))


def test_a_mixture_has_the_density_and_the_draws_of_its_components(key):
    found, weights, mean, covariance = mixture()
    points = np.random.default_rng(0).standard_normal((50, 3)) * 2
    own = found.log_prob(jnp.asarray(points, jnp.float32))
    np.testing.assert_allclose(own, log_density(weights, mean, covariance, points), rtol=2e-5, atol=1e-4)
    draws = np.asarray(found.draw(keys_of(key, jnp.arange(20_000)), (3, 1)))
    assert draws.shape == (20_000, 3, 1)
    centre = weights @ mean
    between = (mean - centre).T @ np.diag(weights) @ (mean - centre)
    np.testing.assert_allclose(draws[..., 0].mean(axis=0), centre, atol=0.05)
    np.testing.assert_allclose(np.cov(draws[..., 0].T), np.tensordot(weights, covariance, 1) + between, atol=0.1)
    few = found.draw(keys_of(key, jnp.arange(3)), (3, 1))
    np.testing.assert_allclose(few, draws[:3], rtol=1e-5)


def test_the_denoiser_of_a_mixture_is_that_of_tweedie(key):
    """eps_hat = -sigma ∇ log p(z_t), x_hat = (z_t - sigma eps_hat)/alpha."""
    found, weights, mean, covariance = mixture()
    z = np.random.default_rng(0).standard_normal((6, 3))
    step = 1e-4
    for gamma in (-3.0, 0.5):
        alpha, sigma = (float(each) for each in alpha_sigma(jnp.float32(gamma)))
        noisy = alpha**2 * covariance + sigma**2 * np.eye(3)
        slopes = np.stack([
            (log_density(weights, alpha * mean, noisy, z + step * axis)
             - log_density(weights, alpha * mean, noisy, z - step * axis)) / (2 * step)
            for axis in np.eye(3)
        ], axis=1)  # fmt: skip
        x, eps = found.denoise(jnp.asarray(z, jnp.float32), jnp.full(6, gamma))
        np.testing.assert_allclose(eps, -sigma * slopes, atol=2e-4)
        np.testing.assert_allclose(x, (z + sigma**2 * slopes) / alpha, atol=5e-4)


def test_the_mixture_that_is_fitted_finds_clusters_that_a_gaussian_does_not():
    rng = np.random.default_rng(0)
    centres = np.array([[4.0, 0.0], [-4.0, 0.0], [0.0, 4.0]])
    codes, other = (centres[rng.integers(0, 3, 900)] + 0.3 * rng.standard_normal((900, 2)) for _ in range(2))
    fitted = fit_mixture(codes, 3, seed=0)
    gaussian = gaussian_of(*covariance_of_rows(codes, None))
    truth = np.log(np.mean([multivariate_normal(c, 0.09).pdf(other) for c in centres], axis=0)).mean()
    own, single = (float(each.log_prob(jnp.asarray(other, jnp.float32)).mean()) for each in (fitted, gaussian))
    assert own == pytest.approx(truth, abs=0.05) and single < truth - 1
    np.testing.assert_allclose(np.sort(np.asarray(fitted.mean)[:, 0]), [-4, 0, 4], atol=0.1)
    assert fit_mixture(codes[:2], 3, seed=0).mean.shape == (2, 2)


def exact_for_normal(schedule):
    def denoise(z, t):
        alpha, sigma = (each[:, None] for each in alpha_sigma(schedule.gamma(t)))
        return Prediction(alpha * z, sigma * z)

    return denoise


def test_the_bound_of_a_linear_gaussian_vae_with_the_true_diffusion_is_its_likelihood(key):
    """x = W u + noise, u ~ N(0, I), columns of W orthogonal: q is the true posterior, diagonal, and the bound is tight.

    The latents that diffusion sees are scaled by 3: the bound does not depend on it.
    """
    rng, noise, scale = np.random.default_rng(0), 0.5, 3.0
    weights = np.linalg.qr(rng.standard_normal((6, 2)))[0] * np.array([2.0, 0.7])
    images = (rng.standard_normal((800, 2)) @ weights.T + noise * rng.standard_normal((800, 6))).astype(np.float32)
    precision = (weights**2).sum(axis=0) + noise**2
    mean = images @ weights / precision
    data = {
        "levels": images,
        "mean": (scale * mean).astype(np.float32),
        "variance": np.broadcast_to(scale**2 * noise**2 / precision, mean.shape).astype(np.float32),
    }

    def log_prob(params, levels, x):
        off = (levels - x @ params.T / scale) / noise
        return -0.5 * jnp.sum(off**2 + 2 * np.log(noise) + np.log(2 * np.pi), axis=1)

    def diffusion(_, keys, x, t):
        schedule = linear(-7.0, 4.0)

        def one(key, x, t):
            own = density_bound(key, x[None] / scale, exact_for_normal(schedule), schedule, t[None])[0]
            return own + x.size * jnp.log(scale)  # of x = scale u

        return jax.vmap(one)(keys, x, t)

    settings = {"passes": 40, "batch_size": 800, "key": key}
    code = evaluate_bound(code_terms(log_prob), jnp.asarray(weights, jnp.float32), data, **settings).per_image
    latents = {name: data[name] for name in ("mean", "variance")}
    learned = evaluate_bound(density_terms(diffusion), {}, latents, **settings).per_image["density"]
    normal = prior_of(np.full(2, scale))
    prior = evaluate_bound(
        density_terms(lambda params, keys, x, t: -params.log_prob(x)), normal, latents, **settings
    ).per_image["density"]
    exact = -multivariate_normal(np.zeros(6), weights @ weights.T + noise**2 * np.eye(6)).logpdf(images)
    for density in (learned, prior):
        total = code["distortion"] + code["negative_entropy"] + density
        error = (total - exact).std() / np.sqrt(len(exact))
        assert abs(total.mean() - exact.mean()) < 4 * error < 0.25
    found = latent_bound(code, learned, prior)
    assert found["bound_nats"] == pytest.approx((code["distortion"] + code["negative_entropy"] + learned).mean())
    assert found["bound_nats"] == pytest.approx(found["distortion_nats"] + found["rate_nats"])
    assert abs(found["bound_minus_prior_nats"]) < 4 * found["bound_minus_prior_nats_standard_error"]
    worse = latent_bound(code, prior + 1.0, prior)
    assert worse["bound_minus_prior_nats"] == pytest.approx(1.0)
    assert worse["bound_minus_prior_nats_standard_error"] == pytest.approx(0.0, abs=1e-9)


def test_times_that_follow_the_integrand_measure_its_integral_with_less_noise():
    """∫ exp(6 t) dt; the part in which the proposal expects nothing is measured too."""
    u = (np.arange(4_000) + 0.5) / 4_000
    expected = np.exp(6 * (np.arange(50) + 0.5) / 50) * (np.arange(50) > 4)
    t, weight = time_proposal(expected).draw(jnp.asarray(u, jnp.float32))
    assert np.all((np.asarray(t) >= 0) & (np.asarray(t) < 1)) and np.asarray(t).min() < 0.01
    values = np.asarray(weight * jnp.exp(6 * t))
    assert values.mean() == pytest.approx((np.exp(6) - 1) / 6, rel=2e-3)
    assert values.std() < 0.2 * np.exp(6 * u).std()
    flat, ones = time_proposal(np.zeros(3)).draw(jnp.asarray([0.0, 0.5, 0.999]))
    np.testing.assert_allclose(flat, [0.0, 0.5, 0.999], atol=1e-3)
    np.testing.assert_allclose(ones, 1.0, rtol=1e-5)
