"""Real or generated: chance where there is nothing to see, the Bayes rate of two Gaussians, honest standard errors."""

from math import erf, sqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.probing.chains.two_samples import best_accuracy_at_start, separate, separate_by_trees, statistics


def normal(seed, shape):
    return np.random.RandomState(seed).normal(size=shape)


def test_equal_distributions_are_not_told_apart_and_the_error_is_the_spread():
    found = [separate(normal(2 * i, (100, 5)), normal(2 * i + 1, (100, 5))) for i in range(200)]
    accuracies = np.array([each.accuracy for each in found])
    assert abs(accuracies.mean() - 0.5) < 4 * accuracies.std() / sqrt(200)
    np.testing.assert_allclose(accuracies.std(), np.mean([each.standard_error for each in found]), rtol=0.15)


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_shifted_gaussians_are_told_apart_at_the_bayes_rate(shift):
    """Φ(δ/2), whatever the scale and the correlation of the statistics."""
    mixing = np.array([[1e-3, 0.0], [3e-3, 2.0]])
    real, generated = normal(0, (20_000, 2)), normal(1, (20_000, 2)) + np.array([shift, 0])
    found = separate(real @ mixing.T, generated @ mixing.T)
    expected = 0.5 * (1 + erf(shift / 2 / sqrt(2)))
    assert abs(found.accuracy - expected) < 4 * found.standard_error + 1e-3 and found.standard_error < 0.004


def test_nothing_is_made_of_constants_and_rounding():
    ones = np.ones((50, 3))
    assert separate(ones, ones).accuracy < 0.75
    assert separate(ones, ones + 1e-9).accuracy < 0.75
    assert separate(ones, ones + 0.1).accuracy == 1


def test_statistics_by_hand():
    z = jnp.array([[[1.0, 2.0], [3.0, -1.0]]])
    powers = [np.mean(np.array([1.0, 2.0, 3.0, -1.0]) ** k) for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(statistics(z), [[*powers, (3.0 - 2.0) / 2, (2.0 - 3.0) / 2]], rtol=1e-6)
    assert statistics(jax.random.normal(jax.random.key(0), (4, 1))).shape == (4, 4)


def test_the_start_of_a_chain_is_told_from_noised_data_at_most_that_often():
    """One image: the classifier that knows it is as good; two opposite ones: it is not."""
    d, gamma = 64, 3.0
    x = np.ones((1, d))
    bound = best_accuracy_at_start(x, gamma)
    alpha, sigma = 1 / np.sqrt(1 + np.exp(gamma)), 1 / np.sqrt(1 + np.exp(-gamma))
    real, generated = alpha * x + sigma * normal(0, (20_000, d)), normal(1, (20_000, d))
    found = separate(real.mean(1, keepdims=True), generated.mean(1, keepdims=True))
    assert abs(found.accuracy - bound) < 0.02 and bound > 0.75
    assert best_accuracy_at_start(np.ones((3, d)) * 1e-6, gamma) == pytest.approx(0.5, abs=1e-5)


def test_trees_see_tails_and_what_lies_in_two_statistics_together():
    """A tenth is far off: told in ½(1 + .1) of all cases; the sign of a product, which neither factor tells: always."""
    real, generated = normal(0, (8_000, 3)), normal(1, (8_000, 3))
    far = np.where(np.arange(8_000)[:, None] % 20 < 2, 50 * np.sign(generated), generated)
    found = separate_by_trees(real, far)
    assert abs(found.accuracy - 0.55) < 4 * found.standard_error and found.standard_error < 0.006
    product = np.sign(real[:, :1] * real[:, 1:2])
    same, other = (np.concatenate([product * sign * real[:, :1], real[:, 1:]], axis=1) for sign in (1, -1))
    assert separate_by_trees(same, other).accuracy > 0.97
    assert abs(separate(same, other).accuracy - 0.5) < 0.03


@pytest.mark.slow
def test_trees_see_nothing_where_there_is_nothing():
    found = [separate_by_trees(normal(2 * i, (400, 5)), normal(2 * i + 1, (400, 5))) for i in range(20)]
    accuracy, error = (np.mean([getattr(each, name) for each in found]) for name in ("accuracy", "standard_error"))
    assert abs(accuracy - 0.5) < 4 * error / sqrt(20)
    ones = np.ones((100, 3))
    assert separate_by_trees(ones, ones + 1e-9).accuracy < 0.75 < separate_by_trees(ones, ones + 0.1).accuracy


@pytest.mark.parametrize("tell", [separate, separate_by_trees])
def test_what_is_not_finite_is_generated(tell):
    """All of it, or half: nothing is fitted to it, and it is never taken for data; of the others chance tells half, and
    who takes all that is finite for data is right in ¾."""
    real, generated = normal(0, (400, 3)), normal(1, (400, 3))
    assert tell(real, np.full_like(real, np.nan)).accuracy == 1
    broken = generated.copy()
    broken[::4], broken[1::4] = np.nan, np.inf
    assert 0.55 < tell(real, broken).accuracy <= 0.75
