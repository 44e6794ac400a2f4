"""Known answers of Langevin dynamics, of samplers and of the probability flow, measured: part of the job mixture.

{"stationary": {"step_size", "expected", "variance", "standard_error"}, lists, of Langevin dynamics on N(0, 1);
"orders": {sampler: {"errors", "order"}} at `STEPS` steps on N(0, s²): the error of Var z_0, of deterministic samplers
that of z_0, and log2 of the last two errors' ratio; "flow": {"expected", "value", "difference", its largest}: the mean
-log p of draws from the mixture, in closed form and along the probability flow of the true score; None without diffrax}
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.flow import flow_log_density
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.prediction import Denoise, to_prediction
from vdm_jax.diffusion.samplers import StepInputs, ancestral, sample
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.diffusion.score_matching.langevin import langevin, method_of
from vdm_jax.diffusion.score_matching.objectives import sigma_of
from vdm_jax.diffusion.score_matching.sde import reverse_sde_ve, reverse_sde_vp
from vdm_jax.evals.latents.baselines import GaussianMixture
from vdm_jax.experiments.score.plane import draw, with_noise

STEP_SIZES, LANGEVIN_STEPS, CHAINS = (0.1, 0.5, 1.0, 2.0), 300, 20_000
STEPS = (50, 100, 200, 400)
VARIANCE, LINEAR = 0.25, (-6.0, 6.0)  # of the data; gamma at both ends
STOCHASTIC: dict[str, Callable[..., Any]] = {
    "ancestral": ancestral, "reverse_sde_vp": reverse_sde_vp, "reverse_sde_ve": reverse_sde_ve
}  # fmt: skip
DETERMINISTIC = ("ddim", "flow_vp", "dpmpp_2m")
DRAWS, ENDS = 200, (0.01, 1000.0)  # of the flow: sigma at both ends


def known_answers(mixture: GaussianMixture, key: Key[Array, ""]) -> dict[str, Any]:
    """What is known, beside what is measured."""
    orders = {name: errors_of_variance(step) for name, step in STOCHASTIC.items()}
    orders |= {name: errors_of_path(name) for name in DETERMINISTIC}
    return {
        "stationary": stationary_variances(named_key(key, "stationary")),
        "steps": list(STEPS),
        "orders": {
            name: {"errors": each, "order": float(np.log2(each[-2] / each[-1]))} for name, each in orders.items()
        },
        "flow": likelihood_by_flow(mixture, named_key(key, "flow")),
    }


def stationary_variances(key: Key[Array, ""]) -> dict[str, list[float]]:
    """The variance of Langevin dynamics on N(0, 1), from its mean, beside 1/(1 - step_size/4)."""
    start = jnp.zeros((CHAINS, 1))

    def end(size: Float[Array, ""]) -> Float[Array, "n 1"]:
        return langevin(key, lambda x: -x, start, num_steps=LANGEVIN_STEPS, step_size=size)[0]

    variances = np.var(np.asarray(jax.vmap(end)(jnp.asarray(STEP_SIZES)), np.float64), axis=(1, 2), ddof=1)
    return {
        "step_size": list(STEP_SIZES),
        "expected": [1 / (1 - size / 4) for size in STEP_SIZES],
        "variance": variances.tolist(),
        "standard_error": (variances * np.sqrt(2 / (CHAINS - 1))).tolist(),
    }


def _x_hat(gamma: Float[Array, ""], z: Float[Array, "b d"]) -> Float[Array, "b d"]:
    """E[x | z_t] of N(0, s²)."""
    return alpha_sigma(gamma)[0] * VARIANCE / _marginal(gamma) * z


def _marginal(gamma: Float[Array, "*n"]) -> Float[Array, "*n"]:
    alpha, sigma = alpha_sigma(gamma)
    return alpha**2 * VARIANCE + sigma**2


def errors_of_variance(step: Callable[[Key[Array, ""], StepInputs], Float[Array, "b d"]]) -> list[float]:
    """|Var z_0 - true| after `STEPS` steps from the true variance at t = 1. x_hat is linear in z_t, so a step is a
    factor and a noise."""
    schedule, errors = make_schedule("linear", gamma_min=LINEAR[0], gamma_max=LINEAR[1]), []

    def moved(value: float, gamma_t: Float[Array, ""], gamma_s: Float[Array, ""]) -> Float[Array, ""]:
        z_t = jnp.full((1, 1), value)
        inputs = StepInputs(z_t, _x_hat(gamma_t, z_t), z_t, gamma_s, gamma_t, gamma_t)
        return step(jax.random.key(0), inputs)[0, 0]

    normal = float(jax.random.normal(jax.random.key(0), (1, 1))[0, 0])
    for num_steps in STEPS:
        gammas = schedule.gamma(jnp.linspace(1.0, 0.0, num_steps + 1))
        zero, one = (
            np.asarray(jax.vmap(lambda t, s, value=value: moved(value, t, s))(gammas[:-1], gammas[1:]), np.float64)
            for value in (0.0, 1.0)
        )
        variance, true = (float(_marginal(gammas[i])) for i in (0, -1))
        for factor, noise in zip(one - zero, zero / normal, strict=True):
            variance = factor**2 * variance + noise**2
        errors.append(abs(variance - true))
    return errors


def errors_of_path(name: str) -> list[float]:
    """|z_0/z_1 - √(v_0/v_1)| of a deterministic sampler after `STEPS` steps."""
    schedule = make_schedule("linear", gamma_min=LINEAR[0], gamma_max=LINEAR[1])

    def denoise(z, t):
        gamma = schedule.gamma(t)[:, None]
        return to_prediction("eps", alpha_sigma(gamma)[1] / _marginal(gamma) * z, z, schedule.gamma(t))

    v_1, v_0 = (float(_marginal(schedule.gamma(jnp.float32(t)))) for t in (1.0, 0.0))
    ends = [
        sample(jax.random.key(0), denoise, schedule, jnp.ones((1, 1)), jnp.linspace(1.0, 0.0, n + 1), method_of(name))
        for n in STEPS
    ]
    return [abs(float(end[0, 0]) - float(np.sqrt(v_0 / v_1))) for end in ends]


def likelihood_by_flow(mixture: GaussianMixture, key: Key[Array, ""]) -> dict[str, float] | None:
    """Mean -log p of draws from the mixture with noise of the smallest deviation, nats, by its density and along the
    flow of its score to the largest."""
    if importlib.util.find_spec("diffrax") is None:
        return None
    low, high = (float(2 * np.log(end)) for end in ENDS)
    schedule = make_schedule("linear", gamma_min=low, gamma_max=high)
    alpha = alpha_sigma(jnp.float32(low))[0]
    noisy = with_noise(mixture, sigma_of(jnp.float32(low)))
    y = draw(noisy, key, DRAWS)
    expected = np.asarray(-noisy.log_prob(y) + 2 * jnp.log(alpha), np.float64)
    denoise: Denoise = lambda z, t: mixture.denoise(z, schedule.gamma(t))  # noqa: E731
    found = -flow_log_density(named_key(key, "probe"), alpha * y, denoise, schedule, divergence="exact")
    difference = np.asarray(found, np.float64) - expected
    return {
        "expected": float(expected.mean()),
        "value": float(expected.mean() + difference.mean()),
        "difference": float(difference.mean()),
        "largest": float(np.abs(difference).max()),
        "num": DRAWS,
    }
