"""Ways to sample: their text, their times on made-up curves, and where the features end."""

import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.schedules import ddpm_linear, dirac, make_schedule
from vdm_jax.experiments.latent_diffusion.samplings import (
    Curves,
    Sampling,
    check_times,
    curves_of,
    edge_time,
    samplings_of,
    times_of,
)

LINEAR = make_schedule("linear", gamma_min=-10.0, gamma_max=6.0)


def exact_record(logsnr_edge=-4.0, **feature):
    """Of a feature of which z_t says abar² nats, and another that is not in the space."""
    abar = 1 / (1 + np.exp(np.append(-20.0, np.linspace(-6, 10, 33))))
    own = {"held": 1.0, "exact": {"information_nats": list(abar**2)}, "windows_logsnr": {"5%": logsnr_edge}} | feature
    absent = {"held": 0.0, "exact": {"information_nats": [0.0] * len(abar)}, "windows_logsnr": {"5%": None}}
    return {"abar": abar.tolist(), "features": {"x": own, "absent": absent}}


def test_the_text_says_sampler_steps_times_and_start():
    found = samplings_of("ancestral:50, ddim:20:information,ddim:9:logsnr:mixture")
    assert list(found.values()) == [
        Sampling("ancestral", 50, "time", "noise"),
        Sampling("ddim", 20, "information", "noise"),
        Sampling("ddim", 9, "logsnr", "mixture"),
    ]
    assert [each.needs_curves for each in found.values()] == [False, True, True] and samplings_of("") == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ancestrl:50", "did you mean 'ancestral'?"),
        ("ddim", "expected SAMPLER:STEPS"),
        ("ddim:0", "expected SAMPLER:STEPS"),
        ("ddim:5:time:noise:9", "expected SAMPLER:STEPS"),
        ("ddim:5:even", "times of 'ddim:5:even'"),
        ("ddim:5:time:gauss", "did you mean 'gaussian'?"),
    ],
)
def test_a_mistyped_sampling_is_named(text, told):
    with pytest.raises(UserError) as error:
        samplings_of(text)
    assert told in str(error.value)


def test_times_of_equal_information_lose_as_much_in_every_step():
    """z_t says abar² nats of the features: after k of N steps from noise it says k/N, so that abar is √(k/N)."""
    curves = curves_of(exact_record())
    times = times_of(Sampling("ddim", 10, "information", "noise"), LINEAR, curves)
    assert len(times) == 11 and times[0] == 1 and times[-1] == 0
    abar = 1 / (1 + np.exp(np.asarray(LINEAR.gamma(jnp.asarray(times[1:-1])), np.float64)))
    np.testing.assert_allclose(abar**2, np.arange(1, 10) / 10, atol=2e-3)
    on_table = times_of(Sampling("ddim", 10, "information", "noise"), ddpm_linear(), curves) * 1000
    np.testing.assert_allclose(on_table, np.round(on_table), atol=1e-3)
    assert np.all(np.diff(on_table) < 0)


def test_information_that_is_lost_from_the_start_is_shared_between_few_measured_timesteps():
    """From 11 timesteps, of which the first has no noise, though z_t says abar nats: as much is lost before the next
    one, abar = 0.90, as anywhere."""
    abar = 1 / (1 + np.exp(np.append(-20.0, np.asarray(ddpm_linear().gamma(jnp.arange(100, 1001, 100) / 1000)))))
    record = exact_record()
    record["abar"], record["features"] = abar.tolist(), {"x": record["features"]["x"]}
    record["features"]["x"]["exact"] = {"information_nats": abar.tolist()}
    times = times_of(Sampling("ddim", 20, "information", "noise"), LINEAR, curves_of(record))
    found = 1 / (1 + np.exp(np.asarray(LINEAR.gamma(jnp.asarray(times[1:-1])), np.float64)))
    np.testing.assert_allclose(found, np.arange(1, 20) / 20, atol=2e-3)


def test_cosine_times_have_the_noise_of_a_cosine_schedule():
    times = times_of(Sampling("ddim", 8, "cosine", "noise"), LINEAR, None)
    abar = 1 / (1 + np.exp(np.asarray(LINEAR.gamma(jnp.asarray(times[1:-1])), np.float64)))
    expected = np.cos(np.pi / 2 * np.arange(7, 0, -1) / 8) ** 2
    np.testing.assert_allclose(abar, expected, atol=0.02)


def test_a_start_at_the_edge_omits_the_times_above_it():
    curves = Curves(np.zeros(2), np.zeros(2), 2.0)
    edge = edge_time(LINEAR, curves)
    assert float(LINEAR.gamma(jnp.float32(edge))) == pytest.approx(2, abs=1e-4)  # (2 + 10)/16 of the way
    times = times_of(Sampling("ddim", 8, "time", "gaussian"), LINEAR, curves)
    np.testing.assert_allclose(times, [0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0], atol=1e-5)
    entries = times_of(Sampling("ddim", 1000, "time", "gaussian"), ddpm_linear(), curves) * 1000
    gammas = np.asarray(ddpm_linear().gamma(jnp.arange(1, 1001) / 1000))
    assert round(float(entries[0])) == 1 + np.argmin(np.abs(gammas - 2)) == len(entries) - 1


def test_the_edge_is_that_of_the_last_feature():
    record = exact_record()
    record["features"]["longer"] = record["features"]["x"] | {"windows_logsnr": {"5%": -5.5}}
    assert curves_of(exact_record()).edge == 4.0 and curves_of(record).edge == 5.5
    assert curves_of(record).nats[0] == pytest.approx(2, abs=1e-6)


def test_curves_that_cannot_be_used_are_refused():
    for record, told in (
        ({"features": {}}, "not the exact curves"),
        (exact_record(windows_logsnr=None), "not the exact curves"),
        (exact_record(logsnr_edge=None), "'x' has no timestep at which 5% of it remain"),
        (exact_record(held=0.0), "0 features"),
    ):
        with pytest.raises(UserError, match=told):
            curves_of(record)


def test_more_steps_than_entries_with_noise_are_refused():
    check_times(Sampling("ddim", 50, "time", "noise"), dirac())
    for sampling, told in (
        (Sampling("ddim", 51, "time", "noise"), "at most 50"),
        (Sampling("ddim", 51, "information", "noise"), "at most 50"),
        (Sampling("ddim", 20, "information", "noise"), "need noise at every entry"),
        (Sampling("ddim", 20, "logsnr", "noise"), "finite log SNR"),
    ):
        with pytest.raises(UserError, match=told):
            check_times(sampling, dirac())
