"""The correlation with all templates is the posterior over all images, written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.data.sprite_posterior import make_sprite_posterior, sprite_features, sprite_labels
from vdm_jax.data.sprites import SpriteGrid, orientation_vectors
from vdm_jax.diffusion.gaussian import noised
from vdm_jax.diffusion.posterior import score
from vdm_jax.diffusion.rows import matrix_posterior

GRID = SpriteGrid("tiny", 16, 4, (0.7, 1.0), (0.0, 0.5), (0, 3, 6), ("square", "heart"))
TWICE = SpriteGrid("twice", 16, 4, (1.0,), (0.0, 0.5, 2 * np.pi), (0, 3, 6), ("heart",))


def compiled(grid):
    posterior = make_sprite_posterior(grid)
    functions = {name: jax.jit(function) for name, function in posterior._asdict().items() if function is not None}
    return posterior._replace(**functions)


POSTERIORS = {grid.name: compiled(grid) for grid in (GRID, TWICE)}
POSTERIOR = POSTERIORS["tiny"]
IMAGES = GRID.render(jnp.arange(len(GRID)))
FEATURES = sprite_features(GRID)
FACTORS = GRID.factors(np.arange(len(GRID)))


def queries(key, gamma, num=6):
    index = jax.random.randint(jax.random.fold_in(key, 0), (num,), 0, len(GRID))
    x = IMAGES[index]
    return index, noised(x, jax.random.normal(jax.random.fold_in(key, 1), x.shape), jnp.float32(gamma))


def one_hot(classes):
    return jnp.eye(classes.max() + 1)[classes]


@pytest.mark.slow
@pytest.mark.parametrize("gamma", [-5.0, 1.0, 3.0])
def test_classes_mean_and_draws_are_those_of_the_matrix_of_all_images(key, gamma):
    _, z = queries(key, gamma)
    flat, rows = z.reshape(len(z), -1), IMAGES.reshape(len(GRID), -1)

    def expected(values):
        return matrix_posterior(rows, flat, jnp.float32(gamma), values, chunk=20)

    found = POSTERIOR.classes(z, jnp.float32(gamma))
    classes = FACTORS | {"orientation": FACTORS["shape"] * 2 + FACTORS["orientation"]}
    for name, p in found.items():
        np.testing.assert_allclose(p, expected(one_hot(classes[name])), atol=2e-5, err_msg=name)
    mean = POSTERIOR.mean(z, jnp.float32(gamma))
    np.testing.assert_allclose(mean.reshape(len(z), -1), expected(rows), atol=1e-4)
    draws = jax.vmap(lambda key: POSTERIOR.draw(key, z, jnp.float32(gamma)))(jax.random.split(key, 2000))
    np.testing.assert_allclose(draws.mean(0), mean, atol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("gamma", [-20.0, -1.0, 2.0, 20.0])
def test_classes_from_kept_correlations_are_those_of_noisy_images(key, gamma):
    """With eps and with -eps; and a grid with equal templates counts them as often as they are there."""
    for grid in (GRID, TWICE):
        posterior = POSTERIORS[grid.name]
        index = grid.spread(key, 5)
        eps = jax.random.normal(jax.random.fold_in(key, 1), (5, 16, 16, 1))
        found = posterior.classes_from(posterior.correlate(index, eps), jnp.float32(gamma))
        x = grid.render(index)
        z = jnp.concatenate([noised(x, sign * eps, jnp.float32(gamma)) for sign in (1, -1)])
        for name, p in posterior.classes(z, jnp.float32(gamma)).items():
            np.testing.assert_allclose(found[name], p, atol=3e-5, err_msg=name)
    rows = grid.render(jnp.arange(len(grid))).reshape(len(grid), -1)
    turn = one_hot(np.asarray(sprite_labels(grid, jnp.arange(len(grid)))["orientation"]))
    expected = matrix_posterior(rows, z.reshape(10, -1), jnp.float32(max(gamma, -5)), turn, chunk=50)
    if gamma > -5:
        np.testing.assert_allclose(found["orientation"], expected, atol=3e-5)


def test_equal_templates_are_one(key):
    posterior = POSTERIORS["twice"]
    index = jnp.arange(len(TWICE))
    first = np.array([0, 1, 0]).repeat(9) * 9 + np.tile(np.arange(9), 3)
    np.testing.assert_array_equal(posterior.nearest(TWICE.render(index)), first)
    z = jnp.zeros((1, 16, 16, 1))
    weights = jnp.broadcast_to(TWICE.render(index).mean(0), z.shape)
    np.testing.assert_allclose(posterior.mean(z, jnp.float32(30)), weights, atol=1e-4)
    drawn = jax.vmap(lambda k: posterior.draw(k, z, jnp.float32(30.0)))(jax.random.split(key, 3000))
    np.testing.assert_allclose(drawn.mean(0), weights, atol=0.1)


def test_without_noise_all_is_known_and_with_nothing_else_nothing(key):
    index, z = queries(key, -12.0)
    for name, p in POSTERIOR.classes(z, jnp.float32(-12.0)).items():
        scores = score(FEATURES[name], p)
        np.testing.assert_allclose(scores.accuracy, 1, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(scores.mmse, 0, atol=1e-6)
    truth = GRID.factors(index)["x"]
    np.testing.assert_array_equal(POSTERIOR.classes(z, jnp.float32(-12.0))["x"].argmax(1), truth)
    _, noise = queries(key, 20.0)
    for name, p in POSTERIOR.classes(noise, jnp.float32(20.0)).items():
        feature = FEATURES[name]
        np.testing.assert_allclose(p, np.broadcast_to(feature.prior, p.shape), atol=5e-3)
        if feature.values is not None:
            np.testing.assert_allclose(score(feature, p).mmse, feature.variance, rtol=2e-2)


def test_the_accuracy_is_what_the_best_guess_gets_right(key):
    """The mean of max p and the share of right guesses agree: p is a probability, not only a ranking."""
    index, z = queries(key, 2.0, 4000)
    p = POSTERIOR.classes(z, jnp.float32(2.0))["shape"]
    right = np.asarray(p.argmax(1)) == GRID.factors(index)["shape"]
    expected = score(FEATURES["shape"], p).accuracy
    assert 0.6 < right.mean() < 0.95
    np.testing.assert_allclose(right.mean(), expected.mean(), atol=4 * 0.5 / np.sqrt(4000))


def test_angles_that_look_the_same_are_the_same():
    vectors = orientation_vectors(
        SpriteGrid("turns", 16, 4, (1.0,), (0.1, 0.1 + np.pi / 2), (0,), ("square", "ellipse"))
    )
    np.testing.assert_allclose(vectors[0, 0], vectors[0, 1], atol=1e-6)
    assert abs(vectors[1, 0] - vectors[1, 1]).max() > 0.5


def test_of_sprites_that_look_alike_each_is_as_likely(key):
    grid, posterior = TWICE, POSTERIORS["twice"]
    index = jnp.tile(jnp.arange(len(grid)), 400)
    found = posterior.alike(key, index)
    np.testing.assert_array_equal(grid.render(found), grid.render(index))
    np.testing.assert_allclose(np.bincount(found, minlength=len(grid)) / 400, 1, atol=0.15)
    assert set(np.asarray(found)[np.asarray(index) == 0]) == {0, 2 * 9}
    np.testing.assert_array_equal(
        POSTERIOR.alike(jax.random.fold_in(key, 1), jnp.arange(len(GRID))), np.arange(len(GRID))
    )


def test_a_single_query_without_noise_has_a_posterior():
    """At a log SNR of 20 log weights are of 1e12: what is rounded in one place must not be subtracted in another."""
    for index in range(0, len(GRID), 7):
        found = POSTERIOR.classes(IMAGES[index][None], jnp.float32(-20.0))
        for name, p in found.items():
            assert p.max() == 1, (index, name, p)
