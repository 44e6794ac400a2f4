"""Samplers against exactly solvable data and the papers' own formulas."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_data import denoise_by, exact_denoise, marginal_variance, point_denoise

from vdm_jax.base.errors import UserError
from vdm_jax.base.images import even_pixel_values
from vdm_jax.diffusion.gaussian import eps_of_x, x_of_eps
from vdm_jax.diffusion.likelihood import GaussianLikelihood, LevelLikelihood
from vdm_jax.diffusion.samplers import SAMPLERS, StepInputs, ancestral, ancestral_beta, make_times, sample, sample_by_x
from vdm_jax.diffusion.schedules import make_schedule

LINEAR = make_schedule("linear")


@pytest.mark.parametrize("spacing", ["time", "logsnr"])
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_a_gaussian_recovers_its_moments(key, sampler, spacing):
    schedule = make_schedule("cosine_continuous")
    z_1 = jax.random.normal(key, (20_000, 1))
    times = make_times(schedule, 400, spacing)
    z_0, kept = sample(jax.random.key(1), exact_denoise(schedule), schedule, z_1, times, sampler, keep=(0, 200, 400))
    assert np.array_equal(kept[0], z_1) and np.array_equal(kept[-1], z_0)
    for z, t in zip(kept, times[jnp.array([0, 200, 400])], strict=True):
        np.testing.assert_allclose(z.mean(), 0, atol=0.03)
        np.testing.assert_allclose(z.var(), marginal_variance(schedule.gamma(t)), rtol=0.05)


@pytest.mark.parametrize(("sampler", "order"), [("ddim", 1), ("dpmpp_2m", 2)])
def test_observed_order_of_convergence(sampler, order):
    """Halving the steps against the exact solution z_0 = z_1 √(Var z_0/Var z_1) of the probability-flow ODE."""
    with jax.enable_x64(True):
        z_1 = jnp.full((1, 1), 1.3)
        exact = 1.3 * jnp.sqrt(marginal_variance(LINEAR.gamma(0.0)) / marginal_variance(LINEAR.gamma(1.0)))
        errors = []
        for num_steps in (80, 160, 320):
            times = make_times(LINEAR, num_steps)
            z_0 = sample(jax.random.key(0), exact_denoise(LINEAR), LINEAR, z_1, times, sampler)
            errors.append(float(abs(z_0 - exact)[0, 0]))
    observed = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(observed, order, atol=0.15)


@pytest.mark.parametrize("schedule", [make_schedule("ddpm_linear"), make_schedule("ddpm_linear_continuous")])
def test_the_last_step_is_of_first_order(schedule):
    """Twenty steps for N(0, 0.25): Var z_0 is 0.92 of the truth; 1.51 with an extrapolation into the long last step."""
    ratio = {}
    for sampler in ("ddim", "dpmpp_2m"):
        times = make_times(schedule, 20)
        deviation = sample(jax.random.key(0), exact_denoise(schedule), schedule, jnp.ones((1, 1)), times, sampler)
        ratio[sampler] = float(deviation[0, 0] ** 2 / marginal_variance(schedule.gamma(times[-1])))
    np.testing.assert_allclose([ratio["ddim"], ratio["dpmpp_2m"]], [0.75, 0.92], atol=0.01)


def test_on_a_table_ancestral_sampling_is_ddpm(key):
    """DDPM's own letters, in float64: mean (z - beta eps_hat/√(1 - abar))/√(1 - beta), variance beta_tilde or beta."""
    betas = np.linspace(1e-4, 0.02, 1000)
    abar = np.cumprod(1 - betas)
    gammas = make_schedule("ddpm_linear").gamma(jnp.arange(1, 1001) / 1000)
    z, eps_hat = jax.random.normal(key, (2, 5, 3))
    noise_key = jax.random.key(1)
    noise = np.float64(jax.random.normal(jax.random.clone(noise_key), z.shape))
    for i in (1, 30, 500, 999):
        mean = (np.float64(z) - betas[i] * np.float64(eps_hat) / np.sqrt(1 - abar[i])) / np.sqrt(1 - betas[i])
        beta_tilde = (1 - abar[i - 1]) / (1 - abar[i]) * betas[i]
        step = StepInputs(z, x_of_eps(eps_hat, z, gammas[i]), z, gammas[i - 1], gammas[i], gammas[i])
        for method, variance in ((ancestral, beta_tilde), (ancestral_beta, betas[i])):
            ours = method(jax.random.clone(noise_key), step)
            np.testing.assert_allclose(ours, mean + np.sqrt(variance) * noise, atol=5e-5)


NOISE_TABLES = {
    "ddpm_linear": make_schedule("ddpm_linear"),
    "cosine": make_schedule("cosine"),
    "dirac": make_schedule("dirac", t2=0.6),
}
GRIDS = [
    ("ddpm_linear", "time"),
    ("ddpm_linear", "logsnr"),
    ("cosine", "time"),
    ("cosine", "logsnr"),
    ("dirac", "time"),
]


