"""The exact posterior of stochastic codes: brute force in float64, the limit without noise, rotations and scales."""

import math
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.diffusion.gaussian import noised
from vdm_jax.diffusion.mixture_posterior import centred_moments, mixture_posterior
from vdm_jax.diffusion.mixture_rows import make_mixture
from vdm_jax.diffusion.posterior import Feature, finite_posterior, score
from vdm_jax.diffusion.theory import two_gaussians

RANDOM = np.random.default_rng(0)
NUM, SHAPE = 11, (2, 5)
MEAN = RANDOM.normal(size=(NUM, *SHAPE)).astype(np.float32) + 3
VARIANCE = np.exp(RANDOM.uniform(-8, 0.5, size=(NUM, *SHAPE))).astype(np.float32)
MEAN[7], VARIANCE[7] = MEAN[2], VARIANCE[2]
MEAN[1], VARIANCE[1] = MEAN[0] + 0.5 * np.sqrt(VARIANCE[0]), 1.3 * VARIANCE[0]  # as likely as 0 without any noise
LABELS = {"a": np.arange(NUM) % 3, "b": np.arange(NUM) // 6}
FEATURES = {name: Feature(np.bincount(label) / NUM) for name, label in LABELS.items()}
INDEX = np.array([0, 2, 4, 7, 10])
EPS = RANDOM.normal(size=(5, *SHAPE)).astype(np.float32)


def brute_force(z, gamma, mean=MEAN, variance=VARIANCE):
    """p(i | z_t) [Q, N], and mean and variance of u given i and z_t [Q, N, D], in float64."""
    z, mean, variance = (np.float64(x).reshape(len(x), -1) for x in (z, mean, variance))
    alpha2, sigma2 = 1 / (1 + np.exp(gamma)), 1 / (1 + np.exp(-gamma))
    v = alpha2 * variance + sigma2
    difference = z[:, None] - np.sqrt(alpha2) * mean[None]
    log_p = -0.5 * (difference**2 / v[None] + np.log(v)[None]).sum(axis=2)
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    of_u = (np.sqrt(alpha2) * variance[None] * z[:, None] + sigma2 * mean[None]) / v[None]
    return p / p.sum(axis=1, keepdims=True), of_u, variance * sigma2 / v


def of_classes(p, label):
    return np.stack([p[:, label == c].sum(axis=1) for c in range(label.max() + 1)], axis=1)


@pytest.fixture(scope="module")
def posterior():
    return mixture_posterior(MEAN, VARIANCE, LABELS, FEATURES, chunk=4)


def noisy(u, gamma):
    """z_t of eps and then of -eps."""
    u = jnp.asarray(u).reshape(-1, *SHAPE)
    return jnp.concatenate([noised(u, sign * jnp.asarray(EPS), jnp.float32(gamma)) for sign in (1, -1)])


@pytest.mark.parametrize("chunk", [3, NUM])
def test_the_posterior_is_that_by_brute_force_in_float64(key, chunk):
    posterior = mixture_posterior(MEAN, VARIANCE, LABELS, FEATURES, chunk)
    pair = posterior.correlate(jnp.asarray(INDEX), jnp.asarray(EPS), key)
    compiled = jax.jit(lambda post, z, gamma: (post.classes(z, gamma), post.mean(z, gamma)))
    kept = jax.jit(lambda post, pair, gamma: post.classes_from(pair, gamma))
    for gamma in (-20.0, -3.0, 0.5, 6.0, 15.0):
        z = noisy(pair.u, gamma)
        p, of_u, _ = brute_force(z, gamma)
        classes, mean = compiled(posterior, z, jnp.float32(gamma))
        np.testing.assert_allclose(mean.reshape(10, -1), np.einsum("qn,qnd->qd", p, of_u), atol=1e-5)
        found = kept(posterior, pair, jnp.float32(gamma))
        for name, label in LABELS.items():
            expected = of_classes(p, label)
            np.testing.assert_allclose(classes[name], expected, atol=1e-4, err_msg=f"{name} {gamma}")
            np.testing.assert_allclose(found[name], expected, atol=1e-4, err_msg=f"{name} {gamma}")
        assert gamma > -20 or 0.05 < of_classes(p, LABELS["a"])[0, 0] < 0.95  # a case that rounding could decide


def test_draws_have_the_distribution_of_u_given_z(posterior, key):
    """The share of draws below several points, value by value, beside the mixture's distribution function."""
    gamma, num = 1.0, 4_000
    z = noisy(MEAN[INDEX], gamma)[:2]
    draw = jax.jit(jax.vmap(lambda key: posterior.draw(key, z, jnp.float32(gamma))))
    drawn = np.asarray(draw(jax.random.split(key, num))).reshape(num, 2, -1)
    p, of_u, variance = brute_force(z, gamma)
    assert 0.02 < p.max(axis=1).min() < 0.98
    for at in (2.0, 2.7, 3.3):
        below = [[math.erf(x) for x in row] for row in ((at - of_u) / np.sqrt(2 * variance)).reshape(2 * NUM, -1)]
        expected = np.einsum("qn,qnd->qd", p, 0.5 + 0.5 * np.array(below).reshape(2, NUM, -1))
        np.testing.assert_allclose((drawn < at).mean(axis=0), expected, atol=4.5 * math.sqrt(0.25 / num))


def test_random_latents_have_the_moments_of_their_members(posterior, key):
    eps = jnp.zeros((NUM, *SHAPE))
    np.testing.assert_allclose(posterior.correlate(jnp.arange(NUM), eps).u, MEAN.reshape(NUM, -1), atol=1e-6)
    draw = jax.jit(jax.vmap(lambda key: posterior.correlate(jnp.arange(NUM), eps, key).u))
    drawn = np.asarray(draw(jax.random.split(key, 2_000)))
    scaled = (drawn - MEAN.reshape(NUM, -1)) / np.sqrt(VARIANCE.reshape(NUM, -1))
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=4.5 / math.sqrt(2_000))
    np.testing.assert_allclose(scaled.var(axis=0), 1, atol=4.5 * math.sqrt(2 / 2_000))


