"""Exact curves: known answers for two deltas, errors that mean what they say, and a measurement that can be resumed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import noised
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.diffusion.rows import matrix_posterior
from vdm_jax.diffusion.theory import two_gaussians
from vdm_jax.probing.exact import FEWEST_BATCHES, make_estimator, measure_curve
from vdm_jax.probing.windows import (
    Noise,
    crossing_times,
    describe_windows,
    jackknife_errors,
    logsnr_windows,
    noise_of,
    windows_of,
)

POINTS = jnp.array([[-1.0], [1.0]])
FEATURES = {"side": Feature(np.array([0.5, 0.5]), np.array([[-1.0], [1.0]]))}
BATCH = 100


def two_deltas():
    def draw(key):
        x = POINTS[jax.random.randint(key, (BATCH // 2,), 0, 2)]
        return x, jax.random.normal(named_key(key, "eps"), x.shape)

    def classes(queries, gamma):
        x, eps = queries
        z = jnp.concatenate([noised(x, eps, gamma), noised(x, -eps, gamma)])
        return {"side": matrix_posterior(POINTS, z, gamma, jnp.eye(2), chunk=2)}

    return make_estimator(draw, classes, FEATURES, BATCH)


ESTIMATOR = two_deltas()


def measured(gammas, key, **settings):
    settings = {"max_queries": 1_000, "tolerance": 0.0} | settings
    return measure_curve(ESTIMATOR, FEATURES, np.asarray(gammas, float), key=key, **settings)


def test_two_deltas_within_their_errors(key):
    ratios = np.array([0.1, 0.5, 1.0, 2.0, 4.0])
    levels = measured(-np.log(ratios), key, max_queries=20_000, tolerance=0.002)
    for r, level in zip(ratios, levels, strict=True):
        known, found = two_gaussians(float(r)), level.features["side"]
        exact = [known.accuracy, known.retention, known.information, known.mmse, 1 - known.mmse]
        for name, value in zip(("accuracy", "retention", "information_nats", "mmse", "r2"), exact, strict=True):
            error = found[f"{name}_standard_error"]
            assert abs(found[name] - value) < 4 * error + 1e-6 and error < 0.006, (r, name)


def test_a_level_ends_when_its_errors_are_small_enough(key):
    easy, hard = measured([-6.0, 0.0], key, max_queries=50_000, tolerance=0.004)
    (stopped,) = measured([0.0], key, max_queries=BATCH * FEWEST_BATCHES - 50)
    assert easy.num_queries == stopped.num_queries == BATCH * FEWEST_BATCHES < hard.num_queries < 50_000
    assert hard.features["side"]["r2_standard_error"] < 0.004 < stopped.features["side"]["r2_standard_error"]


def test_standard_errors_are_the_spread_over_repetitions():
    found = [measured([0.0], jax.random.key(seed))[0].features["side"] for seed in range(40)]
    spread = np.std([f["accuracy"] for f in found], ddof=1)
    np.testing.assert_allclose(spread, np.mean([f["accuracy_standard_error"] for f in found]), rtol=0.4)


def test_batches_are_kept_and_not_measured_again(key):
    gammas, kept = [-1.0, 0.0, 1.0], []

    def keep(row):
        kept.append(row)
        if len(kept) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(gammas, key, keep=keep)
    fresh: list = []
    resumed = measured(gammas, key, done=kept, keep=fresh.append)
    assert [row["step"] for row in fresh] == [4, 5, 6, 7, 8, 9]
    for a, b in zip(resumed, measured(gammas, key), strict=True):
        assert a.features == b.features and np.array_equal(a.without["side"], b.without["side"])


def test_levels_of_one_gamma_are_measured_once(key):
    rows: list = []
    again = measured([2.0, 0.0, 0.0, 2.0], key, keep=rows.append)
    assert again[1] is again[2] and again[0] is again[3] and again[0].gamma == 2.0
    assert {tuple(row["levels"]) for row in rows} == {(0, 1)}


def test_windows_are_where_the_curve_falls_for_good():
    noise = Noise(np.linspace(0, 1, 41), np.linspace(1, 0, 41) ** 2)  # √abar = 1 - t
    share = np.clip(1.5 - 2 * noise.timesteps, 0, 1)
    expected = {0.95: 0.275, 0.5: 0.5, 0.05: 0.725}
    assert crossing_times(noise, share) == pytest.approx(expected, abs=2e-3)
    wiggle = share.copy()
    wiggle[1] = 0.9  # noise before the fall is no fall
    assert crossing_times(noise, wiggle)[0.95] == pytest.approx(0.275, abs=2e-3)
    assert crossing_times(noise, np.ones(41))[0.5] is None
    assert crossing_times(noise, np.zeros(41))[0.05] is None
    on_the_point = Noise(np.array([0, 1, 2, 3, 7]), np.array([1.0, 0.7, 0.45, 0.1, 0.0]))
    assert crossing_times(on_the_point, np.array([1, 0.95, 0.5, 0.05, 0])) == {0.95: 1, 0.5: 2, 0.05: 3}
    share[30] = np.nan
    assert crossing_times(noise, share) == pytest.approx(expected, abs=2e-3)


def test_errors_of_windows_are_the_spread_over_repetitions():
    gammas = np.linspace(-4, 4, 9)
    noise = noise_of(np.arange(9), gammas)
    found, errors = [], []
    for seed in range(20):
        levels = measured(gammas, jax.random.key(seed))
        found.append(windows_of(noise, np.array([level.features["side"]["r2"] for level in levels]))["50%"])
        errors.append(jackknife_errors(noise, np.stack([level.without["side"] for level in levels], 1))["50%"])
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(errors))), np.std(found, ddof=1), rtol=0.4)


def test_windows_without_an_error_are_told():
    falls, stays = np.linspace(1, 0, 5), np.ones(5)
    noise = Noise(np.arange(5), falls)
    assert jackknife_errors(noise, np.stack([falls, falls]))["50%"] == 0
    assert jackknife_errors(noise, np.stack([falls, stays]))["50%"] is None
    assert jackknife_errors(noise, falls[None])["50%"] is None


def test_where_no_noise_is_added_nothing_is_lost():
    noise = Noise(np.array([0, 10, 20, 30, 90]), np.array([1.0, 1.0, 0.5, 0.2, 0.2]))
    times = windows_of(noise, np.array([1.0, 1.0, 0.6, 0.0, 0.0]))
    assert 10 < times["95%"] < 20 < times["50%"] < times["5%"] < 30
    assert windows_of(noise, np.array([1.0, 0.9, 0.6, 0.0, 0.0]))["95%"] == 0  # noise of the curve alone


def test_windows_in_log_snr_do_not_depend_on_the_timesteps():
    """A share of 1/(1 + exp(-log SNR)) is abar itself: 95% is at ln(0.95/0.05), whatever the timesteps are called."""
    gammas = np.array([-20.0, -6.0, -3.5, -2.0, -1.0, 0.0, 1.0, 2.0, 3.5, 6.0])
    for steps in (np.arange(10.0), np.arange(10.0) ** 2):
        found = logsnr_windows(noise_of(steps, gammas), 1 / (1 + np.exp(gammas)))
        np.testing.assert_allclose(list(found.values()), np.log([19, 1, 1 / 19]), atol=1e-6)
    assert logsnr_windows(noise_of(steps, gammas), np.linspace(0.8, 0.3, 10))["95%"] is None
    without = 1 / (1 + np.exp(gammas + np.array([[-0.1], [0.1]])))
    error = jackknife_errors(noise_of(steps, gammas), without, logsnr_windows)["50%"]
    assert error == pytest.approx(0.1, rel=0.02)  # of two groups: half of their difference


def test_windows_of_what_is_held_are_those_of_the_curve_over_its_first_value():
    gammas = np.array([-20.0, -6.0, -3.5, -2.0, -1.0, 0.0, 1.0, 2.0, 3.5, 6.0])
    noise, share = noise_of(np.arange(10), gammas), 1 / (1 + np.exp(gammas))
    found = describe_windows(noise, 0.6 * share, np.stack([0.55 * share, 0.65 * share]))
    assert found["held"] == pytest.approx(0.6) and found["windows"]["95%"] is None
    assert found["held_windows"] == pytest.approx(windows_of(noise, share))
    assert found["held_windows_logsnr"] == pytest.approx(logsnr_windows(noise, share), abs=1e-6)
    assert found["held_windows_standard_error"] == pytest.approx(dict.fromkeys(found["windows"], 0), abs=1e-9)
    assert found["windows_logsnr_standard_error"]["50%"] > 0.1
    nothing = describe_windows(noise, 0 * share, np.stack([0 * share] * 2))
    assert nothing.keys() == found.keys() and set(nothing["held_windows_logsnr"].values()) == {None}
