"""Score matching against its optimum on Gaussian data, the three objectives against each other, noise levels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_data import VARIANCE, denoise_by, exact_denoise, marginal_variance

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.samplers import make_times
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.diffusion.score_matching.objectives import (
    MATCHINGS,
    denoising_objective,
    exact_objective,
    exploding_score_of,
    geometric_sigmas,
    matching_losses,
    score_of,
    sliced_objective,
    variance_exploding,
)

NUM = 40_000


def linear_score(slope):
    return lambda x: slope * x


def test_on_a_normal_the_best_linear_score_is_minus_x(key):
    """The objective of s = c x is D (c + c²/2): least at c = -1, where it is -D/2; the thesis' is least at -2."""
    x = jax.random.normal(key, (NUM, 3))
    slopes = np.linspace(-3, 0, 13)
    means = jax.jit(jax.vmap(lambda slope: exact_objective(linear_score(slope), x).mean()))
    values = np.array(means(jnp.float32(slopes)))
    np.testing.assert_allclose(values, 3 * (slopes + slopes**2 / 2), atol=0.05)
    assert slopes[int(np.argmin(values))] == -1
    printed = [3 * slope + float(((0.5 * slope * x) ** 2).sum(1).mean()) for slope in slopes]
    assert slopes[int(np.argmin(printed))] == -2


def test_slices_have_the_exact_mean(key):
    matrix = jax.random.normal(key, (3, 3))
    score, x = lambda x: jnp.tanh(x @ matrix), jax.random.normal(jax.random.key(1), (2, 3))
    keys = jax.random.split(jax.random.key(2), 4000)
    sliced = jax.jit(jax.vmap(lambda key: sliced_objective(key, score, x)))(keys)
    error = sliced.std(0) / np.sqrt(len(keys))
    assert np.all(abs(sliced.mean(0) - exact_objective(score, x)) < 4 * error)


def test_denoising_is_the_exact_objective_of_noisy_data(key):
    """½ E||sigma s + eps||² = sigma² E[tr ∇s + ½ ||s||²] + D/2, for any s."""
    sigma, x = 0.7, jax.random.normal(key, (NUM, 2))
    score = lambda x: -jnp.tanh(1.5 * x)  # noqa: E731
    noisy = x + sigma * jax.random.normal(jax.random.key(1), x.shape)
    denoised = denoising_objective(jax.random.key(2), score, x, jnp.float32(sigma))
    exact = sigma**2 * jax.jit(lambda x: exact_objective(score, x))(noisy) + 1
    error = np.hypot(denoised.std(), exact.std()) / np.sqrt(NUM)
    assert abs(denoised.mean() - exact.mean()) < 4 * error and error < 0.01


def test_every_objective_of_a_model_is_the_error_of_eps_hat(key):
    """On N(0, s²) with the exact eps_hat: alpha_t² s²/v_t for each value."""
    schedule = make_schedule("linear", gamma_min=-4.0, gamma_max=4.0)
    x, t = VARIANCE**0.5 * jax.random.normal(key, (NUM, 2)), jnp.full(NUM, 0.5)
    own = jax.random.key(1)

    @jax.jit
    def all_losses(x):
        return [matching_losses(own, x, exact_denoise(schedule), schedule, t, name) for name in MATCHINGS]

    gamma = schedule.gamma(jnp.float32(0.5))
    expected = float(jax.nn.sigmoid(-gamma) * VARIANCE / marginal_variance(gamma))
    for matching, losses in zip(MATCHINGS, all_losses(x), strict=True):
        assert abs(losses.mean() - expected) < 4 * losses.std() / np.sqrt(NUM), matching


def test_eps_hat_is_a_score_in_both_coordinates(key):
    schedule = variance_exploding(geometric_sigmas(10.0, 0.1, 5))
    z, t = jax.random.normal(key, (6, 2)), jnp.arange(6) / 5
    gamma = schedule.gamma(t[1:])
    both = jax.jit(
        lambda z: [make(exact_denoise(schedule), schedule, t[1:])(z) for make in (score_of, exploding_score_of)]
    )
    preserving, exploding = both(z[1:])
    np.testing.assert_allclose(preserving, -z[1:] / marginal_variance(gamma)[:, None], rtol=1e-4)
    np.testing.assert_allclose(exploding, -z[1:] / (VARIANCE + jnp.exp(gamma)[:, None]), rtol=1e-4)
    assert gamma[0] < -4 and gamma[-1] > 4


def test_geometric_levels_are_a_table():
    sigmas = geometric_sigmas(50.0, 0.01, 10)
    np.testing.assert_allclose(sigmas[1:] / sigmas[:-1], (0.01 / 50) ** (1 / 9), rtol=1e-12)
    schedule = variance_exploding(sigmas)
    gammas = schedule.gamma(jnp.arange(11) / 10)
    assert schedule.num_steps == 10 and np.isneginf(gammas[0])
    np.testing.assert_allclose(np.exp(gammas[:0:-1] / 2), sigmas, rtol=1e-5)
    same = make_schedule("linear", gamma_min=2 * np.log(0.01), gamma_max=2 * np.log(50.0))
    np.testing.assert_allclose(same.gamma(jnp.arange(10) / 9), gammas[1:], rtol=1e-5)
    assert len(make_times(variance_exploding([0.3]), 1)) == 2


@pytest.mark.parametrize(
    "sigmas", [(0.1, 1.0), (1.0, 1.0, 0.1), (1.0, 0.0), (1.0, -1.0), (float("nan"),), (float("inf"), 1.0), ()]
)
def test_sigmas_that_do_not_fall_are_refused(sigmas):
    with pytest.raises(UserError, match=r"sigmas=\(.*\); expected positive numbers, each below the one before"):
        variance_exploding(sigmas)


@pytest.mark.parametrize("ends", [(0.1, 1.0, 5), (1.0, 1.0, 5), (1.0, 0.0, 5), (1.0, 0.1, 0)])
def test_ends_of_geometric_levels_are_checked(ends):
    with pytest.raises(UserError, match="expected"):
        geometric_sigmas(*ends)


def test_a_mistyped_matching_is_named(key):
    schedule = make_schedule("linear")
    with pytest.raises(UserError, match="did you mean 'sliced'"):
        denoise = denoise_by(schedule, "eps", lambda z, t: z)
        matching_losses(key, jnp.zeros((1, 1)), denoise, schedule, jnp.ones(1), "slized")
