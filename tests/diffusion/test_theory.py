"""Closed forms against their table, their own derivatives, and what they say happens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.diffusion.theory import (
    TWO_DELTAS_DENSITY,
    TWO_DELTAS_SDE,
    abar,
    covariance_of,
    speciation_abar,
    time_of_abar,
    two_gaussians,
)


@pytest.mark.parametrize(
    ("r", "accuracy", "retention", "information"),
    [
        (0.1, 0.624085, 0.545670, 0.047649),
        (0.5, 0.760250, 0.675057, 0.201345),
        (1.0, 0.841345, 0.775200, 0.336831),
        (2.0, 0.921350, 0.884491, 0.500072),
        (4.0, 0.977250, 0.965701, 0.632720),
    ],
)
def test_two_gaussians(r, accuracy, retention, information):
    np.testing.assert_allclose(two_gaussians(r)[:3], [accuracy, retention, information], atol=1e-6)


def test_information_grows_by_half_the_mmse():
    step = 1e-4
    slope = (two_gaussians(1 + step).information - two_gaussians(1 - step).information) / (2 * step)
    np.testing.assert_allclose(slope, two_gaussians(1.0).mmse / 2, rtol=1e-6)
    np.testing.assert_allclose(two_gaussians(0.0), [0.5, 0.5, 0.0, 1.0], atol=1e-9)


def score_slope_at_zero(a):
    """d/dz of the score of ½ N(±√a, 1 - a) at z = 0."""

    def log_density(z):
        return jax.nn.logsumexp(-0.5 * (z - jnp.sqrt(a) * jnp.array([-1.0, 1.0])) ** 2 / (1 - a))

    return float(jax.grad(jax.grad(log_density))(0.0))


def test_two_deltas_part_at_two_different_times():
    """The reverse SDE's drift is z/2 + score (in units of beta): its slope at 0 changes sign at √2 - 1."""
    for critical, slope in (
        (TWO_DELTAS_SDE, lambda a: 0.5 + score_slope_at_zero(a)),
        (TWO_DELTAS_DENSITY, score_slope_at_zero),
    ):
        assert slope(critical - 0.01) < -0.01 and slope(critical + 0.01) > 0.01


@pytest.mark.parametrize(("name", "entry"), [("ddpm_linear", 260), ("cosine", 497)])
def test_the_time_of_an_abar(name, entry):
    """abar < ½ first at these entries."""
    schedule = make_schedule(name)
    assert abs(time_of_abar(schedule, 0.5) * 1000 - entry) < 1.5
    assert abar(schedule, jnp.float32(entry / 1000)) < 0.5 <= abar(schedule, jnp.float32((entry - 1) / 1000))
    with pytest.raises(UserError, match="abar=1"):
        time_of_abar(schedule, 1.0)


def test_speciation_is_the_leading_direction_coming_out_of_the_noise():
    random = np.random.default_rng(0)
    x = random.normal(size=(4000, 6)) * 0.1
    x[:, 2] += np.where(random.random(4000) < 0.5, 3.0, -3.0)
    np.testing.assert_allclose(speciation_abar(np.cov(x.T)), 1 / 9.01, rtol=0.01)
    few = x[:5]  # fewer points than dimensions
    leading = np.linalg.svd(few - few.mean(axis=0), compute_uv=False)[0] ** 2 / len(few)
    for covariance in (np.cov(few.T, bias=True), covariance_of(few)):
        np.testing.assert_allclose(speciation_abar(covariance), 1 / leading)
    np.testing.assert_allclose(speciation_abar(covariance_of(x[:, :1])), 1 / x[:, 0].var())
    for points in (x, few):  # more and fewer points than dimensions
        noise = np.square(points)
        expected = np.cov(points.T, bias=True) + np.diag(noise.mean(axis=0))
        np.testing.assert_allclose(covariance_of(points, noise) @ np.eye(6)[1], expected[1], atol=1e-12)
    with pytest.raises(UserError, match="nothing to separate"):
        speciation_abar(covariance_of(np.ones((3, 2))))
