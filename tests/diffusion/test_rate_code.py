"""Rate modes on the code as a whole: MMD in closed form, hidden codes, emphasis on high noise."""

import jax
import jax.numpy as jnp
import numpy as np

from vdm_jax.diffusion.rate import Code
from vdm_jax.diffusion.rate_code import mmd_to_standard_normal
from vdm_jax.diffusion.rate_modes import make_rate_mode


def mean_mmd(draw, batches=400, batch=32):
    keys = jax.random.split(jax.random.key(0), batches)
    means = np.asarray(jax.vmap(lambda key: mmd_to_standard_normal(draw(key, (batch, 3))).mean())(keys))
    return means.mean(), means.std() / np.sqrt(batches)


def test_mmd_of_the_prior_is_zero_without_bias():
    mean, error = mean_mmd(jax.random.normal)
    assert abs(mean) < 3 * error < 3e-3


def test_mmd_of_a_gaussian_is_known():
    """q = N(m, s² I): E k = (h/(h + v))^(d/2) exp(-Δ²/(2(h + v))), v the variance of the difference, Δ its mean."""
    h = d = 3.0
    m, s = 0.7, 0.5

    def kernel_mean(variance, shift):
        return (h / (h + variance)) ** (d / 2) * np.exp(-d * shift**2 / (2 * (h + variance)))

    exact = kernel_mean(2 * s**2, 0) - 2 * kernel_mean(s**2 + 1, m) + kernel_mean(2.0, 0)
    mean, error = mean_mmd(lambda key, shape: m + s * jax.random.normal(key, shape))
    assert error < 0.02 * exact
    np.testing.assert_allclose(mean, exact, atol=3 * error)


def test_mmd_is_the_estimator_written_out():
    w = jax.random.normal(jax.random.key(1), (5, 2)) * 1.5 + 0.3
    prior = jax.random.normal(jax.random.key(2), (400_000, 2))
    kernel = lambda a, b: np.exp(-((a - b) ** 2).sum(-1) / 4)  # noqa: E731
    for i, value in enumerate(mmd_to_standard_normal(w)):
        others = np.mean([kernel(w[i], w[j]) for j in range(5) if j != i])
        to_prior = kernel(w[i][None], prior).mean()
        both = kernel(prior[::2], prior[1::2]).mean()
        np.testing.assert_allclose(value, others - 2 * to_prior + both, atol=3e-3)


def test_the_mmd_mode_adds_it_to_the_weighted_rate():
    w = jax.random.normal(jax.random.key(1), (4, 2))
    code = Code(w, jnp.zeros_like(w), w, jnp.arange(4.0))
    mode = make_rate_mode("mmd", beta=0.5, mmd_weight=100.0)
    expected = 0.5 * np.arange(4) + 100 * mmd_to_standard_normal(w)
    np.testing.assert_allclose(mode.penalty(code, {}, 0), expected, rtol=1e-6)
    assert mode.select(10.0, 4.0) == 12.0 and "not a bound" in mode.objective


def test_a_share_of_the_codes_is_hidden_whole(key):
    w = 1 + jax.random.uniform(jax.random.key(1), (4000, 3))
    mode = make_rate_mode("w_dropout", dropout=0.3)
    shown = mode.shown(key, w)
    hidden = np.all(np.asarray(shown) == 0, axis=1)
    np.testing.assert_array_equal(np.where(hidden[:, None], w, shown), w)
    assert abs(hidden.mean() - 0.3) < 0.03
    np.testing.assert_array_equal(make_rate_mode("fixed").shown(key, w), w)


def test_high_noise_counts_more():
    gamma = jnp.array([-3.0, -1.01, -0.99, 4.0])
    mode = make_rate_mode("high_noise", weight=5.0, logsnr=1.0)
    np.testing.assert_array_equal(mode.emphasis(gamma), [1, 1, 5, 5])
    np.testing.assert_array_equal(make_rate_mode("target").emphasis(gamma), np.ones(4))
