"""The study of a mixture of Gaussians: learned scores against -x, the page's known answers, and where chains end."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from vdm_jax.configs import score as config_file

from vdm_jax.diffusion.score_matching.objectives import geometric_sigmas, variance_exploding
from vdm_jax.experiments.score import known
from vdm_jax.experiments.score.mixture import relative_errors, where_chains_end
from vdm_jax.experiments.score.plane import (
    learned_score,
    make_fit,
    make_network,
    score_of_mixture,
    two_gaussians,
    with_noise,
)

PAIR = two_gaussians(0.2, (5.0, 5.0))


def test_the_score_of_a_mixture_in_closed_form(key):
    """Σ_k P(k | x) (mean_k - x)/variance, by hand, with noise; and eps_hat of the exact denoiser is the same score."""
    sigma, x = 2.0, 4 * jax.random.normal(key, (7, 2))
    gamma = jnp.full(7, 2 * np.log(sigma))
    both = jax.jit(
        lambda x: (score_of_mixture(with_noise(PAIR, sigma))(x), PAIR.denoise(x / np.sqrt(1 + sigma**2), gamma).eps)
    )
    score, eps_hat = both(x)
    means, weights = np.array([[-5.0, -5.0], [5.0, 5.0]]), np.array([0.2, 0.8])
    apart = means[None] - np.asarray(x)[:, None]
    logs = np.log(weights) - (apart**2).sum(-1) / (2 * 5.0)
    share = np.exp(logs - logs.max(1, keepdims=True))
    expected = ((share / share.sum(1, keepdims=True))[..., None] * apart / 5.0).sum(1)
    np.testing.assert_allclose(score, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(-eps_hat / sigma, expected, rtol=1e-3, atol=1e-4)


def test_errors_are_relative_and_weighted():
    true, density = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([0.9, 0.1])
    zero = relative_errors([0 * true], true, density)
    assert zero["weighted"]["value"] == zero["unweighted"]["value"] == 1
    wrong = relative_errors([true + np.array([[0.0, 0.0], [3.0, 0.0]])] * 2, true, density)
    np.testing.assert_allclose([wrong[name]["value"] for name in ("weighted", "unweighted")], [0.9 / 1.3, 9 / 5])


def test_where_chains_end():
    starts = np.array([[-5.0, -5], [-5, -5], [5, 5], [5, 5]], np.float32)
    ends = np.array([[-5.0, -5], [5, 5], [5, 5], [0, 0.1]], np.float32)
    found = {name: share["value"] for name, share in where_chains_end(PAIR, jnp.asarray(starts), [ends]).items()}
    assert found == {"large": 0.75, "started_large": 0.5, "moved": 0.25, "outside": 0.25}


@pytest.mark.parametrize("objective", ["exact", "levels"])
def test_an_objective_learns_the_score_of_one_gaussian(key, objective):
    """N(0, I) with noise of deviation sigma has the score -x/(1 + sigma²); a score of zero has an error of 1."""
    settings = config_file.get_config("mixture").mixture
    settings.update({"num_steps": 150, "batch_size": 128, "learning_rate": 2e-2, "sigma": 0.5})
    one, network = two_gaussians(0.5, (0.0, 0.0)), make_network(16, 1)
    schedule = variance_exploding(geometric_sigmas(2.0, 0.5, 3))
    params = make_fit(settings, one, network, schedule, objective)(key)
    sigma = 0.0 if objective == "exact" else 0.5
    x = jnp.asarray(np.stack(np.meshgrid(*[np.linspace(-2, 2, 9)] * 2), -1).reshape(-1, 2), jnp.float32)
    learned, true = learned_score(network, params, objective, schedule, sigma)(x), -np.asarray(x) / (1 + sigma**2)
    density = np.exp(np.asarray(with_noise(one, sigma).log_prob(x)))
    assert relative_errors([np.asarray(learned)], true, density)["weighted"]["value"] < 0.1


def test_samplers_have_their_orders_and_langevin_its_variance(key, monkeypatch):
    """At fewer steps and chains than the page has: order 1 of ancestral steps, 2 of DPM-Solver++ 2M; 1/(1 - a/4)."""
    monkeypatch.setattr(known, "STEPS", (50, 100))
    monkeypatch.setattr(known, "CHAINS", 4_000)
    monkeypatch.setattr(known, "LANGEVIN_STEPS", 100)
    found = {"dpmpp_2m": known.errors_of_path("dpmpp_2m")}
    found["ancestral"] = known.errors_of_variance(known.STOCHASTIC["ancestral"])
    orders = {name: np.log2(errors[0] / errors[1]) for name, errors in found.items()}
    assert orders == pytest.approx({"dpmpp_2m": 2, "ancestral": 1}, abs=0.15)
    assert max(errors[0] for errors in found.values()) < 0.05
    stationary = known.stationary_variances(key)
    assert stationary["expected"] == pytest.approx([1 / 0.975, 1 / 0.875, 1 / 0.75, 2.0])
    off = np.subtract(stationary["variance"], stationary["expected"]) / stationary["standard_error"]
    assert np.abs(off).max() < 4


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("diffrax") is None, reason="the flow is integrated by diffrax")
def test_the_flow_has_the_likelihood_of_the_mixture(key, monkeypatch):
    monkeypatch.setattr(known, "DRAWS", 20)
    found = known.likelihood_by_flow(PAIR, key)
    assert found["num"] == 20 and found["largest"] < 0.05 < found["expected"]
