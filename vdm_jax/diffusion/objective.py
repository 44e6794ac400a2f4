"""THE LOSS: the variational bound on -log p(x), term by term and per example, and the losses trained in its place."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Num

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import alpha_sigma, kl_to_standard_normal, noised, sum_values
from vdm_jax.diffusion.likelihood import Likelihood
from vdm_jax.diffusion.prediction import Denoise
from vdm_jax.diffusion.schedules import Schedule, times_of_gamma


class Terms(NamedTuple):
    """The bound on -log p(x) is their sum. Each [B], nats."""

    reconstruction: Float[Array, " b"]  # -log p(x | z_0)
    prior: Float[Array, " b"]  # KL(q(z_1 | x) || N(0, I))
    diffusion: Float[Array, " b"]  # Σ or ∫ over t of KL(q(z_s | z_t, x) || p(z_s | z_t)), one draw of t
    encoder_kl: Float[Array, " b"]  # KL(q(w | x) || p(w)), 0 without a code


class Losses(NamedTuple):
    """The terms of the bound (encoder_kl is 0 here) and the diffusion loss that is minimised. Each [B]."""

    terms: Terms
    trained: Float[Array, " b"]  # ½ weight ||eps - eps_hat||²; equals terms.diffusion for weighting="bound"
    gamma_t: Float[Array, " b"]
    squared_error: Float[Array, " b"]  # ||eps - eps_hat||²


def vdm_losses(
    key: Key[Array, ""],
    data: Num[Array, "b ..."],
    denoise: Denoise,
    schedule: Schedule,
    t: Float[Array, " b"],
    likelihood: Likelihood,
    *,
    weighting: str = "bound",
    num_steps: int | None = None,
    minimise_variance: bool = False,
) -> Losses:
    """The VDM bound of each example from one draw of time and noise.

    reconstruction  -log p(data | z_0)
    prior           KL(q(z_1 | x) || N(0, I))
    diffusion       ½ gamma'(t) ||eps - eps_hat||²                        T = ∞   (VDM eq. 17)
                    ½ T expm1(gamma_t - gamma_s) ||eps - eps_hat||²       T steps (VDM eq. 14), s = t - 1/T

    Args:
        data: what `likelihood` makes x of: levels [B, ...], or continuous x [B, ...] for `GaussianLikelihood`.
        t: [B] from `times.draw_times`: uniform on [0, 1], or on the steps i/T of a table or of a continuous schedule
            cut into T = `num_steps`. On a table z_0 is the first noisy entry and the sum starts at i = 2.
        weighting: one of `WEIGHTINGS`; changes `trained` alone.
        minimise_variance: a learned gamma gets the gradient of `variance_surrogate` from `trained`, instead of the
            loss's own.

    Raises `UserError` where no bound is defined.
    """
    if schedule.no_bound:
        raise UserError(schedule.no_bound)
    x = likelihood.to_x(data)
    gamma_t, weight = bound_weight(schedule, t, num_steps)
    eps = jax.random.normal(named_key(key, "eps"), x.shape)

    def error_at(gamma_t):
        return noise_error(eps, x, denoise, gamma_t, t)

    if minimise_variance:
        error, surrogate = variance_surrogate(error_at, gamma_t, weight)
        gamma_t, weight = jax.lax.stop_gradient((gamma_t, weight))
    else:
        error, surrogate = error_at(gamma_t), 0.0
    terms = Terms(
        reconstruction=likelihood.reconstruction(key, data, schedule.gamma(jnp.float32(schedule.t_first))),
        prior=prior_term(x, schedule),
        diffusion=0.5 * weight * error,
        encoder_kl=jnp.zeros_like(error),
    )
    trained = 0.5 * choose("weighting", weighting, WEIGHTINGS)(gamma_t, weight) * error + surrogate
    return Losses(terms, trained, gamma_t, error)


def denoising_losses(
    key: Key[Array, ""],
    x: Float[Array, "b ..."],
    denoise: Denoise,
    schedule: Schedule,
    t: Float[Array, " b"],
    *,
    weighting: str = "simple",
) -> Float[Array, " b"]:
    """weight ||eps - eps_hat||²/D of each example, D values, from one draw of noise; "simple" is DDPM's (eq. 14). [B].

    "simple" is 1 on average for eps_hat = 0. The loss is 0 at an entry without noise (Dirac schedule): z_t = x has no
    information about eps, no sampler evaluates the network there, and the gradient would be noise alone.
    """
    gamma_t, weight = bound_weight(schedule, t, None)
    eps = jax.random.normal(named_key(key, "eps"), x.shape)
    error = noise_error(eps, x, denoise, gamma_t, t)
    weight = choose("weighting", weighting, WEIGHTINGS)(gamma_t, weight)
    return jnp.where(jnp.isneginf(gamma_t), 0.0, weight * error) / (x.size // x.shape[0])


def noise_error(
    eps: Float[Array, "b ..."],
    x: Float[Array, "b ..."],
    denoise: Denoise,
    gamma_t: Float[Array, "*batch"],
    t: Float[Array, " b"],
) -> Float[Array, " b"]:
    """||eps - eps_hat(z_t, t)||² of each example, z_t = alpha_t x + sigma_t eps."""
    return sum_values((eps - denoise(noised(x, eps, gamma_t), t).eps) ** 2)


def integrand_by_logsnr(
    key: Key[Array, ""],
    x: Float[Array, "b ..."],
    denoise: Denoise,
    schedule: Schedule,
    gammas: Float[Array, " m"],
) -> tuple[Float[Array, " m"], Float[Array, "m b"]]:
    """½||eps - eps_hat||² at each of the noise levels `gammas`: nats per unit of log SNR, for each example.

    Its area over log SNR = -gamma, from -gamma(1) to -gamma(0), is the diffusion term at T = ∞. The same key draws the
    same noise, so that two codes are compared on equal terms. Returns log SNR, of the nearest entry for a table, and
    the values.
    """
    times = times_of_gamma(schedule, gammas)
    gammas = schedule.gamma(times)
    key = named_key(key, "integrand")

    def at(inputs):
        m, t, gamma_t = inputs
        eps = jax.random.normal(jax.random.fold_in(key, m), x.shape)
        return 0.5 * noise_error(eps, x, denoise, gamma_t, jnp.full(x.shape[0], t))

    return -gammas, jax.lax.map(at, (jnp.arange(gammas.size), times, gammas))


def prior_term(x: Float[Array, "b ..."], schedule: Schedule) -> Float[Array, " b"]:
    """KL(q(z_1 | x) || N(0, I)) = ½ Σ (alpha_1² x² + sigma_1² - log sigma_1² - 1). nats."""
    gamma_1 = schedule.gamma(jnp.float32(1))
    return sum_values(kl_to_standard_normal(alpha_sigma(gamma_1)[0] * x, jax.nn.log_sigmoid(gamma_1)))


def bound_weight(
    schedule: Schedule, t: Float[Array, " b"], num_steps: int | None
) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
    """gamma_t, and the weight of ½||eps - eps_hat||² in the diffusion: gamma'(t), or T expm1(gamma_t - gamma_s)."""
    num_steps = schedule.num_steps or num_steps
    if num_steps is None:
        return jax.jvp(schedule.gamma, (t,), (jnp.ones_like(t),))
    gamma_t, gamma_s = schedule.gamma(t), schedule.gamma((jnp.round(t * num_steps) - 1) / num_steps)
    first = jnp.isneginf(gamma_s)  # a table's step i = 1 is the reconstruction term's
    return gamma_t, jnp.where(first, 0.0, num_steps * jnp.expm1(gamma_t - jnp.where(first, gamma_t, gamma_s)))


