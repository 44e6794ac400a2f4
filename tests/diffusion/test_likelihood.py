"""p(x | z_0): known values, normalisation, decoding, bits, and the area under the bound's integrand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_data import VARIANCE, exact_denoise

from vdm_jax.base.images import even_pixel_values
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.likelihood import (
    bits_per_dim,
    decode_levels,
    level_logits,
    log_likelihood,
)
from vdm_jax.diffusion.objective import integrand_by_logsnr
from vdm_jax.diffusion.schedules import make_schedule

GAMMA_0 = jnp.float32(-13.3)
PIXELS = jnp.asarray(even_pixel_values(256))


@pytest.mark.parametrize(("level", "expected"), [(100, 0.01045), (0, 0.00523), (255, 0.00523)])
def test_golden_reconstruction_of_a_pixel(level, expected):
    """E[-log2 p(x | z_0)] over z_0 ~ q(z_0 | x), by quadrature over eps."""
    eps = np.linspace(-6, 6, 4001)
    density = np.exp(-0.5 * eps**2) / np.sqrt(2 * np.pi)
    alpha, sigma = alpha_sigma(GAMMA_0)
    z_0 = alpha * PIXELS[level] + sigma * jnp.asarray(eps, jnp.float32)
    nats = -log_likelihood(jnp.full(eps.shape, level), z_0, GAMMA_0, PIXELS)
    assert bits_per_dim(np.trapezoid(density * nats, eps), 1) == pytest.approx(expected, abs=1e-5)


def test_likelihoods_of_all_levels_sum_to_one(key):
    pixel_values = jnp.asarray(even_pixel_values(17))
    z_0 = jax.random.normal(key, (5, 3))
    gamma_0 = jnp.float32(-3.0)
    each = [log_likelihood(jnp.full((5, 3), k), z_0, gamma_0, pixel_values) for k in range(17)]
    np.testing.assert_allclose(jnp.exp(jnp.stack(each)).sum(0), 1, rtol=1e-5)
    np.testing.assert_allclose(
        jnp.stack(each, -1), jax.nn.log_softmax(level_logits(z_0, gamma_0, pixel_values)), atol=1e-4
    )


def test_decoding_returns_what_was_noised(key):
    levels = jax.random.randint(key, (4, 8, 8, 1), 0, 256)
    z_0 = alpha_sigma(GAMMA_0)[0] * PIXELS[levels] + 0.001
    assert np.array_equal(decode_levels(z_0, GAMMA_0, PIXELS), levels)


def test_bits_per_dim():
    assert bits_per_dim(784 * np.log(2), 784) == pytest.approx(1)


@pytest.mark.parametrize("name", ["linear", "cosine_continuous", "ddpm_linear"])
def test_area_under_the_integrand_is_the_diffusion_term(key, name):
    schedule = make_schedule(name)
    ends = schedule.gamma(jnp.array([1.0, schedule.t_first]))
    x = jnp.sqrt(VARIANCE) * jax.random.normal(key, (32, 64))
    logsnr, values = integrand_by_logsnr(
        jax.random.key(1), x, exact_denoise(schedule), schedule, jnp.linspace(*ends, 129)
    )
    area = np.trapezoid(values.mean(1), logsnr) / 64
    snr_1, snr_0 = np.exp(-np.float64(ends))
    assert area == pytest.approx(0.5 * np.log((1 + snr_0 * VARIANCE) / (1 + snr_1 * VARIANCE)), rel=0.02)


def test_integrand_repeats_its_noise():
    schedule = make_schedule("linear")
    arguments = jnp.zeros((2, 3)), exact_denoise(schedule), schedule, jnp.array([0.0, 1.0])
    once, again = (integrand_by_logsnr(jax.random.key(1), *arguments)[1] for _ in range(2))
    assert np.array_equal(once, again) and not np.array_equal(once[0], once[1])
