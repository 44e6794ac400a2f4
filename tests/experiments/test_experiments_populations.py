"""Populations of images and sprites, and of images in another space: rotated pixels have the exact curves of pixels."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.images import even_pixel_values
from vdm_jax.data.dataset import ImageData, Split
from vdm_jax.data.pixels import pixels_of
from vdm_jax.data.sources import load_data
from vdm_jax.data.sprite_data import make_sprite_data
from vdm_jax.data.sprites import SpriteGrid
from vdm_jax.diffusion.gaussian import noised
from vdm_jax.experiments.common.populations import CLASS, check_classes, make_population
from vdm_jax.experiments.common.space.encoded import encode_now, encoded_space
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


@pytest.fixture(scope="module")
def of_digits():
    """The exact curves of the pixels of digits."""
    return curves(make_population(DIGITS))


@pytest.mark.slow
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


def rotated_pixels(data):
    num_dims, pixels = data.num_dims, pixels_of(data)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(num_dims, num_dims)))[0].astype(np.float32)

    def moments(params, levels):
        return pixels.moments({}, levels)[0].reshape(len(levels), -1) @ params, None

    return pixels._replace(
        name="rotated", fingerprint="q", shape=(num_dims,), params=jnp.asarray(rotation), moments=moments, x_range=None
    )


def in_space(data, space, **settings):
    return encoded_space(space, encode_now(space, data), data, **settings)


def test_the_identity_space_has_the_same_exact_curves_bit_for_bit(of_digits):
    here, there = make_population(DIGITS), make_population(DIGITS, in_space(DIGITS, pixels_of(DIGITS)))
    assert here.identity == there.identity.strip()
    assert of_digits == curves(there)


def test_a_rotation_of_the_pixels_has_the_pixels_exact_curves(of_digits):
    """An orthogonal matrix as a linear autoencoder: the posterior of the class is the same, the noise another."""
    there = make_population(DIGITS, in_space(DIGITS, rotated_pixels(DIGITS)))
    assert there.shape == (64,) and there.identity.endswith(" q")
    found = curves(there)
    for here, other in zip(of_digits, found, strict=True):
        for name in ("accuracy", "retention", "information_nats"):
            error = np.hypot(here[f"{name}_standard_error"], other[f"{name}_standard_error"])
            assert abs(here[name] - other[name]) < 4 * error + 1e-6, name
    assert 0.5 < found[2]["accuracy"] < 0.99, "where something is known and something is not"


def noisy_pixels(data, deviation):
    """Pixels as a code with noise of this deviation."""
    pixels = pixels_of(data)

    def moments(params, levels):
        mean = pixels.moments({}, levels)[0]
        return mean, jnp.full_like(mean, deviation**2)

    return pixels._replace(name="noisy", fingerprint="n", moments=moments, x_range=None)


def test_a_scaled_space_has_the_curves_at_other_noise_levels():
    """x = c u: a curve moves by 2 ln c to lower log SNR. The variance of the scaled x is as its scale says."""
    plain, scaled = (in_space(DIGITS, rotated_pixels(DIGITS), scale=scale) for scale in ("none", "global"))
    c = float(scaled.factor)
    assert scaled.about["factor"] == pytest.approx(c) and abs(c - 1) > 0.2
    x = scaled.moments("train")[0].astype(np.float64)
    assert x.var(0).mean() == pytest.approx(1, rel=1e-5)
    assert scaled.fingerprint.startswith("q-") and plain.fingerprint == "q"
    gammas = np.array([-6.0, -1.0, 1.0, 4.0])
    here = curves(make_population(DIGITS, plain), gammas - 2 * np.log(c))
    for one, other in zip(here, curves(make_population(DIGITS, scaled), gammas), strict=True):
        for name in ("accuracy", "retention", "information_nats"):
            assert one[name] == pytest.approx(other[name], abs=2e-4), name


def test_each_component_has_variance_one_and_decodes_as_before():
    data = DIGITS
    space = in_space(data, rotated_pixels(data)._replace(decode=lambda params, x: x @ params.T), scale="component")
    x = space.moments("train")[0].astype(np.float64)
    np.testing.assert_allclose(x.var(0), 1, rtol=1e-4)
    levels = data.test.levels[:3]
    mean, _ = space.space.moments(space.space.params, levels)
    for few in (np.arange(3), slice(3)):
        np.testing.assert_allclose(mean, space.moments("test", few)[0], rtol=1e-4, atol=1e-5)
    pixels = data.pixel_values[levels].reshape(3, -1)
    np.testing.assert_allclose(space.space.decode(space.space.params, mean), pixels, atol=1e-3)


def test_a_noisy_code_is_drawn_anew_and_has_the_curves_of_more_noise(key):
    """u = x + s n, z = alpha u + sigma eps has the curves of x at sigma² + alpha² s²."""
    noisy = in_space(DIGITS, noisy_pixels(DIGITS, 0.5))
    population, index = make_population(DIGITS, noisy), jnp.arange(2)
    mean, draws = population.take(index), [population.take(index, jax.random.fold_in(key, i)) for i in range(2)]
    np.testing.assert_array_equal(mean, DIGITS.pixel_values[DIGITS.train.stored[:2]])
    assert float(jnp.std(draws[0] - mean)) == pytest.approx(0.5, rel=0.3) and not np.array_equal(*draws)
    assert noisy.about["variance"] == pytest.approx(
        float(DIGITS.pixel_values[DIGITS.train.stored].var(0).mean()) + 0.25
    )
    assert noisy.about["sampled"] and not in_space(DIGITS, noisy_pixels(DIGITS, 0.5), sampled=False).about["sampled"]
    gamma = -1.0
    there = curves(population, [gamma])[0]
    here = curves(make_population(DIGITS), [float(np.log(np.exp(gamma) + 0.25))])[0]
    for name in ("accuracy", "retention", "information_nats"):
        error = np.hypot(here[f"{name}_standard_error"], there[f"{name}_standard_error"])
        assert abs(here[name] - there[name]) < 4 * error, name
    assert 0.3 < here["accuracy"] < 0.99


@pytest.mark.parametrize("scale", ["none", "component"])
def test_noisy_codes_of_a_grid_are_held_once(scale, key):
    """By the posterior, which gives the means and the variances of any members."""
    data = load_data("sprites", name="sparse")
    space = in_space(data, noisy_pixels(data, 0.5), scale=scale)
    population, index = make_population(data, space), jnp.array([0, 300, 767])
    mean, variance = (np.asarray(moment) for moment in space.moments("all"))
    held = {id(leaf): leaf.nbytes for leaf in jax.tree.leaves(population.access) if leaf.ndim > 2}
    assert sum(held.values()) < 1.2 * (mean.nbytes + variance.nbytes)
    np.testing.assert_allclose(population.take(index), mean[index], atol=2e-6)
    noise = np.asarray(population.take(index, jax.random.clone(key)) - population.take(index)) / np.sqrt(
        variance[index]
    )
    np.testing.assert_allclose(noise, jax.random.normal(key, noise.shape), atol=1e-4)
    flat = mean.reshape(768, -1).astype(np.float64)
    expected = np.cov(flat.T, bias=True) + np.diag(variance.mean(axis=0, dtype=np.float64).reshape(-1))
    np.testing.assert_allclose(population.covariance() @ np.eye(len(expected))[:, :3], expected[:, :3], atol=1e-5)
    centre, total = population.moments()
    np.testing.assert_allclose(centre.reshape(-1), flat.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(total.reshape(-1), np.diag(expected), rtol=1e-4, atol=1e-6)


def test_images_without_labels_have_no_population():
    split = Split(np.zeros((4, 2, 2, 1), np.uint8), None)
    with pytest.raises(UserError, match="'plain' has no labels"):
        make_population(ImageData("plain", split, split, split, even_pixel_values(4), ()))


def test_images_of_one_class_have_no_population():
    split = Split(np.zeros((4, 2, 2, 1), np.uint8), np.ones(4, np.int32))
    data = ImageData("plain", split, split, split, even_pixel_values(4), ("cat", "dog"))
    with pytest.raises(UserError, match="the training images of 'plain' have one class: there is nothing to classify"):
        make_population(data)
    two = Split(split.stored, np.arange(4, dtype=np.int32) % 2)
    with pytest.raises(UserError, match="the training images of 'plain' are all equal: there is nothing to classify"):
        make_population(replace(data, train=two))
    one_scale = SpriteGrid("tiny", 16, 4, (1.0,), (0.0, 0.5), (0, 3, 6), ("square", "heart"))
    with pytest.raises(UserError, match="have one class of the feature 'scale': there is nothing to classify"):
        check_classes(make_sprite_data(one_scale))


@pytest.mark.slow
def test_rotated_sprites_have_the_posterior_of_sprites(key):
    """All images of the grid with all their features, also in a space without templates."""
    data = load_data("sprites", name="sparse")
    space = rotated_pixels(data)
    here, there = make_population(data), make_population(data, in_space(data, space))
    assert there.num_members == 768 and there.shape == (data.num_dims,) and there.identity.endswith(" q")
    assert not there.shifted_templates and not there.held_out and there.features.keys() == here.features.keys()
    index = jnp.arange(0, 768, 100)
    for name, classes in here.labels(index).items():
        np.testing.assert_array_equal(there.labels(index)[name], classes)
    x, gamma = here.take(index), jnp.float32(3.0)
    np.testing.assert_allclose(there.take(index), x.reshape(len(index), -1) @ space.params, atol=1e-5)
    z = noised(x, jax.random.normal(key, x.shape), gamma)
    expected = here.posterior.classes(z, gamma)
    found = there.posterior.classes(z.reshape(len(index), -1) @ space.params, gamma)
    for name, p in expected.items():
        np.testing.assert_allclose(found[name], p, atol=2e-4, err_msg=name)
    assert 0.5 < float(expected["shape"].max(axis=1).mean()) < 0.999, "where something is known and something is not"


def test_sprites_are_a_population_of_all_their_images():
    data = load_data("sprites", name="sparse")
    population = make_population(data)
    assert population.num_members == 768 and not population.held_out and population.shifted_templates
    assert set(population.features) == {"shape", "orientation", "scale", "x", "y"}
    assert population.identity.startswith(f"sprites sparse {data.fingerprint} ")
