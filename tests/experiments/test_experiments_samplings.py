"""Times and starts of the job quality against known answers."""

import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.experiments.latent_diffusion.quality import over_seeds
from vdm_jax.experiments.latent_diffusion.samplings import (
    Sampling,
    curves_of,
    edge_time,
    samplings_of,
    times_of,
)

SCHEDULE = make_schedule("linear", gamma_min=-8.0, gamma_max=8.0)  # gamma = 16 t - 8


def exact_of(logsnr, nats, edge):
    """exact.json of one feature, at timesteps 0 … 1000 of the log SNR above."""
    abar = 1 / (1 + np.exp(-np.asarray(logsnr, np.float64)))
    timesteps = np.linspace(0, 1000, len(abar))
    feature = {"exact": {"information_nats": list(nats)}, "windows": {"5%": edge}}
    return {"abar": list(abar), "timesteps": list(timesteps), "features": {"one": feature}}


def test_steps_lose_equal_parts_of_the_information():
    """Where the information falls linearly in gamma within [-4, 4] and nowhere else, the steps are even there."""
    logsnr = np.linspace(8, -8, 161)
    curves = curves_of(exact_of(logsnr, np.clip((logsnr + 4) / 8, 0, 1), 750.0))
    times = times_of(Sampling("ancestral", 4, "information", "noise"), SCHEDULE, curves)
    np.testing.assert_allclose(16 * times - 8, [8, 2, 0, -2, -8], atol=0.06)


def test_a_start_at_the_edge_leaves_the_steps_above_it_out():
    logsnr = np.linspace(8, -8, 161)
    curves = curves_of(exact_of(logsnr, np.clip((logsnr + 4) / 8, 0, 1), 750.0))
    assert edge_time(SCHEDULE, curves) == pytest.approx(0.75, abs=1e-3)
    times = times_of(Sampling("ancestral", 10, "time", "gaussian"), SCHEDULE, curves)
    np.testing.assert_allclose(times, [0.75, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0], atol=1e-3)
    whole = times_of(Sampling("ancestral", 10, "time", "noise"), SCHEDULE, None)
    np.testing.assert_allclose(whole, np.linspace(1, 0, 11), atol=1e-6)


def test_features_that_never_end_have_no_edge():
    with pytest.raises(UserError, match="no timestep at which 5% of a feature remain"):
        curves_of(exact_of(np.linspace(8, -8, 9), np.ones(9), None))


def test_what_is_written():
    found = samplings_of("ddim:20, ancestral:50:time:mixture")
    assert list(found.values()) == [Sampling("ddim", 20, "time", "noise"), Sampling("ancestral", 50, "time", "mixture")]
    assert samplings_of("") == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dim:20", "did you mean 'ddim'"),
        ("ddim", "expected SAMPLER:STEPS"),
        ("ddim:0", "expected SAMPLER:STEPS"),
        ("ddim:5:even", "times of 'ddim:5:even'"),
        ("ddim:5:time:nose", "did you mean 'noise'"),
    ],
)
def test_what_cannot_be_read_is_refused(text, told):
    with pytest.raises(UserError, match=told):
        samplings_of(text)


def test_scores_are_means_over_seeds():
    def score(distance, share):
        coverage = {"not_a_sprite": share, "exactly_a_sprite": 0.5}
        coverage["readers"] = {"exact": {"histograms": {"kind": {"kl_nats": 2 * share}}}}
        return {"frechet": {"distance": distance}, "coverage": coverage}

    found = over_seeds([score(1.0, 0.1), score(3.0, 0.3)])
    assert found["frechet"] == {"value": 2.0, "standard_error": pytest.approx(1.0)}
    assert found["modes"]["kind"]["kl_nats"]["value"] == pytest.approx(0.4)
    alone = over_seeds([{"frechet": {"distance": 1.0}, "coverage": None}])
    assert alone == {"frechet": {"value": 1.0, "standard_error": None}}
