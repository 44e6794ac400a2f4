"""The effect of the number of images on a Fréchet distance, and its removal."""

import json

import numpy as np
import pytest

from vdm_jax.evals.frechet import frechet_distance
from vdm_jax.evals.frechet_by_n import fit_by_n, frechet_by_n


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_fit_recovers_a_parabola_in_one_over_n():
    n = [125, 250, 500, 1000]
    np.testing.assert_allclose(fit_by_n(n, [3 + 40 / k + 500 / k**2 for k in n]), [3, 40, 500], rtol=1e-9)


def test_fit_weighs_sizes_by_n():
    """A parabola through the three largest sizes, and a fourth distance that is off by 1: n W (n W)^-1 by hand."""
    n = np.array([100, 200, 400, 800])
    design, weights = np.stack([n**0.0, 1.0 / n, 1.0 / n**2], 1), np.diag(n.astype(float))
    by_hand = np.linalg.solve(design.T @ weights @ design, design.T @ weights @ [1.0, 0, 0, 0])
    np.testing.assert_allclose(fit_by_n(n.tolist(), [1.0, 0.0, 0.0, 0.0]), by_hand, rtol=1e-7)


@pytest.mark.parametrize("n, bias, tolerance", [(1000, 2.20, 0.3), (5000, 0.45, 0.06)])
def test_the_known_bias_of_equal_gaussians_is_removed(random, n, bias, tolerance):
    """Two sets of N(0, I_64) are 2.20 apart for 1,000 images and 0.45 for 5,000; without the effect of N, 0."""
    found = frechet_by_n({"real": random.standard_normal((n, 64))}, random.standard_normal((n, 64)))
    curve = found["curves"]["real"]
    assert found["num_images"] == [n // 8, n // 4, n // 2, n] and found["why"] is None
    assert abs(curve["distance"][-1] - bias) < tolerance
    np.testing.assert_allclose(curve["distance"], bias * n / np.array(found["num_images"]), rtol=0.12)
    assert abs(curve["extrapolated"]) < 2 * curve["extrapolated_standard_error"] < 0.3 * bias


def test_a_hundred_images_of_64_features_say_nothing_about_more(random):
    found = frechet_by_n({"real": random.standard_normal((100, 64))}, random.standard_normal((100, 64)))
    assert abs(found["curves"]["real"]["distance"][-1] - 21.7) < 2
    assert found["fitted"] == [False] * 4 and found["curves"]["real"]["extrapolated"] is None
    assert found["why"] == "64 features need 260 images of either kind, at least"


def test_a_small_reference_is_no_better(random):
    found = frechet_by_n({"real": random.standard_normal((800, 64))}, random.standard_normal((120, 64)))
    assert found["fitted"] == [False] * 4 and found["why"]


def test_the_extrapolation_finds_a_distance_that_is_there(random):
    """N(0.3, 1.2² I_32) is 32 (0.09 + 0.04) = 4.16 from N(0, I_32); the reference is the larger set."""
    far, real = 0.3 + 1.2 * random.standard_normal((1600, 32)), random.standard_normal((1600, 32))
    found = frechet_by_n({"prior": far, "real": real}, random.standard_normal((6000, 32)))["curves"]
    prior = found["prior"]
    assert prior["distance"][-1] > prior["distance"][-2] - 1 and prior["distance"][0] > 4.16 + 1
    assert abs(prior["extrapolated"] - 4.16) < 2 * prior["extrapolated_standard_error"] < 0.6
    assert abs(found["real"]["extrapolated"]) < 2 * found["real"]["extrapolated_standard_error"]


def test_the_extrapolation_is_right_on_average_and_its_error_is_that_of_one_draw(random):
    """N(0.3, 1.2² I_16) is 16 (0.09 + 0.04) = 2.08 from N(0, I_16). At N = 1,600 the distance is 6.5% too large."""
    draws = [
        frechet_by_n({"far": 0.3 + 1.2 * random.standard_normal((1600, 16))}, random.standard_normal((1600, 16)))
        for _ in range(60)
    ]
    curves = [found["curves"]["far"] for found in draws]
    limits = np.array([curve["extrapolated"] for curve in curves])
    np.testing.assert_allclose(np.mean([curve["distance"][-1] for curve in curves]), 1.065 * 2.08, rtol=0.02)
    np.testing.assert_allclose(limits.mean(), 2.08, rtol=0.02)
    np.testing.assert_allclose(
        np.mean([curve["extrapolated_standard_error"] for curve in curves]), limits.std(), rtol=0.3
    )


def test_a_negative_limit_says_that_it_stands_for_zero(random):
    found = [
        frechet_by_n({"real": random.standard_normal((400, 4))}, random.standard_normal((400, 4))) for _ in range(8)
    ]
    curves = [each["curves"]["real"] for each in found]
    notes = {curve["extrapolated"] < 0: curve["note"] for curve in curves}
    assert notes == {True: "a negative limit: not distinguishable from 0", False: None}


def test_each_size_sees_every_image_once(random):
    generated, reference = random.standard_normal((90, 3)), random.standard_normal((170, 3))
    found = frechet_by_n({"prior": generated, "real": generated[:81] + 1}, reference)
    assert found["num_images"] == [10, 20, 40, 81] and found["num_reference"] == [21, 42, 85, 170]
    assert found["num_sets"] == [8, 4, 2, 1] and found["fitted"] == [True] * 4
    halves = [frechet_distance(generated[40 * i : 40 * i + 40], reference[85 * i : 85 * i + 85]) for i in range(2)]
    curve = found["curves"]["prior"]
    np.testing.assert_allclose(curve["distance"][2:], [np.mean(halves), frechet_distance(generated[:81], reference)])
    np.testing.assert_allclose(curve["standard_error"][2], abs(halves[0] - halves[1]) / 2)
    assert curve["standard_error"][3] is None and curve["extrapolated"] == curve["fit"][0]
    assert json.loads(json.dumps(found)) == found


def test_few_images_leave_sizes_out(random):
    found = frechet_by_n({"real": random.standard_normal((5, 2))}, random.standard_normal((4, 2)))
    assert found["num_images"] == [2, 5] and found["num_reference"] == [2, 4] and found["why"]


def test_progress_is_told_of_every_pair(random):
    seen = []
    frechet_by_n(
        {"real": random.standard_normal((40, 2))},
        random.standard_normal((40, 2)),
        progress=lambda steps: (seen.append(i) or i for i in steps),
    )
    assert seen == list(range(15))
