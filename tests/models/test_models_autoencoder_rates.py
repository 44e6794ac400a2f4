"""Every rate mode trains an autoencoder to its own optimum: linear VAEs on Gaussian data."""

import jax.numpy as jnp
import numpy as np
import pytest
from linear_autoencoders import EIGENVALUES, NUM_DIMS, gaussian_data, linear_backbone, trained

from vdm_jax.diffusion.rate import encoder_kl
from vdm_jax.diffusion.rate_modes import make_rate_mode
from vdm_jax.models.autoencoder import Autoencoder
from vdm_jax.models.decoder_likelihood import GaussianDecoder

SIGMA = 0.4


def optimum(num_rows=256, num_steps=1500, **mode):
    """Model, parameters, the data, the mean rate of each latent and the expected error of a drawn code, in closed
    form: ||x - D E x||² + Σ_j variance_j ||D_j||²."""
    likelihood = GaussianDecoder(None, SIGMA)
    model = Autoencoder(linear_backbone(NUM_DIMS), (NUM_DIMS,), likelihood, rate=make_rate_mode(**mode))
    x = gaussian_data(num_rows)
    params, _ = trained(model, x, num_steps)
    mean, variance = model.moments(params, x)
    of_noise = np.asarray(variance) @ np.square(model.decode(params, jnp.eye(NUM_DIMS))).sum(1)
    error = np.square(x - model.decode(params, mean)).sum(1) + of_noise
    return mean, variance, np.asarray(encoder_kl(mean, jnp.log(variance))).mean(0), float(error.mean())


@pytest.mark.parametrize("mode", [{"name": "warmup", "warmup_steps": 500}, {"name": "cyclical", "cycle_steps": 1500}])
def test_a_weight_that_has_risen_ends_at_the_optimum_of_the_fixed_one(mode):
    water = 2.0 * SIGMA**2
    _, _, rates, error = optimum(beta=2.0, **mode)
    assert error == pytest.approx(np.minimum(EIGENVALUES, water).sum(), rel=0.02)
    assert rates.sum() == pytest.approx(0.5 * np.maximum(0, np.log(EIGENVALUES / water)).sum(), rel=0.02)


def test_a_target_is_met_at_the_smallest_error_of_its_rate():
    """2 nats fill to the water of two directions, w² = 4 · 1 · exp(-2 · 2), whatever sigma is."""
    _, _, rates, error = optimum(name="target", target=2.0)
    water = np.sqrt(EIGENVALUES[0] * EIGENVALUES[1] * np.exp(-4.0))
    assert rates.sum() == pytest.approx(2.0, rel=0.03)
    assert error == pytest.approx(np.minimum(EIGENVALUES, water).sum(), rel=0.03)


def test_free_bits_keep_every_latent_in_use():
    """Of the optimum of D + R one latent has 0 nats, and one 0.2."""
    _, _, rates, _ = optimum(name="free_bits", nats=0.5)
    assert rates.min() > 0.48


def test_mmd_brings_the_codes_of_all_images_to_the_prior():
    mean, variance, rates, error = optimum(name="mmd", mmd_weight=1000.0)
    covariance = np.cov(np.asarray(mean).T, bias=True) + np.diag(np.asarray(variance).mean(0))
    np.testing.assert_allclose(covariance, np.eye(NUM_DIMS), atol=0.1)
    best = np.minimum(EIGENVALUES, SIGMA**2)  # errors at the optimum of D + R; here R is free
    assert error < best.sum() and rates.sum() > 0.5 * np.log(EIGENVALUES / best).sum()


def test_without_a_rate_the_error_goes_to_zero():
    _, _, rates, error = optimum(name="none")
    assert error < 0.01 and rates.sum() > 10
