"""The probability-flow likelihood of a Gaussian, where it is known."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_data import exact_denoise, marginal_variance

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.flow import exact_trace, flow_bound, flow_log_density, hutchinson_trace
from vdm_jax.diffusion.likelihood import LevelLikelihood
from vdm_jax.diffusion.schedules import make_schedule

pytest.importorskip("diffrax", reason="needs the extra 'flow'")


@pytest.mark.parametrize("name", ["linear", "cosine_continuous"])
@pytest.mark.parametrize("divergence", ["exact", "hutchinson"])
def test_log_density_of_a_gaussian(key, name, divergence):
    """z_1 = z_0 √(v_1/v_0): the flow's density is N(0, v_0/v_1) pulled back from N(0, 1)."""
    schedule = make_schedule(name)
    v_0, v_1 = (np.float64(marginal_variance(schedule.gamma(jnp.float32(t)))) for t in (0, 1))
    z_0 = np.sqrt(v_0).astype(np.float32) * jax.random.normal(key, (4, 3))
    ours = flow_log_density(jax.random.key(1), z_0, exact_denoise(schedule), schedule, divergence=divergence)
    variance = v_0 / v_1
    exact = -0.5 * (np.float64(z_0) ** 2 / variance + np.log(2 * np.pi * variance)).sum(1)
    np.testing.assert_allclose(ours, exact, atol=2e-3)


def test_traces_agree_with_the_jacobian(key):
    matrix = jax.random.normal(key, (4, 4))
    function = lambda z: jnp.tanh(z @ matrix)  # noqa: E731
    z = jax.random.normal(jax.random.key(1), (3, 4))
    expected = [jnp.trace(jax.jacobian(function)(row)) for row in z]
    np.testing.assert_allclose(exact_trace(function, z, z)[1], jnp.stack(expected), rtol=1e-5)
    probes = jax.random.rademacher(jax.random.key(2), (4000, 3, 4), jnp.float32)
    estimates = jax.vmap(lambda probe: hutchinson_trace(function, z, probe)[1])(probes)
    error = estimates.std(0) / np.sqrt(4000)
    assert np.all(abs(estimates.mean(0) - jnp.stack(expected)) < 4 * error)


@pytest.mark.slow
def test_flow_bound_lies_above_the_entropy_and_near_it(key):
    """Fine grey levels of a Gaussian cut to ±2: the discrete entropy is about the differential one - log(spacing)."""
    schedule = make_schedule("linear")
    pixel_values = jnp.linspace(-2, 2, 2001)
    x = 0.5 * jax.random.normal(key, (2000, 1))
    levels = jnp.clip(jnp.round((x + 2) / 0.002), 0, 2000).astype(jnp.int32)
    x = pixel_values[levels]
    bound = flow_bound(
        jax.random.key(1), levels, exact_denoise(schedule), schedule, LevelLikelihood(np.asarray(pixel_values))
    )
    surprise = 0.5 * (x / 0.5) ** 2 + 0.5 * np.log(2 * np.pi * 0.25) - np.log(0.002)
    gap = float((bound - surprise[:, 0]).mean())
    assert -0.01 < gap < 0.02


def test_a_table_has_no_flow(key):
    table = make_schedule("cosine")
    with pytest.raises(UserError, match="continuous schedule"):
        flow_log_density(key, jnp.zeros((1, 1)), exact_denoise(table), table)


def test_without_diffrax_the_extra_is_named(key, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffrax", None)
    with pytest.raises(UserError, match=r"pip install 'vdm-jax\[flow\]'"):
        flow_log_density(key, jnp.zeros((1, 1)), exact_denoise(make_schedule("linear")), make_schedule("linear"))
