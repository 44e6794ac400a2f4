"""Populations of images and sprites, and of images in another space: rotated pixels have the exact curves of pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.images import even_pixel_values
from vdm_jax.data.dataset import ImageData, Split
from vdm_jax.data.pixels import pixels_of
from vdm_jax.data.sources import load_data
from vdm_jax.experiments.common.populations import CLASS, make_population
from vdm_jax.probing.exact import measure_curve, population_estimator

DIGITS = load_data("digits")


def curves(population, gammas=(-6.0, -1.0, 1.0, 4.0)):
    points = measure_curve(
        population_estimator(population, 50),
        population.features,
        np.array(gammas),
        key=jax.random.key(0),
        max_queries=1_000,
        tolerance=0.01,
    )
    return [point.features[CLASS] for point in points]


def test_training_images_are_members_and_the_others_are_held_out():
    population = make_population(DIGITS)
    assert population.held_out and population.num_members == 1297 and population.shape == (8, 8, 1)
    assert population.identity == f"digits {DIGITS.fingerprint}"
    for name in ("train", "validation", "test"):
        split, index = getattr(DIGITS, name), population.splits[name]
        np.testing.assert_array_equal(population.take(jnp.asarray(index)), DIGITS.pixel_values[split.levels])
        np.testing.assert_array_equal(population.labels(jnp.asarray(index))[CLASS], split.labels)
    few = jnp.arange(0, 1297, 100)
    np.testing.assert_array_equal(population.posterior.nearest(population.take(few)), few)


def test_a_rotation_of_the_pixels_has_the_pixels_exact_curves():
    """An orthogonal matrix as a linear autoencoder: the posterior of the class is the same, the noise another."""
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0].astype(np.float32)
    pixels = pixels_of(DIGITS)

    def moments(params, levels):
        return pixels.moments({}, levels)[0].reshape(len(levels), -1) @ params, None

    rotated = pixels._replace(
        name="rotated", fingerprint="q", shape=(64,), params=jnp.asarray(rotation), moments=moments, x_range=None
    )
    there = make_population(DIGITS, rotated)
    assert there.shape == (64,) and there.identity.endswith(" q")
    for here, other in zip(curves(make_population(DIGITS)), curves(there), strict=True):
        for name in ("accuracy", "retention", "information_nats"):
            error = np.hypot(here[f"{name}_standard_error"], other[f"{name}_standard_error"])
            assert abs(here[name] - other[name]) < 4 * error + 1e-6, name
    assert 0.5 < curves(there)[2]["accuracy"] < 0.99, "where something is known and something is not"


def test_images_without_labels_have_no_population():
    split = Split(np.zeros((4, 2, 2, 1), np.uint8), None)
    with pytest.raises(UserError, match="'plain' has no labels"):
        make_population(ImageData("plain", split, split, split, even_pixel_values(4), ()))


def test_sprites_are_a_population_of_all_their_images():
    data = load_data("sprites", name="sparse")
    population = make_population(data)
    assert population.num_members == 768 and not population.held_out and population.shifted_templates
    assert set(population.features) == {"shape", "orientation", "scale", "x", "y"}
    assert population.identity.startswith(f"sprites sparse {data.fingerprint} ")