@pytest.mark.parametrize(("name", "spacing"), GRIDS)
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_a_table_ends_without_noise(key, sampler, name, spacing):
    """Images of one level, with the exact eps_hat, come out without an error: the last step is the one into x_hat."""
    schedule, levels = NOISE_TABLES[name], LevelLikelihood(even_pixel_values(256))
    x = levels.to_x(np.full((2, 8, 8, 1), 100))

    def eps_hat(z, t):
        return eps_of_x(x, z, schedule.gamma(t))

    z_1 = jax.random.normal(jax.random.key(1), x.shape)
    times = make_times(schedule, 100, spacing)
    z_0 = sample(key, denoise_by(schedule, "eps", eps_hat), schedule, z_1, times, sampler)
    assert np.isneginf(schedule.gamma(times[-1]))
    np.testing.assert_array_equal(levels.decode(z_0, schedule.gamma(times[-1])), 100)
    np.testing.assert_allclose(z_0, x, atol=1e-4)
    np.testing.assert_array_equal(GaussianLikelihood().decode(z_0, schedule.gamma(times[-1])), z_0)


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_steps_that_carry_no_noise_change_nothing(key, sampler):
    """Down every entry of a table that adds noise at some alone, with gamma = -inf at several: no NaN, and x_hat."""
    schedule, point = make_schedule("dirac", num_steps=50, t2=0.9), jnp.array([[0.3, -0.9]])
    z_1 = jax.random.normal(jax.random.key(1), (4, 2))
    z_0 = sample(key, point_denoise(schedule, point), schedule, z_1, jnp.arange(50, -1, -1) / 50, sampler)
    np.testing.assert_allclose(z_0, jnp.broadcast_to(point, (4, 2)), atol=1e-3)


def test_sampling_from_a_noised_image_starts_there(key):
    z = jnp.full((2, 2), 0.5)
    times = jnp.linspace(0.9, 0.6, 1001)
    z_s = sample(key, exact_denoise(LINEAR), LINEAR, z, times, "ddim")
    ratio = jnp.sqrt(marginal_variance(LINEAR.gamma(times[-1])) / marginal_variance(LINEAR.gamma(times[0])))
    assert ratio < 0.9
    np.testing.assert_allclose(z_s, 0.5 * ratio, rtol=2e-3)


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_x_hat_is_clipped_where_the_network_leaves_the_range(key, sampler):
    schedule = make_schedule("cosine", num_steps=50)
    wrong = point_denoise(schedule, jnp.array([[3.0, -0.5]]))
    times, z_1 = jnp.arange(50, -1, -1) / 50, jax.random.normal(jax.random.key(1), (4, 2))
    z_0 = sample(key, wrong, schedule, z_1, times, sampler, x_range=(-1.0, 1.0))
    np.testing.assert_allclose(z_0, jnp.broadcast_to(jnp.array([1.0, -0.5]), (4, 2)), atol=1e-3)


def test_times_descend_over_the_whole_schedule():
    for spacing in ("time", "logsnr"):
        times = np.asarray(make_times(LINEAR, 7, spacing))
        np.testing.assert_allclose(times, np.linspace(1, 0, 8), atol=1e-5)  # a linear gamma: both are the same
    gammas = make_schedule("cosine_continuous").gamma(make_times(make_schedule("cosine_continuous"), 10, "logsnr"))
    np.testing.assert_allclose(np.diff(gammas), np.diff(gammas).mean(), rtol=1e-3)


def test_times_of_a_table_are_entries_of_it_down_to_no_noise():
    table = make_schedule("ddpm_linear")
    i = np.asarray(make_times(table, 30)) * 1000
    np.testing.assert_allclose(i, np.round(i), atol=1e-3)
    assert i[0] == 1000 and i[-1] == 0 and len(make_times(table, 1000)) == 1001
    for name, num_steps in itertools.product(("ddpm_linear", "cosine", "constant"), (1, 2, 100, 199, 200)):
        for spacing in ("time", "logsnr"):
            times = np.asarray(make_times(make_schedule(name, num_steps=200), num_steps, spacing))
            i = np.round(times * 200)
            assert len(i) == num_steps + 1 and i[0] == 200 and i[-1] == 0 and np.all(np.diff(i) < 0), "no entry twice"
    i = np.round(np.asarray(make_times(table, 100, "logsnr")) * 1000)
    assert i[-2] == 1, "even in log SNR down to the first noisy entry, and then the step without noise"
    i = np.round(np.asarray(make_times(make_schedule("dirac"), 50)) * 1000)
    np.testing.assert_array_equal(i, [1000, *range(549, 499, -1)])  # from 550 on all noise is there, to 500 none
    assert set(np.round(np.asarray(make_times(make_schedule("dirac"), 10)) * 1000)) <= set(i)
    with pytest.raises(UserError, match="num_steps=51 sampling steps; the schedule adds noise at 50 of its 1000"):
        make_times(make_schedule("dirac"), 51)
    for spacing in ("time", "logsnr"):
        with pytest.raises(UserError, match="1001 sampling steps; .* at most 1000"):
            make_times(table, 1001, spacing)
    with pytest.raises(UserError, match="needs a finite log SNR"):
        make_times(make_schedule("dirac"), 30, "logsnr")


def test_a_mistyped_sampler_is_named(key):
    with pytest.raises(UserError, match="did you mean 'ancestral'"):
        sample(key, exact_denoise(LINEAR), LINEAR, jnp.zeros((1, 1)), make_times(LINEAR, 2), "ancestrl")


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m"])
def test_steps_before_the_first_are_left_out(key, sampler):
    """One program for every start gives what a shorter grid gives; nothing is left to do from the last time on."""
    schedule = make_schedule("linear", gamma_min=-6.0, gamma_max=4.0)
    times = jnp.linspace(1.0, 0.0, 9)
    z = jax.random.normal(key, (3, 2))

    def x_fn(_, z_t, t):
        return jnp.tanh(z_t) * (1 - t)

    run = jax.jit(lambda first: sample_by_x(key, x_fn, schedule, z, times, sampler, (0, 3, 8), first))
    for first in (0, 3, 8):
        shorter = z if first == 8 else sample_by_x(key, x_fn, schedule, z, times[first:], sampler)
        end, kept = run(jnp.int32(first))
        np.testing.assert_allclose(end, shorter, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(kept[(0, 3, 8).index(first)], z, "the start is kept, wherever it is")
    assert run._cache_size() == 1
