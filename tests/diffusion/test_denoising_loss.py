"""DDPM's simple loss: the formula, the exact denoiser of one image, entries without noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_data import denoise_by, point_denoise

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import noised
from vdm_jax.diffusion.likelihood import LevelLikelihood, decode_levels
from vdm_jax.diffusion.objective import denoising_losses, vdm_losses
from vdm_jax.diffusion.schedules import cosine, ddpm_linear, dirac

X = jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], (5, 4, 3, 1)), jnp.float32)
T = jnp.array([1, 200, 500, 800, 1000]) / 1000


def affine(z, t):
    return 0.3 * z + t[:, None, None, None]


def affine_denoise(schedule):
    return denoise_by(schedule, "eps", affine)


@pytest.mark.parametrize("schedule", [ddpm_linear(), cosine()])
def test_the_formula(schedule, key):
    eps = jax.random.normal(named_key(key, "eps"), X.shape)
    abar = jax.nn.sigmoid(-schedule.gamma(T))[:, None, None, None]
    z = jnp.sqrt(abar) * X + jnp.sqrt(1 - abar) * eps
    expected = jnp.mean((eps - affine(z, T)) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(denoising_losses(key, X, affine_denoise(schedule), schedule, T), expected, rtol=1e-5)


@pytest.mark.parametrize("weighting", ["simple", "bound", "p2", "min_snr"])
def test_it_is_what_the_bound_minimises_in_other_units(weighting, key):
    schedule, levels = ddpm_linear(), (X > 0).astype(jnp.uint8)
    denoise, likelihood = affine_denoise(schedule), LevelLikelihood(np.array([-1, 1], np.float32))
    trained = vdm_losses(key, levels, denoise, schedule, T, likelihood, weighting=weighting).trained
    loss = denoising_losses(key, X, denoise, schedule, T, weighting=weighting)
    np.testing.assert_allclose(loss, 2 * trained / 12, rtol=1e-6)


def test_one_image_is_denoised_exactly(key):
    schedule, image = ddpm_linear(), X[:1].repeat(5, axis=0)
    exact = denoising_losses(key, image, point_denoise(schedule, image), schedule, T)
    np.testing.assert_allclose(exact, 0, atol=1e-6)
    nothing = denoising_losses(
        key, jnp.ones((5, 64, 64, 1)), denoise_by(schedule, "eps", lambda z, t: 0 * z), schedule, T
    )
    np.testing.assert_allclose(nothing, 1, atol=0.1)


def test_entries_without_noise_have_nothing_to_learn(key):
    schedule = dirac()
    loss, gradient = jax.value_and_grad(
        lambda a: denoising_losses(key, X, denoise_by(schedule, "eps", lambda z, t: a * affine(z, t)), schedule, T)[
            :3
        ].sum()
    )(1.0)
    assert loss == 0 and gradient == 0, "t1 = ½: z_t = x up to there"
    assert bool((denoising_losses(key, X, affine_denoise(schedule), schedule, T)[3:] > 0).all())


@pytest.mark.parametrize("gamma", [-np.inf, -9.0])
def test_levels_are_the_nearest_also_without_noise(gamma):
    values = jnp.array([-1.0, -0.25, 1.0])
    gamma_0 = jnp.float32(gamma)
    z = noised(jnp.array([[-1.0, 0.9, -0.5, 1.0, 3.0]]), jnp.zeros((1, 5)), gamma_0)
    assert decode_levels(z, gamma_0, values).tolist() == [[0, 2, 1, 2, 2]]
