"""Langevin dynamics against its stationary variance; solvers of the reverse SDE and of the flow by their orders."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_data import VARIANCE, exact_denoise, marginal_variance

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import fold_in, named_key
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.samplers import StepInputs, ancestral, ddim, make_times, sample
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.diffusion.score_matching.langevin import LangevinSampler, langevin, method_of
from vdm_jax.diffusion.score_matching.objectives import geometric_sigmas, variance_exploding
from vdm_jax.diffusion.score_matching.sde import flow_vp, reverse_sde_ve, reverse_sde_vp

LINEAR = make_schedule("linear", gamma_min=-6.0, gamma_max=6.0)
SIGMAS = geometric_sigmas(10.0, 0.05, 12)
SOLVED = [reverse_sde_vp, reverse_sde_ve, ancestral, flow_vp]


def test_stationary_variance_of_unadjusted_langevin(key):
    """1/(1 - step_size/4) on N(0, 1): 1.143, 1.333 and 2."""
    sizes = jnp.array([0.5, 1.0, 2.0])
    run = jax.vmap(lambda size: langevin(key, lambda x: -x, jnp.zeros((20_000, 1)), num_steps=40, step_size=size)[0])
    np.testing.assert_allclose(run(sizes).var((1, 2)), 1 / (1 - np.asarray(sizes) / 4), rtol=0.04)


def test_parts_of_a_chain_are_one_chain_of_steps_by_hand(key):
    x = jnp.ones((3, 2))
    parts = langevin(key, jnp.tanh, x, num_steps=6, step_size=0.1, num_kept=3)
    own = named_key(key, "langevin")
    for i in range(6):
        noise = jnp.sqrt(0.1) * jax.random.normal(fold_in(own, i), x.shape)
        x = x + 0.05 * jnp.tanh(x) + noise
        if i % 2:
            np.testing.assert_allclose(parts[i // 2], x, rtol=1e-5)
    with pytest.raises(UserError, match="num_steps=7 Langevin steps do not divide into 3"):
        langevin(key, jnp.tanh, x, num_steps=7, step_size=0.1, num_kept=3)


def test_a_step_of_the_loop_is_ncsn_s(key):
    """y + ½ a s + √a n with a = ratio sigma², in y = z/alpha, whatever the level that follows."""
    gamma_t, gamma_s, ratio = jnp.float32(1.3), jnp.float32(0.2), 0.2
    (alpha_t, sigma_t), (alpha_s, _) = alpha_sigma(gamma_t), alpha_sigma(gamma_s)
    z, x_hat = jax.random.normal(key, (2, 5, 3))
    step, one = StepInputs(z, x_hat, x_hat, gamma_s, gamma_t, gamma_t), LangevinSampler("", 1, ratio)
    moved = one(jax.random.key(1), step) / alpha_s
    stayed = one(jax.random.key(1), step._replace(gamma_s=gamma_t)) / alpha_t
    noise = one(jax.random.key(1), step._replace(z_t=0 * z, x_hat=0 * z)) / alpha_s
    drift = 0.5 * ratio * (x_hat - z / alpha_t)  # ½ a s with s = (x_hat - y)/sigma²
    np.testing.assert_allclose(moved, z / alpha_t + drift + noise, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moved, stayed, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(noise.std(), np.sqrt(ratio) * sigma_t / alpha_t, rtol=0.4)


def test_annealed_langevin_follows_its_variance(key):
    """In y the variance is (1 - a/(2 v))² var + a after a step at a level with v = s² + sigma², a = ratio sigma²."""
    schedule, variance = variance_exploding(SIGMAS), 1 + SIGMAS[0] ** 2
    for sigma in SIGMAS[:-1]:
        a, v = 0.2 * sigma**2, VARIANCE + sigma**2
        for _ in range(10):
            variance = (1 - a / (2 * v)) ** 2 * variance + a
    times = make_times(schedule, len(SIGMAS))
    z_1, last = jax.random.normal(key, (4_000, 1)), len(SIGMAS) - 1
    keep, method = (0, last), method_of("langevin:10:0.2")
    _, kept = sample(jax.random.key(1), exact_denoise(schedule), schedule, z_1, times, method, keep=keep)
    np.testing.assert_array_equal(kept[0], z_1)
    np.testing.assert_allclose(kept[1].var() * (1 + SIGMAS[-1] ** 2), variance, rtol=0.08)
    assert variance > 1.2 * VARIANCE, "ten steps a level are too few: the test would not see the right law alone"


def test_corrected_steps_recover_the_variance_of_a_gaussian(key):
    schedule = variance_exploding(geometric_sigmas(10.0, 0.05, 60))
    times, method = make_times(schedule, 60), method_of("ancestral+langevin:2:0.1")
    z_1 = jax.random.normal(key, (4_000, 1))
    _, kept = sample(jax.random.key(1), exact_denoise(schedule), schedule, z_1, times, method, keep=(59,))
    np.testing.assert_allclose(kept[0].var(), marginal_variance(schedule.gamma(times[59])), rtol=0.08)


@jax.jit
def factors_and_noises(gamma_t, gamma_s):
    """Of a step of each of `SOLVED` on N(0, s²): x_hat is linear in z, so it is a factor and a noise."""

    def moved(method, value, gamma_t, gamma_s):
        z_t = jnp.full((1, 1), value, jnp.float64)
        x_hat = alpha_sigma(gamma_t)[0] * VARIANCE / marginal_variance(gamma_t) * z_t
        return method(jax.random.key(3), StepInputs(z_t, x_hat, x_hat, gamma_s, gamma_t, gamma_t))[0, 0]

    each = [
        [jax.vmap(lambda t, s, m=method, v=value: moved(m, v, t, s))(gamma_t, gamma_s) for value in (0.0, 1.0)]
        for method in SOLVED
    ]
    unit = jax.random.normal(jax.random.key(3), (1, 1))[0, 0]
    return [(one - zero, zero / unit) for zero, one in each]


def test_order_of_the_solvers():
    """The error of Var z_0 halves with the step: weak order 1 of the SDE's, order 1 of the flow's."""
    with jax.enable_x64(True):
        grids = [LINEAR.gamma(jnp.linspace(1.0, 0.0, n + 1, dtype=jnp.float64)) for n in (100, 200, 400)]
        pairs = [jnp.concatenate([grid[a:b] for grid in grids]) for a, b in ((None, -1), (1, None))]
        found = [np.asarray(each) for each in factors_and_noises(*pairs)]
        start, true = (float(marginal_variance(grids[0][i])) for i in (0, -1))
    for method, (factors, noises) in zip(SOLVED, found, strict=True):
        errors = []
        for part in (slice(0, 100), slice(100, 300), slice(300, 700)):
            variance = start
            for factor, noise in zip(factors[part], noises[part], strict=True):
                variance = factor**2 * variance + noise**2
            errors.append(abs(variance - true))
        orders = np.log2(np.array(errors[:-1]) / errors[1:])
        np.testing.assert_allclose(orders, 1, atol=0.15, err_msg=method.__name__)


def test_ancestral_and_ddim_steps_are_those_of_the_exploding_process():
    """In y = z/alpha, in Song's letters, to rounding; Euler's steps of the SDE and the flow are others in z."""
    with jax.enable_x64(True):
        gamma_t, gamma_s = jnp.float64(1.0), jnp.float64(0.3)
        var_t, var_s = np.exp(1.0), np.exp(0.3)
        alpha_t, alpha_s = (float(alpha_sigma(gamma)[0]) for gamma in (gamma_t, gamma_s))
        z, x_hat = np.random.default_rng(0).normal(size=(2, 5, 3))
        step = StepInputs(jnp.asarray(z), jnp.asarray(x_hat), jnp.asarray(x_hat), gamma_s, gamma_t, gamma_t)
        methods = (ancestral, reverse_sde_ve, ddim, reverse_sde_vp, flow_vp)
        moved = jax.jit(lambda step: [method(jax.random.key(1), step) for method in methods])
        found = [np.asarray(each) / alpha_s for each in moved(step)]
        noise = np.asarray(jax.random.normal(jax.random.key(1), z.shape))
    y, score = z / alpha_t, (x_hat - z / alpha_t) / var_t
    mean = y + (var_t - var_s) * score
    by_hand = (
        mean + np.sqrt(var_s * (var_t - var_s) / var_t) * noise,
        mean + np.sqrt(var_t - var_s) * noise,
        y - (np.sqrt(var_t) - np.sqrt(var_s)) * -np.sqrt(var_t) * score,
    )
    for ours, expected in zip(found[:3], by_hand, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=4e-15)
    assert abs(found[3] - found[1]).max() > 0.1
    assert abs(found[4] - found[2]).max() > 0.01


@pytest.mark.parametrize("name", ["reverse_sde_vp", "reverse_sde_ve", "flow_vp", "langevin", "ddim+langevin:1:0.1"])
def test_into_no_noise_every_method_ends_at_x_hat(key, name):
    z, x_hat = jax.random.normal(key, (2, 4, 2))
    step = StepInputs(z, x_hat, x_hat, jnp.float32(-jnp.inf), jnp.float32(1.0), jnp.float32(2.0))
    np.testing.assert_allclose(method_of(name)(jax.random.key(1), step), x_hat, rtol=1e-6)


def test_names_of_methods():
    assert method_of("ddim") == "ddim" and method_of("flow_vp") is flow_vp
    assert method_of("langevin") == LangevinSampler("", 5, 0.2)
    assert method_of("langevin:100").repeats == 100
    assert method_of("ancestral+langevin:2:0.05") == LangevinSampler("ancestral", 2, 0.05)
    assert method_of("ancestral+langevin:2:0.05").repeats == 3
    for wrong in ("langevin:0", "langevin:2:0", "langevin:2:-1", "langevin:x", "langevin:1:2:3", "langevin:2:inf"):
        with pytest.raises(UserError, match="expected langevin:STEPS:RATIO"):
            method_of(wrong)
    with pytest.raises(UserError, match="did you mean 'langevin'"):
        method_of("langevn")
    with pytest.raises(UserError, match="predictor='ancestrl'.*did you mean 'ancestral'"):
        method_of("ancestrl+langevin")
    with pytest.raises(UserError, match="dpmpp_2m reads the level before.*such as ddim"):
        method_of("dpmpp_2m+langevin:1")
    with pytest.raises(UserError, match="expected one of"):
        method_of("ddim:3")
