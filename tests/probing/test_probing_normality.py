"""Normality of components: uniform p-values of normal data, rejected deltas, the energy distance by brute force."""

import jax
import numpy as np
import pytest
from scipy import stats

from vdm_jax.probing.normality import (
    CORRECTIONS,
    TESTS,
    Null,
    benjamini_hochberg,
    energy_statistic,
    holm,
    measure_components,
    simulate_nulls,
    standard_statistic,
    varying,
)

N, LEVEL = 100, 0.05


@pytest.fixture(scope="module")
def nulls() -> dict[str, Null]:
    return simulate_nulls(jax.random.key(0), N, 10_000)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape)


def measured(nulls, z, **settings):
    """z: [M, N, D]."""
    return measure_components(lambda i: z[i], len(z), nulls, **{"correction": "holm", "level": LEVEL} | settings)


def test_the_energy_distance_is_that_of_all_pairs():
    z = normal(50, 3) * [1.0, 0.3, 2.0] + [0.0, 1.0, -2.0]
    draws = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)  # N(0, 1) by its quantiles
    pairs = np.abs(z[:, None] - z[None]).mean(axis=(0, 1))
    to_normal = np.stack([np.abs(column[:, None] - draws).mean() for column in z.T])
    expected = 50 * (2 * to_normal - 2 / np.sqrt(np.pi) - pairs)
    np.testing.assert_allclose(standard_statistic(z), expected, atol=2e-3)
    np.testing.assert_allclose(energy_statistic(z), energy_statistic(5 * z - 3), rtol=1e-9)


def test_p_values_of_normal_data_are_uniform(nulls):
    for name, test in measured(nulls, normal(1, N, 3_000)).items():
        assert stats.kstest(test.p.ravel(), "uniform").pvalue > 0.01, name
        np.testing.assert_allclose(test.distance.mean(), 0, atol=4 * test.distance.std() / np.sqrt(3_000) + 1e-4)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_the_share_of_false_rejections_is_at_most_the_level(nulls, correction):
    found = measured(nulls, normal(1, N, 6_000))
    for name, test in found.items():
        false = [CORRECTIONS[correction](p, LEVEL).any() for p in test.p.reshape(300, 20)]
        assert 0 < np.mean(false) <= LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / 300), name


def test_two_deltas_are_rejected_and_their_noise_is_not(nulls):
    x, eps = np.sign(normal(N, 8)), np.random.default_rng(2).normal(size=(N, 8))
    found = measured(nulls, np.stack([x + 0.1 * eps, 0.01 * x + eps]))
    for name in TESTS:
        assert found[name].rejected[0].all() and not found[name].rejected[1].any(), name
    wide = measured(nulls, 3 + 2 * eps[None])
    assert not wide["energy"].rejected.any() and wide["standard"].rejected.all()
    # two deltas of deviation 1: 2 E|1 - Z| - 2/√π - 1, whatever the size of the sample
    exact = 2 * (2 * stats.norm.pdf(1) + 2 * stats.norm.cdf(1) - 1) - 2 / np.sqrt(np.pi) - 1
    np.testing.assert_allclose(measured(nulls, x[None])["energy"].distance, exact, atol=0.03)


def test_small_p_values_continue_the_counted_ones():
    null = Null(np.sort(stats.expon.ppf((np.arange(20_000) + 0.5) / 20_000)))
    np.testing.assert_allclose(null.p_values(np.array([0.5, 2.0, 4.0])), np.exp([-0.5, -2, -4]), rtol=2e-3)
    np.testing.assert_allclose(null.p_values(np.array([5.0, 12.0])), np.exp([-5.0, -12]), rtol=0.05)


def test_the_corrections_agree_with_their_definitions():
    p = np.array([0.001, 0.2, 0.012, 0.9, 0.021, 0.011])
    assert holm(p, 0.05).tolist() == [True, False, False, False, False, False]  # 0.05/6, then 0.05/5 < 0.011
    assert benjamini_hochberg(p, 0.05).tolist() == [True, False, True, False, True, True]  # 0.021 <= 4 0.05/6
    assert not holm(np.array([0.9, 0.5]), 0.05).any() and holm(np.array([0.01, 0.02]), 0.05).all()
    expected = stats.false_discovery_control(p) <= 0.05
    np.testing.assert_array_equal(benjamini_hochberg(p, 0.05), expected)


def test_constant_components_do_not_vary():
    x = normal(N, 3) * [1.0, 1e-5, 0.0] + [0.0, 0.0, 0.25]
    assert varying(x).tolist() == [True, True, False]
    assert not varying(np.ones((5, 2))).any()
