"""Statistics of comparisons, against values worked out by hand and tables of Student's t."""

import math

import numpy as np
import pytest

from vdm_jax.base.statistics import mean_and_error, paired_difference, standard_error, t_quantile


def test_mean_and_error_of_known_values():
    found = mean_and_error(np.array([1.0, 2.0, 3.0, 6.0]), "images")
    assert found.mean == 3.0 and found.n == 4 and found.over == "images"
    np.testing.assert_allclose(found.error, math.sqrt(14 / 3) / 2)
    assert standard_error(np.array([1.0, 2.0, 3.0, 6.0])) == float(found.error)


def test_mean_and_error_over_the_first_axis():
    values = np.array([[1.0, 10.0], [3.0, 10.0]])
    found = mean_and_error(values, "seeds")
    np.testing.assert_allclose(found.mean, [2.0, 10.0])
    np.testing.assert_allclose(found.error, [1.0, 0.0])


def test_one_value_has_no_error_and_none_has_no_mean():
    assert math.isnan(mean_and_error(np.array([5]), "images").error) and standard_error(np.array([5])) is None
    with pytest.raises(ValueError, match="at least one"):
        mean_and_error(np.zeros(0), "images")


def test_an_infinite_value_has_no_error():
    found = mean_and_error(np.array([1.0, np.inf, 2.0]), "seeds")
    assert found.mean == np.inf and math.isnan(found.error)


@pytest.mark.parametrize(
    ("degrees", "probability", "quantile"),
    [(1, 0.975, math.tan(0.475 * math.pi)), (2, 0.975, 0.95 * math.sqrt(2 / (4 * 0.975 * 0.025))), (2, 0.5, 0.0)],
)
def test_t_quantiles_of_one_and_two_degrees_have_closed_forms(degrees, probability, quantile):
    np.testing.assert_allclose(t_quantile(probability, degrees), quantile, rtol=1e-9, atol=1e-12)


def test_t_quantile_of_many_degrees_is_the_normal_one():
    np.testing.assert_allclose(t_quantile(0.975, 10**7), 1.959964, rtol=1e-5)


def test_paired_difference_removes_what_the_pairs_share():
    shared = np.array([0.0, 100.0, -50.0])
    found = paired_difference(shared + [1.0, 2.0, 3.0], shared, "seeds")
    assert found.n == 3 and found.degrees_of_freedom == 2 and found.over == "seeds" and not found.reason
    np.testing.assert_allclose([found.mean, found.error], [2.0, 1 / math.sqrt(3)])
    half = 4.302652729911275 / math.sqrt(3)  # t of 2 degrees of freedom at 0.975
    np.testing.assert_allclose(found.interval, [2 - half, 2 + half])


def test_paired_difference_of_curves_has_an_interval_a_point():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 3))
    found = paired_difference(a, b, "images", level=0.9)
    for point in range(3):
        alone = paired_difference(a[:, point], b[:, point], "images", level=0.9)
        np.testing.assert_allclose([found.interval[0][point], found.interval[1][point]], alone.interval)


def test_two_seeds_have_no_interval_and_two_images_have_one():
    a, b = np.array([1.0, 2.0]), np.array([0.0, 0.5])
    assert paired_difference(a, b, "images").interval is not None
    found = paired_difference(a, b, "seeds")
    assert found.interval is None and found.reason == "n = 2; an interval over seeds takes at least 3"
    assert found.mean == 1.25 and found.error == 0.25


def test_interval_covers_the_mean_as_often_as_its_level_says():
    draws = np.random.default_rng(1).normal(size=(4, 4000))
    low, high = paired_difference(draws, np.zeros_like(draws), "seeds", level=0.8).interval
    assert abs(np.mean((low < 0) & (high > 0)) - 0.8) < 0.02


def test_mistakes_name_the_value():
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\)"):
        paired_difference(np.zeros(2), np.zeros(3), "images")
    with pytest.raises(ValueError, match="level=95.0"):
        paired_difference(np.zeros(2), np.zeros(2), "images", level=95.0)
