"""The exact posterior on rows of a pool, each in its place, and what a probe misses of it row by row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_sprites import GRID, experiment

from vdm_jax.data.sprite_posterior import sprite_labels
from vdm_jax.probing.chains.pools import Pool
from vdm_jax.probing.chains.posterior import gaps_of_rows, posterior_scores, posterior_statistics
from vdm_jax.probing.chains.process import judge


@pytest.mark.slow
def test_each_row_is_scored_in_its_place():
    population, gammas = experiment().population, np.array([1.5, 3.0], np.float32)
    index = jnp.arange(0, 36, 4)
    clean, features = GRID.render(index), population.features
    z = np.asarray(clean[None] + 2.0 * jax.random.normal(jax.random.key(0), (2, *clean.shape)), np.float32)
    labels = {name: np.asarray(label) for name, label in sprite_labels(GRID, index).items()}
    pool = Pool(z, z, labels, np.zeros(9), 1)
    rows = np.array([7, 2, 8, 0, 5])
    scores = posterior_scores(population.posterior, features, pool, gammas, rows, batch_size=3)
    differ = 0
    for m, gamma in enumerate(gammas):
        alone = population.posterior.classes(jnp.asarray(z[m][rows]), jnp.float32(gamma))
        for name, feature in features.items():
            guess = judge(feature, alone[name], jnp.asarray(labels[name][rows]))
            np.testing.assert_allclose(scores[name]["cross_entropy"][m, 0, 0], guess.cross_entropy, atol=1e-4)
            np.testing.assert_array_equal(scores[name]["accuracy"][m, 0, 0], guess.right)
            differ += len(np.unique(np.round(guess.cross_entropy, 3))) > 3
    assert differ >= 3, "in another order these would not be the same"


def test_differences_are_of_the_same_row_and_seed():
    posterior = {
        "accuracy": np.array([[[[1.0, 0.0, 1.0]]]]),
        "cross_entropy": np.array([[[[0.1, 2.0, 0.3]]]]),
        "mse": np.array([[[[0.0, 1.0, 2.0]]]]),
        "spread": np.array([[[[4.0, 2.0, 6.0]]]]),
    }
    probe = {
        "accuracy": np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]]),
        "cross_entropy": np.array([[[0.2, 2.0, 0.9], [1.1, 0.5, 0.3]]]),
        "mse": np.array([[[1.0, 1.0, 4.0], [0.0, 0.0, 2.0]]]),
        "spread": np.array([[[4.0, 2.0, 6.0]] * 2]),
    }
    found = gaps_of_rows(posterior, probe)
    np.testing.assert_allclose(found["accuracy_missed"], [[[[0, 0, 1], [1, -1, 0]]]])
    np.testing.assert_allclose(found["information_nats_missed"], [[[[0.1, 0, 0.6], [1.0, -1.5, 0]]]], atol=1e-12)
    np.testing.assert_allclose(found["r2_missed"], np.array([[[[1, 0, 2], [0, -1, 0]]]]) / 4)
    values_alone = gaps_of_rows(posterior, {key: probe[key] for key in ("mse", "spread")})
    assert set(values_alone) == {"r2_missed"}
    assert set(gaps_of_rows(posterior, {key: probe[key] for key in ("accuracy", "cross_entropy")})) == {
        "accuracy_missed",
        "information_nats_missed",
    }


@pytest.mark.slow
def test_what_the_posterior_sees_in_little_noise_and_in_nothing_but_noise():
    """A sprite that is `off` by so much a pixel: so far from E[x | z], which is sure of it; pure noise: all alike."""
    index, off, gamma = jnp.arange(0, 36, 5), 0.3, jnp.float32(-8.0)
    population = experiment().population
    posterior = population.posterior
    alpha = 1 / np.sqrt(1 + np.exp(-8.0))
    clean = GRID.render(index)
    number_of = posterior_statistics(posterior, alpha * clean + off * jnp.where(clean > 0, -1.0, 1.0), gamma)
    np.testing.assert_allclose(number_of[:, 6], off, rtol=1e-4)
    np.testing.assert_allclose(number_of[:, 7], 1, rtol=1e-4)
    told, start = sprite_labels(GRID, index), 8
    for name, feature in population.features.items():
        p = number_of[:, start : start + len(feature.prior)]
        np.testing.assert_allclose(p[jnp.arange(len(index)), told[name]], 1, rtol=1e-4)
        start += len(feature.prior)
    assert start == number_of.shape[1]
    unsure = posterior_statistics(posterior, jnp.ones((1, 16, 16, 1)), jnp.float32(30.0))
    every = np.asarray(GRID.render(jnp.arange(len(GRID)))).mean(axis=0)
    np.testing.assert_allclose(unsure[0, 7], (every**2).mean(), rtol=1e-3)
