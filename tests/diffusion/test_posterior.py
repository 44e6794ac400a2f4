"""The exact posterior: the two-Gaussian table, transforms against loops, and the exact model's own consistency."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import alpha_sigma, noised
from vdm_jax.diffusion.posterior import Feature, denoiser_within, finite_posterior, sample_exactly, score
from vdm_jax.diffusion.rows import correlate, correlated_posterior, matrix_posterior
from vdm_jax.diffusion.schedules import make_schedule

# r, accuracy, retention, information in nats (two deltas ±m, r = SNR m²)
TABLE = [
    (0.1, 0.624085, 0.545670, 0.047649),
    (0.5, 0.760250, 0.675057, 0.201345),
    (1.0, 0.841345, 0.775200, 0.336831),
    (2.0, 0.921350, 0.884491, 0.500072),
    (4.0, 0.977250, 0.965701, 0.632720),
]
TWO = Feature(np.array([0.5, 0.5]), np.array([[-1.0], [1.0]]))


@pytest.mark.parametrize(("r", "accuracy", "retention", "information"), TABLE)
def test_two_deltas(r, accuracy, retention, information):
    """E over z by a fine trapezoid; ±m, m = 1, at the gamma where SNR = r."""
    gamma = -jnp.log(jnp.float32(r))
    alpha, sigma = (float(a) for a in alpha_sigma(gamma))
    z = np.linspace(-alpha - 9 * sigma, alpha + 9 * sigma, 4001)
    density = sum(np.exp(-((z - s * alpha) ** 2) / (2 * sigma**2)) for s in (-1, 1)) / (2 * np.sqrt(2 * np.pi) * sigma)
    x = jnp.array([[-1.0], [1.0]])
    p = matrix_posterior(x, jnp.asarray(z, jnp.float32)[:, None], gamma, jnp.eye(2), chunk=1)
    scores = [float(np.trapezoid(np.asarray(values, np.float64) * density, z)) for values in score(TWO, p)]
    found = [scores[0], scores[1], np.log(2) - scores[2]]
    np.testing.assert_allclose(found, [accuracy, retention, information], atol=1e-5)
    np.testing.assert_allclose(scores[1], 1 - scores[3] / 2, atol=1e-5)  # R = 1 - mmse_c/2
    assert TWO.entropy == pytest.approx(np.log(2)) and TWO.variance == pytest.approx(1)


@pytest.mark.parametrize("chunk", [1, 3, 7, 50])
@pytest.mark.parametrize("gamma", [-9.0, 0.5, 6.0])
def test_streaming_is_the_softmax_over_all(key, chunk, gamma):
    x, z, values = (
        jax.random.normal(jax.random.fold_in(key, i), shape) for i, shape in enumerate([(7, 5), (4, 5), (7, 2)])
    )
    alpha, sigma = alpha_sigma(jnp.float32(gamma))
    distances = jnp.sum((z[:, None] - alpha * x[None]) ** 2, axis=2)
    expected = jax.nn.softmax(-distances / (2 * sigma**2), axis=1) @ values
    found = matrix_posterior(x, z, jnp.float32(gamma), values, chunk)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5)


def test_scores_by_hand():
    feature = Feature(np.array([0.25, 0.25, 0.5]), np.array([[0.0], [1.0], [3.0]]))
    found = score(feature, jnp.array([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0]]))
    np.testing.assert_allclose(found.accuracy, [0.5, 1.0])
    np.testing.assert_allclose(found.retention, [0.04 + 0.09 + 0.25, 1.0], rtol=1e-6)
    np.testing.assert_allclose(found.entropy, [-(np.log([0.2, 0.3, 0.5]) @ [0.2, 0.3, 0.5]), 0.0], rtol=1e-6)
    np.testing.assert_allclose(found.mmse, [0.3 + 4.5 - 1.8**2, 0.0], rtol=1e-5)
    assert feature.entropy == pytest.approx(1.5 * np.log(2)) and feature.variance == pytest.approx(0.25 + 4.5 - 1.75**2)


def test_the_exact_model_draws_the_noising_process_backwards_on_a_coarse_grid(key):
    """Three steps from noise: x has the data's weights and each z_t the marginal of q."""
    schedule = make_schedule("linear", gamma_min=-6.0, gamma_max=4.0)
    points = jnp.array([[-1.5], [0.2], [0.2], [1.0]])

    def draw(key, z, gamma):
        alpha, sigma = alpha_sigma(gamma)
        logits = -((z - alpha * points[:, 0][None]) ** 2) / (2 * sigma**2)
        return points[jax.random.categorical(key, logits, axis=1)]

    times = jnp.array([1.0, 0.6, 0.3, 0.0])
    x = points[jax.random.randint(jax.random.fold_in(key, 1), (20_000,), 0, 4)]
    gamma_1 = schedule.gamma(jnp.float32(1))
    z_1 = noised(x, jax.random.normal(jax.random.fold_in(key, 2), x.shape), gamma_1)
    last, path = sample_exactly(key, draw, schedule, z_1, times)
    np.testing.assert_array_equal(path[-1], last)
    for z_t, gamma_t in zip(path, schedule.gamma(times), strict=True):
        fresh = noised(x, jax.random.normal(jax.random.fold_in(key, 3), x.shape), gamma_t)
        found, expected = ([(z < at).mean() for at in np.linspace(-2, 2, 12)] for z in (z_t, fresh))
        np.testing.assert_allclose(found, expected, atol=0.015)
    found = [(abs(last - p) < 0.3).mean() for p in (-1.5, 0.2, 1.0)]
    np.testing.assert_allclose(found, [0.25, 0.5, 0.25], atol=0.015)


