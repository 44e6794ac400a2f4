"""Known answers of closeness to noise: floors, population values, and expectations against draws."""

import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.forward.closeness import (
    closeness,
    expected_of_images,
    expected_of_pixels,
    first_at_floor,
    floor_of_images,
    floor_of_pixels,
    mean_absolute,
)

N = 50


def copies(abar, x, number=N, seed=0):
    """Noised copies [number, d] of x [d]."""
    noise = np.random.default_rng(seed).standard_normal((number, len(x)))
    return np.sqrt(abar) * x + np.sqrt(1 - abar) * noise


@pytest.mark.parametrize("d", [64, 1_024])
def test_noise_lies_on_the_floors(d):
    found = closeness(copies(0.0, np.zeros(d)))
    np.testing.assert_allclose(found.images, floor_of_images(N, d), rtol=0.05)
    np.testing.assert_allclose(found.pixels, floor_of_pixels(N, d), rtol=0.05)
    assert abs(found.signed) < 4 / np.sqrt(d * N * (N - 1) / 2)


def test_the_floor_falls_with_the_size_of_the_image_and_that_of_pixels_does_not():
    np.testing.assert_allclose(floor_of_images(10**6, 785), np.sqrt(2 / (np.pi * 784)), rtol=1e-5)
    np.testing.assert_allclose(floor_of_pixels(50, 10**6), 0.114, atol=5e-4)


@pytest.mark.parametrize("abar", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("deviation", [0.3, 1.5])
def test_the_expected_metric_is_that_of_draws(abar, deviation):
    d = 400
    x = np.random.default_rng(1).standard_normal(d)
    x = 0.7 + deviation * (x - x.mean()) / x.std(ddof=1)
    found = [closeness(copies(abar, x, seed=seed)) for seed in range(6)]
    images, pixels, signed = np.mean(found, axis=0)
    np.testing.assert_allclose(images, expected_of_images(np.array([abar]), deviation**2, N, d)[0], rtol=0.04)
    np.testing.assert_allclose(pixels, expected_of_pixels(np.array([abar]), N, d)[0], rtol=0.02)
    np.testing.assert_allclose(signed, abar * deviation**2, rtol=0.04, atol=2e-3)


def test_pixels_as_variables_do_not_see_the_image_and_rise_with_noise():
    """At abar = 1 copies are equal: the covariance of pixels is 0, and only the diagonal of I remains."""
    x = np.linspace(-1, 1, 30)
    assert closeness(copies(1.0, x)).pixels == pytest.approx(1 / 30)
    assert closeness(copies(0.5, x)).pixels == pytest.approx(closeness(copies(0.5, 0 * x)).pixels)
    rise = expected_of_pixels(np.array([1.0, 0.9, 0.5, 0.0]), N, 784)
    assert (np.diff(rise) > 0).all()


def test_blocks_change_nothing(monkeypatch):
    z = copies(0.5, np.linspace(-1, 1, 33))
    whole = closeness(z)
    monkeypatch.setattr("vdm_jax.diffusion.forward.closeness.BLOCK", 70)
    assert closeness(z).pixels == pytest.approx(whole.pixels)
    assert whole.pixels == pytest.approx(np.abs(np.cov(z.T) - np.eye(33)).mean())
    assert whole.images == pytest.approx(np.abs(np.cov(z) - np.eye(N)).mean())


def test_the_mean_absolute_value_of_a_normal():
    found = mean_absolute(np.array([0.0, 3.0, -10.0]), np.array([1.0, 0.0, 1.0]))
    np.testing.assert_allclose(found, [np.sqrt(2 / np.pi), 3, 10])


def test_the_floor_is_reached_where_the_metric_stays_near_it():
    assert first_at_floor(np.array([1.0, 0.1, 0.5, 0.11, 0.1]), 0.1, 0.2) == 3
    assert first_at_floor(np.array([0.1, 1.0]), 0.1, 0.2) is None
    assert first_at_floor(np.array([0.1, 0.1]), 0.1, 0.2) == 0


def test_one_copy_has_no_covariance():
    with pytest.raises(UserError, match=r"\[1, 9\]; closeness to noise takes at least two copies"):
        closeness(np.zeros((1, 9)))
