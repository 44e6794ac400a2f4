"""Golden values of every schedule, float64 references, ends and inverses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.schedules import (
    SCHEDULES,
    Schedule,
    discretize,
    ends_of_rest,
    even_timesteps,
    interpolated,
    make_schedule,
    noisy_entries,
    table_schedule,
    times_of_gamma,
)

PAIRS = ["ddpm_linear", "constant", "cosine"]


def abar(schedule, i):
    gamma = np.float64(schedule.gamma(jnp.float32(i / schedule.num_steps)))
    return 1 / (1 + np.exp(gamma))


def first_below_half(schedule):
    gammas = np.asarray(schedule.gamma(jnp.arange(1, schedule.num_steps + 1) / schedule.num_steps))
    return int(np.argmax(gammas > 0)) + 1


@pytest.mark.parametrize(
    ("name", "last", "first_half"),
    [("ddpm_linear", 4.036e-5, 260), ("constant", 0.1352, 693), ("cosine", 2.43e-9, 497)],
)
def test_golden_tables(name, last, first_half):
    schedule = make_schedule(name)
    np.testing.assert_allclose(abar(schedule, schedule.num_steps), last, rtol=1e-3)
    assert first_below_half(schedule) == first_half


def test_constant_abar_is_a_power():
    schedule = make_schedule("constant", num_steps=2000, beta=1e-3)
    for i in (1, 10, 2000):
        np.testing.assert_allclose(abar(schedule, i), 0.999**i, rtol=1e-5)


def test_linear_has_its_ends():
    schedule = make_schedule("linear", gamma_min=-13.3, gamma_max=5.0)
    assert schedule.gamma(jnp.float32(0)) == jnp.float32(-13.3) and schedule.gamma(jnp.float32(1)) == 5.0
    slope = jax.grad(schedule.gamma)(jnp.float32(0.3))
    np.testing.assert_allclose(slope, 18.3, rtol=1e-6)
    assert schedule.t_first == 0.0


@pytest.mark.parametrize("name", PAIRS)
def test_continuous_form_meets_its_table_at_both_ends(name):
    table, smooth = make_schedule(name), make_schedule(f"{name}_continuous")
    for t_table, t_smooth in ((table.t_first, 0.0), (1.0, 1.0)):
        np.testing.assert_allclose(table.gamma(jnp.float32(t_table)), smooth.gamma(jnp.float32(t_smooth)), atol=2e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_continuous_form_stays_near_its_table(name):
    table, smooth = make_schedule(name), make_schedule(f"{name}_continuous")
    times = jnp.linspace(0.01, 0.99, 99)
    np.testing.assert_allclose(table.gamma(times), smooth.gamma(times), atol=0.2)


@pytest.mark.parametrize("name", ["linear"] + [f"{name}_continuous" for name in PAIRS])
def test_continuous_forms_rise_with_a_finite_slope(name):
    gamma = make_schedule(name).gamma
    values, slopes = jax.jvp(gamma, (jnp.linspace(0, 1, 501),), (jnp.ones(501),))
    assert np.all(np.isfinite(values)) and np.all(np.diff(values) > 0)
    numeric = np.diff(np.float64(values)) * 500
    assert np.all(np.isfinite(slopes)) and np.all(slopes > 0)
    np.testing.assert_allclose(0.5 * (slopes[1:] + slopes[:-1])[20:-20], numeric[20:-20], rtol=0.02)


@pytest.mark.parametrize("name", PAIRS)
def test_a_table_is_continued_between_its_entries(name):
    """Its T = infinity bound of N(0, 1) is ½ ln (1 + SNR_first)/(1 + SNR_last); that of the chain is above it."""
    table = make_schedule(name)
    schedule, steps = interpolated(table), np.arange(1, table.num_steps + 1)
    gammas = np.float64(table.gamma(steps / table.num_steps))
    np.testing.assert_allclose(schedule.gamma(jnp.asarray(steps / table.num_steps, jnp.float32)), gammas, atol=1e-4)
    assert float(schedule.gamma(jnp.float32(0))) == float(table.gamma(jnp.float32(1 / table.num_steps)))
    t = jnp.asarray((np.arange(200_000) + 0.5) / 200_000, jnp.float32)
    gamma_t, slope = jax.jvp(schedule.gamma, (t,), (jnp.ones_like(t),))
    integral = 0.5 * np.mean(np.float64(slope) / (1 + np.exp(np.float64(gamma_t))))
    assert integral == pytest.approx(0.5 * np.log(np.divide(*(1 + np.exp(-gammas[[0, -1]])))), rel=1e-3)
    chain = 0.5 * np.sum(np.expm1(np.diff(gammas)) / (1 + np.exp(gammas[1:])))
    gap = {"ddpm_linear": 0.465, "constant": 0.287, "cosine": 0.407}[name]
    assert chain - integral == pytest.approx(gap, abs=1e-3)


def test_dirac_is_noiseless_then_noise_without_nan():
    schedule = make_schedule("dirac", num_steps=100, t1=0.5, t2=0.6, total=7.0)
    gammas = np.asarray(schedule.gamma(jnp.arange(1, 101) / 100))
    assert np.all(np.isneginf(gammas[:50])) and np.all(np.isfinite(gammas[50:]))
    np.testing.assert_allclose(1 / (1 + np.exp(gammas[59:])), 0.3**10, rtol=1e-4)
    assert schedule.no_bound
    spike = make_schedule("dirac", num_steps=100, t1=0.28, t2=0.29, total=0.9)  # 100 · 0.29 is below 29
    np.testing.assert_array_equal(noisy_entries(spike), [29])


def test_what_has_no_noise_at_first_is_not_continued():
    assert interpolated(make_schedule("linear")).num_steps is None
    with pytest.raises(UserError, match="Dirac"):
        interpolated(make_schedule("dirac"))


def test_dirac_that_cannot_hold_its_total_is_refused():
    with pytest.raises(UserError, match="cannot share total=7"):
        make_schedule("dirac", num_steps=100, t1=0.5, t2=0.55, total=7.0)


def test_a_table_begins_without_noise_and_counts_from_one():
    schedule = make_schedule("ddpm_linear")
    assert np.isneginf(schedule.gamma(jnp.float32(0))) and schedule.t_first == 1 / 1000
    np.testing.assert_allclose(abar(schedule, 1), 1 - 1e-4, rtol=1e-6)


def test_every_entry_of_a_long_table_is_found_again():
    schedule = discretize(Schedule(lambda t: t), 10_000)
    times = jnp.arange(1, 10_001) / 10_000
    assert np.array_equal(schedule.gamma(times), times)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_times_of_gamma_inverts(name):
    schedule = make_schedule(name)
    times = jnp.array([0.51, 0.525, 0.54]) if name == "dirac" else jnp.array([0.03, 0.4, 0.77, 0.99])
    found = times_of_gamma(schedule, schedule.gamma(times))
    np.testing.assert_allclose(found, times, atol=1.01 / (schedule.num_steps or 1e5))


def test_mistakes_are_named():
    with pytest.raises(UserError, match="did you mean 'cosine'"):
        make_schedule("cosin")
    with pytest.raises(UserError, match="takes .*gamma_min"):
        make_schedule("linear", gamma_mn=0.0)


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("ddpm_linear", {"beta_1": -1.0}, "beta_1=-1.0; expected a number between 0 and 1"),
        ("ddpm_linear", {"beta_T": float("nan")}, "beta_T=nan; expected a number between 0 and 1"),
        ("ddpm_linear_continuous", {"beta_T": 20.0}, "beta_T=20.0; expected"),
        ("constant", {"beta": 0.0}, "beta=0.0; expected"),
        ("constant_continuous", {"beta": 1.0}, "beta=1.0; expected"),
        ("cosine", {"s": -0.008}, "s=-0.008; expected a number from 0 to below 1"),
        ("cosine_continuous", {"s": 8.0}, "s=8.0; expected"),
        ("dirac", {"total": -10.0}, "cannot share total=-10.0"),
    ],
)
def test_settings_of_no_table_are_refused(name, settings, told):
    with pytest.raises(UserError, match=told):
        make_schedule(name, **settings)


def test_timesteps_are_spread_over_those_that_add_noise():
    rests = table_schedule(np.array([-np.inf, -1.0, -1.0, 0.0, 1.0, 2.0, 2.0]))  # of 0 … 7
    np.testing.assert_array_equal(ends_of_rest(rests), [0, 1, 2, 3, 6, 7])
    np.testing.assert_array_equal(even_timesteps(rests, 100), [1, 3, 4, 5, 7])
    np.testing.assert_array_equal(even_timesteps(rests, 3), [1, 4, 7])
    for name in PAIRS:
        schedule = make_schedule(name)
        assert ends_of_rest(schedule).size == 0
        even = np.linspace(0, schedule.num_steps, 21)
        np.testing.assert_array_equal(even_timesteps(schedule, 21), even.round())
