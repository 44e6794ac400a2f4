"""Langevin dynamics against its stationary variance; solvers of the reverse SDE and of the flow by their orders."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_data import VARIANCE, exact_denoise, marginal_variance

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.samplers import StepInputs, ancestral, ddim, make_times, sample
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.diffusion.score_matching.langevin import LangevinSampler, langevin, langevin_step, method_of
from vdm_jax.diffusion.score_matching.objectives import geometric_sigmas, variance_exploding
from vdm_jax.diffusion.score_matching.sde import flow_vp, reverse_sde_ve, reverse_sde_vp

LINEAR = make_schedule("linear", gamma_min=-6.0, gamma_max=6.0)
SIGMAS = geometric_sigmas(10.0, 0.05, 12)


@pytest.mark.parametrize("step_size", [0.1, 1.0, 2.0])
def test_stationary_variance_of_unadjusted_langevin(key, step_size):
    """1/(1 - step_size/4) on N(0, 1): 1.026, 1.333 and 2."""
    start = jnp.zeros((20_000, 1))
    (end,) = langevin(key, lambda x: -x, start, num_steps=int(30 / step_size), step_size=step_size)
    np.testing.assert_allclose(end.var(), 1 / (1 - step_size / 4), rtol=0.04)


def test_parts_of_a_chain_are_one_chain(key):
    x = jnp.ones((3, 2))
    whole = langevin(key, jnp.tanh, x, num_steps=6, step_size=0.1)
    parts = langevin(key, jnp.tanh, x, num_steps=6, step_size=0.1, num_kept=3)
    np.testing.assert_allclose(parts[-1], whole[0], rtol=1e-6)
    first = langevin(key, jnp.tanh, x, num_steps=2, step_size=0.1)
    np.testing.assert_allclose(parts[0], first[0], rtol=1e-6)
    with pytest.raises(UserError, match="num_steps=7 Langevin steps do not divide into 3"):
        langevin(key, jnp.tanh, x, num_steps=7, step_size=0.1, num_kept=3)


def test_a_step_of_the_loop_is_ncsn_s(key):
    """y + ½ a s + √a n with a = ratio sigma², in y = z/alpha, whatever the level that follows."""
    gamma_t, gamma_s, ratio = jnp.float32(1.3), jnp.float32(0.2), 0.2
    (alpha_t, sigma_t), (alpha_s, _) = alpha_sigma(gamma_t), alpha_sigma(gamma_s)
    z, x_hat = jax.random.normal(key, (2, 5, 3))
    step = StepInputs(z, x_hat, x_hat, gamma_s, gamma_t, gamma_t)
    moved = LangevinSampler("", 1, ratio)(jax.random.key(1), step) / alpha_s
    stayed = LangevinSampler("", 1, ratio)(jax.random.key(1), step._replace(gamma_s=gamma_t)) / alpha_t
    sigma = sigma_t / alpha_t
    drift = 0.5 * ratio * sigma**2 * (x_hat - z / alpha_t) / sigma**2
    noise = LangevinSampler("", 1, ratio)(jax.random.key(1), step._replace(z_t=0 * z, x_hat=0 * z)) / alpha_s
    np.testing.assert_allclose(moved, z / alpha_t + drift + noise, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moved, stayed, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(noise.std(), np.sqrt(ratio) * sigma, rtol=0.4)


def test_annealed_langevin_follows_its_variance(key):
    """In y the variance is (1 - a/(2 v))² var + a after a step at a level with v = s² + sigma², a = ratio sigma²."""
    schedule, variance = variance_exploding(SIGMAS), 1 + SIGMAS[0] ** 2
    for sigma in SIGMAS[:-1]:
        a, v = 0.2 * sigma**2, VARIANCE + sigma**2
        for _ in range(10):
            variance = (1 - a / (2 * v)) ** 2 * variance + a
    times = make_times(schedule, len(SIGMAS))
    z_1, last = jax.random.normal(key, (10_000, 1)), len(SIGMAS) - 1
    keep, method = (0, last), method_of("langevin:10:0.2")
    _, kept = sample(jax.random.key(1), exact_denoise(schedule), schedule, z_1, times, method, keep=keep)
    np.testing.assert_array_equal(kept[0], z_1)
    np.testing.assert_allclose(kept[1].var() * (1 + SIGMAS[-1] ** 2), variance, rtol=0.06)
    assert variance > 1.2 * VARIANCE, "ten steps a level are too few: the test would not see the right law alone"


@pytest.mark.parametrize("name", ["ancestral+langevin:2:0.1", "flow_vp+langevin:2:0.1"])
def test_corrected_steps_recover_the_variance_of_a_gaussian(key, name):
    schedule = variance_exploding(geometric_sigmas(10.0, 0.05, 60))
    times = make_times(schedule, 60)
    z_1 = jax.random.normal(key, (10_000, 1))
    _, kept = sample(jax.random.key(1), exact_denoise(schedule), schedule, z_1, times, method_of(name), keep=(59,))
    np.testing.assert_allclose(kept[0].var(), marginal_variance(schedule.gamma(times[59])), rtol=0.06)


def test_annealed_langevin_repeats_each_level(key):
    """The loop is the plain dynamics at each level, y carried on: by hand, with the same noise in distribution."""
    schedule, calls = variance_exploding([2.0, 1.0]), []

    def denoise(z, t):
        jax.debug.callback(lambda t: calls.append(float(t)), t[0])
        return exact_denoise(schedule)(z, t)

    times = make_times(schedule, 2)
    z_1 = jax.random.normal(key, (1, 1))
    jax.block_until_ready(sample(jax.random.key(1), denoise, schedule, z_1, times, LangevinSampler("", 3, 0.1)))
    jax.effects_barrier()
    assert sorted(calls, reverse=True) == [1.0] * 3 + [0.5] * 3
    assert LangevinSampler("ancestral", 3, 0.1).repeats == 4


def final_variance(method, num_steps, variance):
    """Var z_0 after `num_steps` steps on N(0, s²). x_hat is linear in z, so each step is a factor and a noise."""
    times = jnp.linspace(1.0, 0.0, num_steps + 1, dtype=jnp.float64)
    gammas = LINEAR.gamma(times)

    def moved(value, gamma_t, gamma_s):
        z_t = jnp.full((1, 1), value)
        x_hat = alpha_sigma(gamma_t)[0] * VARIANCE / marginal_variance(gamma_t) * z_t
        return method(jax.random.key(3), StepInputs(z_t, x_hat, x_hat, gamma_s, gamma_t, gamma_t))[0, 0]

    zero, one = (jax.vmap(moved, (None, 0, 0))(value, gammas[:-1], gammas[1:]) for value in (0.0, 1.0))
    noise = zero / jax.random.normal(jax.random.key(3), (1, 1))[0, 0]
    for factor, deviation in zip(np.asarray(one - zero), np.asarray(noise), strict=True):
        variance = factor**2 * variance + deviation**2
    return variance


@pytest.mark.parametrize("method", [reverse_sde_vp, reverse_sde_ve, ancestral, flow_vp])
def test_order_of_the_solvers(method):
    """The error of Var z_0 halves with the step: weak order 1 of the SDE's, order 1 of the flow's."""
    with jax.enable_x64(True):
        true, start = (float(marginal_variance(LINEAR.gamma(jnp.float64(t)))) for t in (0.0, 1.0))
        errors = [abs(final_variance(method, num_steps, start) - true) for num_steps in (100, 200, 400)]
    np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 1, atol=0.15)


def test_ancestral_and_ddim_steps_are_those_of_the_exploding_process():
    """In y = z/alpha, in Song's letters, to rounding; Euler's steps of the SDE and the flow are others in z."""
    with jax.enable_x64(True):
        gamma_t, gamma_s = jnp.float64(1.0), jnp.float64(0.3)
        (alpha_t, _), (alpha_s, _) = alpha_sigma(gamma_t), alpha_sigma(gamma_s)
        var_t, var_s = jnp.exp(gamma_t), jnp.exp(gamma_s)
        z, x_hat = jax.random.normal(jax.random.key(0), (2, 5, 3))
        noise = jax.random.normal(jax.random.key(1), z.shape)
        step = StepInputs(z, x_hat, x_hat, gamma_s, gamma_t, gamma_t)
        y, score = z / alpha_t, (x_hat - z / alpha_t) / var_t
        mean = y + (var_t - var_s) * score
        by_hand = {
            ancestral: mean + jnp.sqrt(var_s * (var_t - var_s) / var_t) * noise,
            reverse_sde_ve: mean + jnp.sqrt(var_t - var_s) * noise,
            ddim: y - (jnp.sqrt(var_t) - jnp.sqrt(var_s)) * -jnp.sqrt(var_t) * score,
        }
        found = {method: method(jax.random.key(1), step) / alpha_s for method in (*by_hand, reverse_sde_vp, flow_vp)}
    for method, expected in by_hand.items():
        np.testing.assert_allclose(found[method], expected, rtol=0, atol=4e-15)
    assert abs(found[reverse_sde_vp] - found[reverse_sde_ve]).max() > 0.1
    assert abs(found[flow_vp] - found[ddim]).max() > 0.01


@pytest.mark.parametrize("name", ["reverse_sde_vp", "reverse_sde_ve", "flow_vp", "langevin", "ddim+langevin:1:0.1"])
def test_into_no_noise_every_method_ends_at_x_hat(key, name):
    schedule = make_schedule("ddpm_linear", num_steps=20)
    times = make_times(schedule, 10)
    z_1 = jax.random.normal(key, (4, 2))
    z_0 = sample(jax.random.key(1), exact_denoise(schedule, 0.0), schedule, z_1, times, method_of(name))
    np.testing.assert_allclose(z_0, 0, atol=1e-5)


def test_names_of_methods():
    assert method_of("ddim") == "ddim" and method_of("flow_vp") is flow_vp
    assert method_of("langevin") == LangevinSampler("", 5, 0.2)
    assert method_of("langevin:100") == LangevinSampler("", 100, 0.2)
    assert method_of("ancestral+langevin:2:0.05") == LangevinSampler("ancestral", 2, 0.05)
    for wrong in ("langevin:0", "langevin:2:0", "langevin:2:-1", "langevin:x", "langevin:1:2:3", "langevin:2:inf"):
        with pytest.raises(UserError, match="expected langevin:STEPS:RATIO"):
            method_of(wrong)
    with pytest.raises(UserError, match="did you mean 'langevin'"):
        method_of("langevn")
    with pytest.raises(UserError, match="predictor='ancestrl'.*did you mean 'ancestral'"):
        method_of("ancestrl+langevin")
    with pytest.raises(UserError, match="expected one of"):
        method_of("ddim:3")


def test_a_step_of_langevin_by_hand(key):
    x, score = jnp.ones((2, 3)), jnp.full((2, 3), -2.0)
    found = langevin_step(jax.random.clone(key), x, score, 0.04)
    np.testing.assert_allclose(found, 1 - 0.04 + 0.2 * jax.random.normal(key, x.shape), rtol=1e-6)