def test_members_are_read_in_blocks_and_their_moments_are_kept():
    """The host needs a small part of the size of the moments while the posterior is made."""
    num, size = 20_000, 16
    mean = np.random.default_rng(1).normal(size=(num, size)).astype(np.float32) + 3
    variance = np.exp(mean - 4)
    make_mixture(mean, variance, chunk=1_024)  # compiled, which takes memory of its own
    tracemalloc.start()
    mixture = make_mixture(mean, variance, chunk=1_024)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.6 * (mean.nbytes + variance.nbytes), peak
    np.testing.assert_allclose(mixture.centre, mean.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(mixture.spread, mean.var(axis=0) + variance.mean(axis=0), rtol=1e-5)
    index = np.array([0, 1_023, 1_024, num - 1])
    kept = centred_moments(mixture, jnp.asarray(index))
    np.testing.assert_allclose(kept[0] + mixture.centre[None], mean[index], rtol=1e-5)
    np.testing.assert_array_equal(kept[1], variance[index])


def test_without_variance_it_is_the_posterior_of_rows():
    posterior = mixture_posterior(MEAN, np.zeros_like(MEAN), LABELS, FEATURES, chunk=4)
    rows = finite_posterior(MEAN, LABELS, FEATURES, chunk=4)

    @jax.jit
    def outcomes(post, z, gamma):
        kept = post.classes_from(post.correlate(jnp.asarray(INDEX), jnp.asarray(EPS)), gamma)
        return post.classes(z, gamma), kept, post.mean(z, gamma)

    for gamma in map(jnp.float32, (-9.0, 0.5, 4.0)):
        z = noisy(MEAN[INDEX], gamma)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3),
            *(outcomes(p, z, gamma) for p in (posterior, rows)),
        )
    u = jnp.asarray(MEAN + 0.3 * RANDOM.normal(size=MEAN.shape).astype(np.float32))
    np.testing.assert_array_equal(posterior.nearest(u), rows.nearest(u))


