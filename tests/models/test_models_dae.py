"""Denoising autoencoders and their attractors against what is known of them."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.models.attractors import distinct, merging_sigmas, nearest_image, on_the_line, settle, two_point_attractor
from vdm_jax.models.dae import (
    DenoisingAutoencoder,
    apply_dae,
    fit_linear,
    jacobian,
    linear_dae,
    linear_spectrum,
    optimal_dae,
    optimal_spectrum,
)
from vdm_jax.networks.latent_mlp import make_latent_mlp

RANDOM = np.random.RandomState(0)
DATA = RANDOM.standard_normal((7, 2, 3, 1)).astype(np.float32)
ROWS = DATA.reshape(7, -1)
X = RANDOM.standard_normal((4, 2, 3, 1)).astype(np.float32)
SETTLE = partial(settle, eta=0.5, tolerance=1e-6, max_steps=2000)


def softmax_by_hand(data, x, sigma):
    logits = -((x[:, None] - data[None]) ** 2).sum(-1) / (2 * sigma**2)
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("sigma", [0.05, 0.7, 30.0])
def test_the_optimal_dae_is_a_softmax_over_the_data(sigma):
    found = apply_dae(optimal_dae(DATA, chunk=3), X, sigma)  # 7 rows in chunks of 3
    expected = softmax_by_hand(ROWS.astype(np.float64), X.reshape(4, -1), sigma) @ ROWS
    np.testing.assert_allclose(found.reshape(4, -1), expected, atol=2e-4)


def test_the_predicted_noise_is_the_score_of_the_noisy_data():
    sigma, x, step = 0.6, X[0].ravel().astype(np.float64), 1e-5

    def log_density(x):
        return np.log(np.exp(-((x - ROWS) ** 2).sum(1) / (2 * sigma**2)).sum())

    score = [(log_density(x + step * e) - log_density(x - step * e)) / (2 * step) for e in np.eye(6)]
    moved = apply_dae(optimal_dae(DATA, chunk=3), X, sigma)[0].ravel() - x
    np.testing.assert_allclose(moved, sigma**2 * np.array(score), atol=2e-4)


@pytest.mark.parametrize("ratio", [0.2, 0.6, 0.9, 0.99])
def test_two_points_have_two_attractors_where_a_squared_is_above_sigma_squared(ratio):
    pair = np.float32([[2.0, 1.0, -1.0], [-1.0, 0.0, 3.0]])
    a = float(np.linalg.norm(pair[0] - pair[1])) / 2
    dae, sigma = optimal_dae(pair), ratio * a
    _, end = on_the_line(pair, lambda starts: SETTLE(dae, starts, sigma).x)
    root = two_point_attractor(a, sigma)
    assert 0 < root <= a * (1 - 1e-9 * (ratio > 0.5)) and root == pytest.approx(
        a * math.tanh(a * root / sigma**2), abs=1e-9
    )
    assert end == pytest.approx(root, abs=2e-3)
    assert two_point_attractor(a, 1e-2 * a) == pytest.approx(a, abs=1e-9)


@pytest.mark.parametrize("ratio", [1.05, 1.5, 4.0])
def test_two_points_have_one_attractor_between_them_otherwise(ratio):
    pair = np.float32([[2.0, 1.0], [-1.0, 0.0]])
    a = float(np.linalg.norm(pair[0] - pair[1])) / 2
    _, end = on_the_line(pair, lambda starts: SETTLE(optimal_dae(pair), starts, ratio * a).x)
    assert two_point_attractor(a, ratio * a) == 0 and two_point_attractor(a, a) == 0
    assert end == pytest.approx(0, abs=1e-3)
    assert merging_sigmas(pair) == pytest.approx({"of_the_mean": a, "single": a}, rel=1e-5)


def test_small_sigma_returns_every_image_and_large_sigma_the_mean():
    dae, starts = optimal_dae(DATA), DATA + 0.05 * RANDOM.standard_normal(DATA.shape).astype(np.float32)
    np.testing.assert_allclose(SETTLE(dae, starts, 0.1).x, DATA, atol=1e-3)
    single = merging_sigmas(ROWS)["single"]
    ends = SETTLE(dae, starts, 1.1 * single)
    assert ends.converged(1e-5).all() and len(set(distinct(ends.x, 1e-3))) == 1
    far = apply_dae(dae, starts, 100 * single)
    np.testing.assert_allclose(far, np.broadcast_to(DATA.mean(0), DATA.shape), atol=1e-3)


def test_the_size_of_the_steps_moves_no_attractor():
    found = [settle(optimal_dae(DATA), X, 0.3, eta=eta, tolerance=1e-6, max_steps=2000) for eta in (1.0, 0.2)]
    np.testing.assert_allclose(found[0].x, found[1].x, atol=1e-4)
    assert found[0].num_steps < found[1].num_steps


def test_residual_and_number_of_steps():
    dae = optimal_dae(DATA)
    ends = settle(dae, X, 0.5, eta=0.5, tolerance=0.0, max_steps=13)
    assert ends.num_steps == 13
    left = ends.x - np.asarray(apply_dae(dae, ends.x, 0.5))
    np.testing.assert_allclose(ends.residual, np.sqrt((left**2).mean((1, 2, 3))), rtol=1e-3, atol=1e-6)
    assert settle(dae, X, 0.5, eta=0.5, tolerance=1e9, max_steps=500).num_steps == 10


def test_the_linear_dae_is_the_regression_on_noisy_images():
    sigma, data = 0.8, RANDOM.standard_normal((5, 3)) @ RANDOM.standard_normal((3, 4)) + 2  # a subspace of 3 dimensions
    centred = data - data.mean(0)
    covariance = centred.T @ centred / len(data)
    weights = covariance @ np.linalg.inv(covariance + sigma**2 * np.eye(4))
    fit, x = fit_linear(data), RANDOM.standard_normal((6, 4)).astype(np.float32)
    np.testing.assert_allclose(
        apply_dae(linear_dae(fit), x, sigma), data.mean(0) + (x - data.mean(0)) @ weights.T, atol=1e-4
    )
    lines = apply_dae.lower(linear_dae(fit), x, sigma).as_text().splitlines()
    products = [line for line in lines if "stablehlo.dot_general" in line]
    assert len(products) == 2 and all("HIGHEST" in line for line in products), "float32 on accelerators too"
    assert len(fit.variances) == 3
    np.testing.assert_allclose(linear_spectrum(fit, sigma), np.linalg.eigvalsh(weights)[::-1][:3], atol=1e-5)


def test_svd_diffusion_ends_on_the_subspace_and_not_at_an_image():
    dae = linear_dae(fit_linear(DATA, rank=2))
    ends = SETTLE(dae, X, 0.0).x
    np.testing.assert_allclose(ends, apply_dae(dae, X, 0.0), atol=1e-4)  # the projection: every point of it is fixed
    np.testing.assert_allclose(apply_dae(dae, ends, 0.0), ends, atol=1e-4)
    _, distance = nearest_image(ROWS, ends.reshape(4, -1))
    assert distance.min() > 0.05 and len(set(distinct(ends, 1e-2))) == 4
    shrunk = SETTLE(linear_dae(fit_linear(DATA)), X, 0.5).x  # with a sigma: to the mean, and to nothing else
    np.testing.assert_allclose(shrunk, np.broadcast_to(DATA.mean(0), X.shape), atol=1e-3)


def test_the_jacobian_of_the_optimal_dae_is_the_posterior_covariance():
    sigma, x = 0.7, X[1]
    found = jacobian(optimal_dae(DATA), jnp.asarray(x), jnp.float32(sigma), chunk=4)  # 6 directions in chunks of 4
    weights = softmax_by_hand(ROWS, x.reshape(1, -1), sigma)[0]
    centred = ROWS - weights @ ROWS
    np.testing.assert_allclose(found, centred.T @ (weights[:, None] * centred) / sigma**2, atol=1e-4)
    np.testing.assert_allclose(optimal_spectrum(ROWS, x.ravel(), sigma), np.linalg.eigvalsh(found)[::-1], atol=1e-4)


def test_the_rank_of_the_jacobian_at_an_image_between_two_and_far_away():
    at = partial(optimal_spectrum, ROWS[:2] + np.float32([[9], [-9]]))
    pair = ROWS[:2] + np.float32([[9], [-9]])
    assert at(pair[0], 0.5).max() < 1e-6  # the image alone is likely there
    a = float(np.linalg.norm(pair[0] - pair[1])) / 2
    np.testing.assert_allclose(at(pair.mean(0), 0.5), [(a / 0.5) ** 2, 0, 0, 0, 0, 0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(at(pair.mean(0) + 5, 1e3), [(a / 1e3) ** 2, 0, 0, 0, 0, 0], rtol=1e-3, atol=1e-6)


def test_the_jacobian_of_the_linear_dae_is_its_matrix():
    fit = fit_linear(DATA)
    found = jacobian(linear_dae(fit), jnp.asarray(X[0]), jnp.float32(0.5))
    spectrum = np.pad(np.asarray(linear_spectrum(fit, 0.5)), (0, 6 - len(fit.variances)))
    np.testing.assert_allclose(np.linalg.svd(found, compute_uv=False), spectrum, atol=1e-5)


def model(sigma_range=(0.1, 2.0)):
    mean, deviation = DATA.mean(0), float(np.sqrt(DATA.var(0).mean()))
    network = make_latent_mlp((6,), width=8, num_layers=1)
    return DenoisingAutoencoder(network, (6,), mean, deviation, sigma_range, lambda levels: levels)


def test_the_untrained_dae_is_that_of_an_isotropic_gaussian(key):
    dae = model()
    params = {"network": jax.jit(dae.network.init)(key)}
    draws = dae.mean[None] + dae.deviation * RANDOM.standard_normal((4096, *DATA.shape[1:])).astype(np.float32)
    found, (loss, metrics) = jax.jit(
        lambda params, draws: (
            dae.denoise(params, draws, jnp.float32(0.5)),
            dae.loss_fn(params, {}, {"levels": draws}, key, 0),
        )
    )(params, draws)
    kept = dae.deviation**2 / (dae.deviation**2 + 0.25)
    np.testing.assert_allclose(found, dae.mean + kept * (draws - dae.mean), rtol=1e-5, atol=1e-5)
    assert float(loss.mean()) == pytest.approx(1, abs=0.05)
    low, high = (s**2 * dae.deviation**2 / (dae.deviation**2 + s**2) for s in dae.sigma_range)
    assert low < float(metrics["mse"].mean()) < high


def test_groups_of_ends():
    x = np.float32([[0.0, 0.0], [1.0, 1.0], [0.05, 0.0], [1.0, 0.95]])
    assert distinct(x, 0.1).tolist() == [0, 1, 0, 1] and distinct(x, 0.01).tolist() == [0, 1, 2, 3]
    index, distance = nearest_image(x[:2], np.float32([[0.6, 0.6]]))
    assert index.tolist() == [1] and distance[0] == pytest.approx(0.4, abs=1e-6)
