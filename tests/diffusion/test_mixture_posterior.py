"""The exact posterior of stochastic codes: brute force in float64, the limit without noise, rotations and scales."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.diffusion.gaussian import noised
from vdm_jax.diffusion.mixture_posterior import mixture_posterior
from vdm_jax.diffusion.posterior import Feature

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