@pytest.mark.parametrize("sign", [1, -1])
def test_nearly_equal_members_with_little_variance_are_classified_in_float32(sign):
    """Squares of 1e9 whose differences decide: expanded, they would be wrong by hundreds."""
    size = 70
    mean = RANDOM.normal(size=(NUM, size)).astype(np.float32)
    variance = np.full((NUM, size), 1e-8, np.float32)
    mean[1::2] = mean[:-1:2] + np.float32(2e-5) * RANDOM.normal(size=mean[1::2].shape).astype(np.float32)
    posterior = mixture_posterior(mean, variance, LABELS, FEATURES, chunk=4)
    eps = RANDOM.normal(size=(NUM, size)).astype(np.float32)
    for gamma in (-20.0, -16.0):
        z = noised(jnp.asarray(mean), sign * jnp.asarray(eps), jnp.float32(gamma))
        p, _, _ = brute_force(z, gamma, mean, variance)
        assert 0.2 < np.sort(p, axis=1)[:, -2].max() < 0.5
        pair = posterior.correlate(jnp.arange(NUM), jnp.asarray(eps))
        kept = posterior.classes_from(pair, jnp.float32(gamma))["a"].reshape(2, NUM, -1)[(1 - sign) // 2]
        np.testing.assert_allclose(kept, of_classes(p, LABELS["a"]), atol=0.02)
        np.testing.assert_allclose(posterior.classes(z, jnp.float32(gamma))["a"], kept, atol=0.02)


def test_the_nearest_member_is_the_most_likely_one(posterior, key):
    u = MEAN + np.sqrt(VARIANCE) * RANDOM.normal(size=MEAN.shape).astype(np.float32)
    expected = brute_force(u, -30.0)[0].argmax(axis=1)
    np.testing.assert_array_equal(posterior.nearest(jnp.asarray(u)), expected)
    by_mean = ((u[:, None] - MEAN[None]) ** 2).sum(axis=(2, 3)).argmin(axis=1)
    assert (by_mean != expected).any()
    alike = np.asarray(posterior.alike(key, jnp.full(400, 7)))
    assert set(alike) == {2, 7} and 150 < (alike == 2).sum() < 250
    np.testing.assert_array_equal(posterior.alike(jax.random.fold_in(key, 1), jnp.array([0, 9])), [0, 9])


def test_a_rotation_of_the_space_changes_no_class():
    """Of a code whose noise is the same in all directions, though not for all members."""
    flat, noise = MEAN.reshape(NUM, -1), RANDOM.uniform(0.01, 1, size=NUM).astype(np.float32)
    variance = np.tile(noise[:, None], (1, flat.shape[1]))
    turn = np.linalg.qr(RANDOM.normal(size=(flat.shape[1],) * 2))[0].astype(np.float32)
    posterior, turned = (mixture_posterior(mean, variance, LABELS, FEATURES) for mean in (flat, flat @ turn))
    for gamma in map(jnp.float32, (-9.0, 1.0)):
        z = jnp.asarray(flat[INDEX] + RANDOM.normal(size=(5, flat.shape[1])).astype(np.float32))
        for name, expected in posterior.classes(z, gamma).items():
            assert expected.max(axis=1).min() < 0.96 or gamma < 0
            np.testing.assert_allclose(turned.classes(z @ turn, gamma)[name], expected, atol=1e-4)
        np.testing.assert_allclose(turned.mean(z @ turn, gamma), posterior.mean(z, gamma) @ turn, atol=1e-4)


def test_a_factor_shifts_the_curves_over_log_snr(posterior):
    """A_c(logsnr) = A_1(logsnr + 2 ln c), for the very same queries."""
    factor = 3.0
    scaled = mixture_posterior(factor * MEAN, factor**2 * VARIANCE, LABELS, FEATURES, chunk=4)
    pair, same = (p.correlate(jnp.asarray(INDEX), jnp.asarray(EPS), jax.random.key(1)) for p in (posterior, scaled))
    np.testing.assert_allclose(same.u, factor * pair.u, rtol=1e-5)
    for gamma in (-2.0, 1.0, 3.0):
        shifted = scaled.classes_from(same, jnp.float32(gamma + 2 * math.log(factor)))
        for name, expected in posterior.classes_from(pair, jnp.float32(gamma)).items():
            np.testing.assert_allclose(shifted[name], expected, atol=1e-4)


@pytest.mark.parametrize("r", [0.1, 1.0, 4.0])
def test_two_gaussians_have_their_known_scores(r):
    """±1 with variance 0.2: r = alpha²/(0.2 alpha² + sigma²). The average over z is a sum over a fine grid."""
    snr = r / (1 - 0.2 * r)
    gamma, alpha2 = -math.log(snr), snr / (1 + snr)
    means, deviation = np.array([-1, 1]) * math.sqrt(alpha2), math.sqrt(0.2 * alpha2 + 1 - alpha2)
    z = np.linspace(means[0] - 8 * deviation, means[1] + 8 * deviation, 2_001)
    density = np.exp(-((z[:, None] - means) ** 2) / (2 * deviation**2)).sum(axis=1)
    two = {"side": Feature(np.array([0.5, 0.5]), np.array([[-1.0], [1.0]]))}
    mean = np.array([[-1.0], [1.0]], np.float32)
    posterior = mixture_posterior(mean, np.full((2, 1), 0.2, np.float32), {"side": np.array([0, 1])}, two)
    found = score(two["side"], posterior.classes(jnp.asarray(z[:, None], jnp.float32), jnp.float32(gamma))["side"])
    found = [float(np.asarray(values, np.float64) @ density / density.sum()) for values in found]
    known = two_gaussians(r)
    np.testing.assert_allclose(
        found, [known.accuracy, known.retention, math.log(2) - known.information, known.mmse], atol=1e-4
    )