def variance_surrogate(
    squared_error: Callable[[Float[Array, " b"]], Float[Array, " b"]],
    gamma_t: Float[Array, " b"],
    weight: Float[Array, " b"],
) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
    """||eps - eps_hat||², and a surrogate whose mean has the gradient of ½ mean(L²) / stop(mean(L)) in gamma alone.

    L = ½ weight ||eps - eps_hat||² is the diffusion term. At T = ∞ its mean does not depend on gamma's interior, so
    a smaller mean square is a smaller variance of the estimate (VDM app. I.2). By the chain rule through gamma_t
    and weight, with one forward derivative; divided by the mean, so that it is as large as the loss's other gradients.
    """
    stop = jax.lax.stop_gradient
    error, slope = jax.jvp(squared_error, (stop(gamma_t),), (jnp.ones_like(gamma_t),))
    loss = stop(0.5 * weight * error)
    change = stop(0.5 * weight * slope) * (gamma_t - stop(gamma_t)) + stop(0.5 * error) * (weight - stop(weight))
    return error, loss / loss.mean() * change


# Weight on ½||eps - eps_hat||²: (gamma_t, the bound's own weight) -> [B].
WEIGHTINGS = {
    "bound": lambda gamma_t, weight: weight,
    "simple": lambda gamma_t, weight: jnp.ones_like(gamma_t),  # DDPM's L_simple
    "uniform": lambda gamma_t, weight: 1 + jnp.exp(-gamma_t),  # 1/sigma²: all errors of the score weigh the same
    "p2": lambda gamma_t, weight: jax.nn.sigmoid(gamma_t),  # 1/(1 + SNR): P2 with k = gamma = 1 (Choi et al. 2022)
    "min_snr": lambda gamma_t, weight: jnp.minimum(1.0, 5 * jnp.exp(gamma_t)),  # min(SNR, 5)/SNR (Hang et al. 2023)
}
