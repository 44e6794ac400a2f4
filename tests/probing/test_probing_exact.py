"""Exact curves: known answers for two deltas, errors that mean what they say, and a measurement that can be resumed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.diffusion.optimal import Feature, matrix_posterior
from vdm_jax.diffusion.theory import two_gaussians
from vdm_jax.probing.exact import make_point, measure_curve, measure_level
from vdm_jax.probing.windows import crossing_times

POINTS = jnp.array([[-1.0], [1.0]])
FEATURES = {"side": Feature(np.array([0.5, 0.5]), np.array([[-1.0], [1.0]]))}


def two_deltas(batch=500):
    def draw(key):
        return POINTS[jax.random.randint(key, (batch,), 0, 2)]

    def classes(z, gamma):
        return {"side": matrix_posterior(POINTS, z, gamma, jnp.eye(2), chunk=2)}

    return make_point(draw, classes, FEATURES)


POINT = two_deltas()


def test_two_deltas_within_their_errors(key):
    ratios = np.array([0.1, 0.5, 1.0, 2.0, 4.0])
    levels = measure_curve(POINT, FEATURES, -np.log(ratios), key=key, max_queries=20_000, tolerance=0.002)
    for r, level in zip(ratios, levels, strict=True):
        known, found = two_gaussians(float(r)), level["features"]["side"]
        exact = [known.accuracy, known.retention, known.information, known.mmse, 1 - known.mmse]
        for name, value in zip(("accuracy", "retention", "information_nats", "mmse", "r2"), exact, strict=True):
            error = found[f"{name}_standard_error"]
            assert abs(found[name] - value) < 4 * error + 1e-6 and error < 0.006, (r, name)


def test_a_level_ends_when_its_errors_are_small_enough(key):
    easy, hard, stopped = (
        measure_level(POINT, FEATURES, gamma, key=key, max_queries=most, tolerance=0.01)
        for gamma, most in ((-6.0, 10_000), (0.0, 10_000), (0.0, 1_000))
    )
    assert easy["num_queries"] == stopped["num_queries"] == 1_000 < hard["num_queries"] < 10_000
    assert hard["features"]["side"]["r2_standard_error"] < 0.01 < stopped["features"]["side"]["r2_standard_error"]


def test_standard_errors_are_the_spread_over_repetitions():
    found = [
        measure_level(POINT, FEATURES, 0.0, key=jax.random.key(seed), max_queries=1_000, tolerance=0.0)["features"][
            "side"
        ]
        for seed in range(40)
    ]
    spread = np.std([f["accuracy"] for f in found], ddof=1)
    np.testing.assert_allclose(spread, np.mean([f["accuracy_standard_error"] for f in found]), rtol=0.4)


def test_levels_share_their_images_and_noise_and_are_measured_once(key):
    gammas, kept = np.array([-1.0, 0.0, 1.0]), {}

    def keep(index, level):
        kept[index] = level
        if index == 1:
            raise KeyboardInterrupt

    arguments = {"key": key, "max_queries": 1_000, "tolerance": 0.0}
    with pytest.raises(KeyboardInterrupt):
        measure_curve(POINT, FEATURES, gammas, keep=keep, **arguments)
    assert sorted(kept) == [0, 1]
    measured = []
    resumed = measure_curve(POINT, FEATURES, gammas, done=kept, keep=lambda i, _: measured.append(i), **arguments)
    assert measured == [2] and resumed == measure_curve(POINT, FEATURES, gammas, **arguments)
    again = measure_curve(POINT, FEATURES, np.array([0.0, 0.0]), **arguments)
    assert again[0] == again[1]


def test_windows_are_where_the_curve_falls_for_good():
    times = np.linspace(0, 1, 11)
    share = np.clip(1.5 - 2 * times, 0, 1)
    assert crossing_times(times, share) == pytest.approx({0.95: 0.25, 0.5: 0.5, 0.05: 0.75})
    wiggle = share.copy()
    wiggle[1] = 0.9  # noise before the fall is no fall
    assert crossing_times(times, wiggle)[0.95] == pytest.approx(0.25)
    assert crossing_times(times, np.ones(11))[0.5] is None
    assert crossing_times(times, np.zeros(11))[0.05] is None
