"""Known histograms: what is even passes, what is missing is found, and the p-values are uniform under the null."""

import numpy as np
import pytest

from vdm_jax.evals.mode_coverage import histogram, mode_coverage, same_source

EVEN = np.full(20, 1 / 20)


def uniform_enough(p_values):
    """The largest distance of the p-values' distribution from the uniform one, in units of its 1% bound."""
    p = np.sort(p_values)
    steps = np.arange(len(p) + 1) / len(p)
    return max(np.max(steps[1:] - p), np.max(p - steps[:-1])) * np.sqrt(len(p)) / 1.63


def test_even_counts_pass():
    found = mode_coverage(np.full(20, 50), EVEN)
    assert (found["num_images"], found["num_modes"], found["num_hit"]) == (1000, 20, 20)
    assert found["chi_square"] == pytest.approx(0) and found["p_value"] == pytest.approx(1)
    assert found["kl_nats"] == pytest.approx(0) and found["p_value_by"] == "chi-square distribution"
    assert found["num_hit_expected"] == pytest.approx(20, abs=1e-6)


def test_numbers_by_hand():
    found = mode_coverage(np.array([3, 1, 0]), np.array([0.5, 0.25, 0.25]))
    assert found["chi_square"] == pytest.approx((3 - 2) ** 2 / 2 + 0 + 1)
    assert found["kl_nats"] == pytest.approx(0.75 * np.log(1.5))
    assert found["num_hit_expected"] == pytest.approx((1 - 0.5**4) + 2 * (1 - 0.75**4))
    assert (found["num_hit"], found["degrees_of_freedom"], found["p_value_by"]) == (2, 2, "simulation")


@pytest.mark.parametrize(("num_modes", "num_images"), [(2_000, 100), (20, 1_000)])
def test_the_expected_kl_is_that_of_draws_of_the_data(num_modes, num_images):
    shares = np.linspace(1, 3, num_modes) / (2 * num_modes)
    draws = np.random.default_rng(0).multinomial(num_images, shares, size=300)
    found = mode_coverage(draws[0], shares)
    part = draws / num_images
    kl = np.sum(part * np.log(np.where(draws > 0, part, 1) / shares) * (draws > 0), axis=1)
    assert abs(found["kl_expected_nats"] - kl.mean()) < 4 * kl.std() / np.sqrt(300)
    assert found["kl_nats"] == pytest.approx(kl[0])
    assert mode_coverage(np.array([2]), np.array([1.0]))["kl_expected_nats"] == pytest.approx(0)


def test_a_missing_mode_is_found():
    counts = np.random.default_rng(0).multinomial(1000, np.append(np.full(19, 1 / 19), 0))
    found = mode_coverage(counts, EVEN)
    assert found["num_hit"] == 19 and found["p_value"] < 1e-4
    assert found["kl_nats"] == pytest.approx(np.log(20 / 19), abs=0.02)
    real = np.random.default_rng(1).multinomial(1000, EVEN)
    assert same_source(counts, real)["p_value"] < 1e-4


def test_images_outside_the_data():
    found = mode_coverage(np.array([5, 5, 1]), np.array([0.5, 0.5, 0.0]))
    assert found["num_modes"] == found["num_hit"] == 2 and found["chi_square"] == found["kl_nats"] == np.inf
    assert found["p_value"] < 1e-3


def test_no_images_and_one_mode():
    assert mode_coverage(np.zeros(20, int), EVEN)["p_value"] is None
    assert mode_coverage(np.array([7]), np.array([1.0]))["p_value"] == 1.0
    assert same_source(np.zeros(3, int), np.ones(3, int))["p_value"] is None
    assert same_source(np.array([7, 0]), np.array([3, 0]))["p_value"] == 1.0


@pytest.mark.parametrize(("num_images", "by"), [(400, "chi-square distribution"), (40, "simulation")])
def test_p_values_are_uniform_under_the_null(num_images, by):
    random, shares = np.random.default_rng(2), np.linspace(1, 3, 10) / 20
    found = [mode_coverage(random.multinomial(num_images, shares), shares) for _ in range(150)]
    assert {each["p_value_by"] for each in found} == {by}
    assert uniform_enough([each["p_value"] for each in found]) < 1


@pytest.mark.parametrize(("sizes", "by"), [((400, 600), "chi-square distribution"), ((30, 50), "simulation")])
def test_readers_mistakes_reject_nothing_where_both_sets_went_through_it(sizes, by):
    random, shares = np.random.default_rng(3), np.linspace(1, 3, 6) / 12  # what a poor reader makes of even data
    found = [same_source(*(random.multinomial(size, shares) for size in sizes)) for _ in range(150)]
    assert {each["p_value_by"] for each in found} == {by}
    assert uniform_enough([each["p_value"] for each in found]) < 1
    naive = mode_coverage(random.multinomial(1000, shares), np.full(6, 1 / 6))
    assert naive["p_value"] < 1e-6, "against the data's shares its mistakes look like the model's"


def test_the_joint_is_seen_where_the_marginals_hide_it():
    half = np.repeat([0, 1], 50)
    labels, sizes = {"a": half, "b": half}, {"a": 2, "b": 2}
    np.testing.assert_array_equal(histogram(labels, ("a", "b"), sizes), [50, 0, 0, 50])
    assert mode_coverage(histogram(labels, ("a",), sizes), np.full(2, 0.5))["p_value"] == 1
    assert mode_coverage(histogram(labels, ("a", "b"), sizes), np.full(4, 0.25))["p_value"] < 1e-9
    np.testing.assert_array_equal(
        histogram({"a": np.array([2]), "b": np.array([1])}, ("a", "b"), {"a": 3, "b": 2})[5], 1
    )