@pytest.mark.parametrize("gamma", [-12.0, -1.0, 0.5, 9.0])
def test_the_posterior_from_kept_correlations(key, gamma):
    """Of eps and of its mirror image, beside the posterior of the z_t that they make."""
    rows, eps = (jax.random.normal(named_key(key, name), (n, 5)) for name, n in (("rows", 40), ("eps", 6)))
    x, values = rows[:6], jax.nn.one_hot(jnp.arange(40) % 3, 3)
    found = correlated_posterior(correlate(rows, x, eps), jnp.float32(gamma), values)
    z = jnp.concatenate([noised(x, sign * eps, jnp.float32(gamma)) for sign in (1, -1)])
    np.testing.assert_allclose(found, matrix_posterior(rows, z, jnp.float32(gamma), values, chunk=7), atol=2e-5)


ROWS = np.random.default_rng(0).normal(size=(11, 2, 3)).astype(np.float32)
ROWS[7] = ROWS[2]
LABELS = {"a": np.arange(11) % 3, "b": np.arange(11) // 6}
FEATURES = {name: Feature(np.bincount(label) / 11) for name, label in LABELS.items()}
EPS = np.random.default_rng(1).normal(size=(5, 2, 3)).astype(np.float32)
QUERIES = np.array([0, 2, 4, 7, 10])


def by_brute_force(z, gamma):
    """p(x_i | z_t), [Q, N], in float64."""
    alpha, variance = np.sqrt(1 / (1 + np.exp(gamma))), 1 / (1 + np.exp(-gamma))
    distance = ((np.float64(z)[:, None] - alpha * np.float64(ROWS)[None]) ** 2).sum((2, 3)) / (2 * variance)
    p = np.exp(distance.min(axis=1, keepdims=True) - distance)
    return p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("gamma", [-20.0, -3.0, 0.5, 6.0])
@pytest.mark.parametrize("chunk", [3, 11])
def test_a_finite_posterior_is_that_by_brute_force_in_float64(gamma, chunk):
    posterior = finite_posterior(ROWS, LABELS, FEATURES, chunk)
    both = [np.asarray(noised(jnp.asarray(ROWS[QUERIES]), s * jnp.asarray(EPS), jnp.float32(gamma))) for s in (1, -1)]
    p = by_brute_force(np.concatenate(both), gamma)
    compiled = jax.jit(lambda posterior, z, gamma: (posterior.classes(z, gamma), posterior.mean(z, gamma)))
    classes, mean = compiled(posterior, jnp.concatenate(both), jnp.float32(gamma))
    kept = posterior.classes_from(posterior.correlate(jnp.asarray(QUERIES), jnp.asarray(EPS)), jnp.float32(gamma))
    np.testing.assert_allclose(mean, np.einsum("qn,n...->q...", p, ROWS), atol=1e-4)
    for name, label in LABELS.items():
        expected = np.stack([p[:, label == c].sum(axis=1) for c in range(label.max() + 1)], axis=1)
        np.testing.assert_allclose(classes[name], expected, atol=1e-4, err_msg=name)
        np.testing.assert_allclose(kept[name], expected, atol=1e-4, err_msg=name)


def test_draws_of_a_finite_posterior_have_its_probabilities(key):
    posterior = finite_posterior(ROWS, LABELS, FEATURES, chunk=4)
    z = jnp.asarray(noised(jnp.asarray(ROWS[QUERIES[:2]]), jnp.asarray(EPS[:2]), jnp.float32(1.0)))
    drawn = jax.vmap(lambda key: posterior.draw(key, z, jnp.float32(1.0)))(jax.random.split(key, 4_000))
    at = np.asarray(posterior.nearest(drawn.reshape(-1, 2, 3))).reshape(-1, 2)
    p = by_brute_force(z, 1.0)
    p[:, 2], p[:, 7] = p[:, 2] + p[:, 7], 0  # equal rows: the first is found
    found = np.stack([np.bincount(at[:, q], minlength=11) / len(at) for q in range(2)])
    np.testing.assert_allclose(found, p, atol=4 * np.sqrt(0.25 / 4_000))


def test_the_nearest_row_and_its_equals(key):
    posterior = finite_posterior(ROWS, LABELS, FEATURES, chunk=4)
    np.testing.assert_array_equal(posterior.nearest(jnp.asarray(ROWS)), [0, 1, 2, 3, 4, 5, 6, 2, 8, 9, 10])
    alike = np.asarray(posterior.alike(key, jnp.full(400, 7)))
    assert set(alike) == {2, 7} and 150 < (alike == 2).sum() < 250
    np.testing.assert_array_equal(posterior.alike(jax.random.fold_in(key, 1), jnp.array([0, 9])), [0, 9])


def products_of(function, *arguments):
    """The matrix products of a function's program, a line each."""
    lines = jax.jit(function).lower(*arguments).as_text().splitlines()
    return [line for line in lines if "stablehlo.dot_general" in line]


def test_products_keep_float32_on_accelerators():
    """Their default rounds the factors to 11 bits, and 1/sigma² makes nats of that."""
    rows, gamma = np.eye(3, 2, dtype=np.float32), jnp.float32(0)
    labels, features, z = {"c": np.arange(3)}, {"c": Feature(np.ones(3) / 3, np.ones((3, 1)))}, jnp.ones((4, 2))
    posterior = finite_posterior(rows, labels, features)

    def all_of_it(posterior, key):
        found = posterior.correlate(jnp.arange(4), z)
        curves = score(features["c"], posterior.classes(z, gamma)["c"]), posterior.classes_from(found, gamma)
        return curves, posterior.mean(z, gamma), posterior.nearest(z), posterior.draw(key, z, gamma)

    def within(rows):
        return denoiser_within(rows, jnp.ones((4, 3), bool), make_schedule("linear"))(z, jnp.ones(4))

    found = products_of(all_of_it, posterior, jax.random.key(0)) + products_of(within, jnp.asarray(rows))
    assert len(found) > 10 and all("HIGHEST" in line for line in found)
    assert not any("HIGHEST" in line for line in products_of(jnp.matmul, rows, rows.T))
