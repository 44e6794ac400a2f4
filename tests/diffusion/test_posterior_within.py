"""The exact denoiser of a finite data set, of all its images and of those of one class, against sums in float64."""

import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.diffusion.objective import integrand_by_logsnr
from vdm_jax.diffusion.posterior import Feature, denoiser_within, finite_posterior
from vdm_jax.diffusion.schedules import make_schedule

N, D = 12, 3
LABELS = np.arange(N) % 3
ROWS = np.random.RandomState(0).randn(N, D).astype(np.float32)
SCHEDULE = make_schedule("linear", gamma_min=-9.0, gamma_max=7.0)


def brute_force(z: np.ndarray, gamma: float, members: np.ndarray) -> np.ndarray:
    """E[eps | z_t] over these rows of one query, in float64."""
    alpha, sigma = np.sqrt(1 / (1 + np.exp(gamma))), np.sqrt(1 / (1 + np.exp(-gamma)))
    rows = ROWS[members].astype(np.float64)
    log_p = -((z - alpha * rows) ** 2).sum(axis=1) / (2 * sigma**2)
    p = np.exp(log_p - log_p.max())
    return (z - alpha * (p / p.sum()) @ rows) / sigma


@pytest.mark.parametrize("given_class", [False, True])
def test_the_exact_denoiser_is_a_sum_in_float64(given_class):
    allowed = (LABELS[:, None] == LABELS[None]) | (not given_class)
    denoise = denoiser_within(jnp.asarray(ROWS), jnp.asarray(allowed), SCHEDULE)
    z = np.random.RandomState(1).randn(N, D).astype(np.float32)
    for gamma in (-6.0, 0.0, 5.0):
        found = denoise(jnp.asarray(z), jnp.full(N, (gamma + 9) / 16))
        expected = [brute_force(z[i], gamma, np.flatnonzero(allowed[i])) for i in range(N)]
        np.testing.assert_allclose(found.eps, expected, rtol=2e-3, atol=2e-3)
        if not given_class:
            mean = finite_posterior(ROWS, {"class": LABELS}, {"class": Feature(np.full(3, 1 / 3))}).mean
            np.testing.assert_allclose(found.x, mean(jnp.asarray(z), jnp.float32(gamma)), rtol=1e-3, atol=1e-4)


def test_the_area_of_the_ceiling_is_the_entropy(key):
    """∫ ½ mmse over log SNR is ln N. Given the class it is lower by the entropy of the class."""
    x = jnp.asarray(np.repeat(ROWS, 40, axis=0))
    labels = np.repeat(LABELS, 40)
    gammas = jnp.linspace(-8.9, 6.9, 80)
    areas = {}
    for given_class in (False, True):
        allowed = jnp.asarray((labels[:, None] == LABELS[None]) | (not given_class))
        denoise = denoiser_within(jnp.asarray(ROWS), allowed, SCHEDULE)
        logsnr, values = integrand_by_logsnr(key, x, denoise, SCHEDULE, gammas)
        areas[given_class] = -np.trapezoid(np.asarray(values, np.float64), np.asarray(logsnr), axis=0)
    ceiling, helped = areas[False], areas[False] - areas[True]
    assert ceiling.mean() == pytest.approx(np.log(N), abs=4 * ceiling.std() / np.sqrt(len(ceiling)))
    assert helped.mean() == pytest.approx(np.log(3), abs=4 * helped.std() / np.sqrt(len(helped)))
    assert ceiling.std() / np.sqrt(len(ceiling)) < 0.2
