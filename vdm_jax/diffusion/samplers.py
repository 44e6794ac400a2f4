"""THE SAMPLER: one loop over a grid of times, from z_1 to z_0, with a small step function for each method."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Key

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import fold_in, named_key, normal
from vdm_jax.diffusion.gaussian import alpha_sigma, posterior_mean, posterior_variance, step_variance
from vdm_jax.diffusion.prediction import Denoise
from vdm_jax.diffusion.schedules import Schedule, even_timesteps, noisy_entries, times_of_gamma

XFn = Callable[[Key[Array, "*k"], Float[Array, "b ..."], Float[Array, ""]], Float[Array, "b ..."]]
"""`x_fn(key, z_t [B, ...], t) -> x [B, ...]`"""


def sample(
    key: Key[Array, "*k"],
    denoise: Denoise,
    schedule: Schedule,
    z: Float[Array, "b ..."],
    times: Float[Array, " n"],
    method: str | Callable = "ancestral",
    keep: tuple[int, ...] | None = None,
    x_range: tuple[float, float] | None = None,
    first: Integer[Array, ""] | None = None,
) -> Float[Array, "b ..."] | tuple[Float[Array, "b ..."], Float[Array, "k b ..."]]:
    """z at times[-1], from z at times[0].

    Args:
        key: one for the batch, or keys [B]: the noise of an example is then a function of its own key.
        denoise: (z_t, t [B]) -> Prediction; the sampler reads its x.
        z: [B, ...], from N(0, I) for times[0] = 1, or a noised image to start from.
        times: descending (see `make_times`). On a table times[-1] is 0, no noise: the result is x_hat itself.
        method: one of `SAMPLERS`, or a step function, such as those that `score_matching.langevin.method_of` finds by
            name. One with the attribute `repeats` steps over a grid in which each time but the last occurs so often.
        keep: returns also z at times[k] for every k of it, [K, B, ...].
        x_range: x_hat is clipped to it at every step (DDPM's "clip denoised"). Where alpha_1 is tiny, as under a cosine
            schedule, an error of eps_hat is 1/alpha_t times as large in x_hat, and DDIM and DPM-Solver++ keep it.
        first: z is at times[first], and no step is made before it; one compiled program then serves every start. What
            `keep` names before it is 0.
    """

    def x_fn(_: Key[Array, "*k"], z_t: Float[Array, "b ..."], t: Float[Array, ""]) -> Float[Array, "b ..."]:
        x_hat = denoise(z_t, jnp.full(z_t.shape[0], t)).x
        return x_hat if x_range is None else jnp.clip(x_hat, *x_range)

    return sample_by_x(key, x_fn, schedule, z, times, method, keep, first)


def sample_by_x(
    key: Key[Array, "*k"],
    x_fn: XFn,
    schedule: Schedule,
    z: Float[Array, "b ..."],
    times: Float[Array, " n"],
    method: str | Callable = "ancestral",
    keep: tuple[int, ...] | None = None,
    first: Integer[Array, ""] | None = None,
) -> Float[Array, "b ..."] | tuple[Float[Array, "b ..."], Float[Array, "k b ..."]]:
    """`sample` with a function that returns x: E[x | z_t], or under "ancestral" a draw from p(x | z_t)."""
    make_step = choose("sampler", method, SAMPLERS) if isinstance(method, str) else method
    if (repeats := getattr(method, "repeats", 1)) > 1:  # a corrector: indices of the grid count its times once
        times = jnp.append(jnp.repeat(times[:-1], repeats), times[-1])
        keep = None if keep is None else tuple(repeats * i for i in keep)
        first = None if first is None else repeats * first
    gammas = schedule.gamma(times)
    key = named_key(key, "sampler")
    slots = _slots(keep or (), times.size)
    start = 0 if first is None else first

    def body(carry, inputs):
        z_t, x_hat_before, kept = carry
        i, slot, t, gamma_before, gamma_t, gamma_s = inputs
        at = fold_in(key, i)
        x_hat = x_fn(named_key(at, "x"), z_t, t)
        x_hat_before = jnp.where(i == start, x_hat, x_hat_before)
        z_s = make_step(at, StepInputs(z_t, x_hat, x_hat_before, gamma_s, gamma_t, gamma_before))
        return (z_s, x_hat, kept.at[slot].set(z_s)), None

    def body_from_first(carry, inputs):
        return jax.lax.cond(inputs[0] < start, lambda carry, _: (carry, None), body, carry, inputs)

    kept = jnp.zeros((len(keep or ()) + 1, *z.shape), z.dtype).at[jnp.asarray(slots)[start]].set(z)
    before = jnp.concatenate([gammas[:1], gammas[:-2]])
    inputs = jnp.arange(times.size - 1), slots[1:], times[:-1], before, gammas[:-1], gammas[1:]
    (z_0, _, kept), _ = jax.lax.scan(body if first is None else body_from_first, (z, jnp.zeros_like(z), kept), inputs)
    return z_0 if keep is None else (z_0, kept[:-1])


class StepInputs(NamedTuple):
    """The inputs of a step from t to s < t. `before` is the point before t; at the first step it is t itself."""

    z_t: Float[Array, "b ..."]
    x_hat: Float[Array, "b ..."]  # E[x | z_t] of the denoiser
    x_hat_before: Float[Array, "b ..."]
    gamma_s: Float[Array, ""]
    gamma_t: Float[Array, ""]
    gamma_before: Float[Array, ""]


def ancestral(key: Key[Array, "*k"], step: StepInputs) -> Float[Array, "b ..."]:
    """A draw from q(z_s | z_t, x = x_hat), variance sigma_s² c: on a table, DDPM with variance beta_tilde (VDM 31)."""
    mean = posterior_mean(step.z_t, step.x_hat, step.gamma_s, step.gamma_t)
    deviation = jnp.sqrt(posterior_variance(step.gamma_s, step.gamma_t))
    return mean + deviation * normal(key, mean.shape)


def ancestral_beta(key: Key[Array, "*k"], step: StepInputs) -> Float[Array, "b ..."]:
    """The same mean with the larger variance of q(z_t | z_s), DDPM's beta; 0 into z_s = x, as in DDPM."""
    mean = posterior_mean(step.z_t, step.x_hat, step.gamma_s, step.gamma_t)
    variance = jnp.where(jnp.isneginf(step.gamma_s), 0.0, step_variance(step.gamma_s, step.gamma_t))
    return mean + jnp.sqrt(variance) * normal(key, mean.shape)


def ddim(_: Key[Array, "*k"], step: StepInputs) -> Float[Array, "b ..."]:
    """z_s = alpha_s x_hat + sigma_s eps_hat: the probability-flow ODE to first order (DDIM, eta = 0)."""
    return _towards(step.x_hat, step)


def dpmpp_2m(_: Key[Array, "*k"], step: StepInputs) -> Float[Array, "b ..."]:
    """DDIM's step towards x_hat extrapolated from the point before: second order (DPM-Solver++(2M), Lu et al. 2022).

    The extrapolation is x_hat + r (x_hat - x_hat_before), r = (gamma_t - gamma_s)/(2 (gamma_before - gamma_t)). It is
    omitted at the first step, at the last one into z_s = x, where gamma_s = -inf, and for r > 1: a step more than twice
    as long as the one before, such as the last one of a schedule that falls steeply towards t = 0, would go too far.
    """
    ahead, behind = step.gamma_t - step.gamma_s, step.gamma_before - step.gamma_t
    near = jnp.isfinite(ahead) & (behind > 0) & (ahead <= 2 * behind)
    ratio = jnp.where(near, ahead, 0.0) / jnp.where(near, 2 * behind, 1.0)
    return _towards(step.x_hat + ratio * (step.x_hat - step.x_hat_before), step)


def _towards(x: Float[Array, "b ..."], step: StepInputs) -> Float[Array, "b ..."]:
    """The exact solution of the probability-flow ODE from t to s for constant x_hat = x: (sigma_s/sigma_t) z_t + ….

    Written without a division by sigma_t, which may be 0; expm1 keeps the digits of small steps.
    """
    half_step = 0.5 * jnp.where(step.gamma_s == step.gamma_t, 0.0, step.gamma_s - step.gamma_t)
    alpha_s, alpha_t = alpha_sigma(step.gamma_s)[0], alpha_sigma(step.gamma_t)[0]
    return alpha_s / alpha_t * jnp.exp(half_step) * step.z_t - alpha_s * jnp.expm1(half_step) * x


SAMPLERS = {"ancestral": ancestral, "ancestral_beta": ancestral_beta, "ddim": ddim, "dpmpp_2m": dpmpp_2m}


def make_times(schedule: Schedule, num_steps: int, spacing: str = "time") -> Float[Array, " n"]:
    """N + 1 descending times from 1 to 0, evenly spaced in "time" or in "logsnr".

    On a table they are distinct entries, and at the last one there is no noise: the last step is the one into x_hat.
    "time" leaves out the stretches of a table that add no noise (Dirac), and ends at the last entry without noise.
    "logsnr" is even from 1 to 1/T, the first entry with noise, and then takes the step to 0. Raises `UserError` where a
    table adds noise at fewer than N entries.
    """
    chain = schedule.num_steps
    even = choose("spacing", spacing, SPACINGS)
    if chain is None:
        return even(schedule, num_steps)
    most = len(noisy_entries(schedule))
    if num_steps > most:
        raise UserError(
            f"num_steps={num_steps} sampling steps; the schedule adds noise at {most} of its {chain} entries, so at "
            f"most {most}"
        )
    return even(schedule, num_steps)


def _even_in_time(schedule: Schedule, num_steps: int) -> Float[Array, " n"]:
    if schedule.num_steps is None:
        return jnp.linspace(1.0, 0.0, num_steps + 1)
    return jnp.asarray(even_timesteps(schedule, num_steps + 1)[::-1].copy()) / schedule.num_steps


def _even_in_logsnr(schedule: Schedule, num_steps: int) -> Float[Array, " n"]:
    if schedule.no_bound:
        raise UserError("spacing='logsnr' needs a finite log SNR at every time; use spacing='time' with this schedule")
    num_even = num_steps if schedule.num_steps is None else num_steps - 1  # of a table: all steps but the last
    gamma_1, gamma_first = schedule.gamma(jnp.float32(1)), schedule.gamma(jnp.float32(schedule.t_first))
    inner = times_of_gamma(schedule, jnp.linspace(gamma_1, gamma_first, num_even + 1)[1:-1])
    times = jnp.concatenate([jnp.ones(1), inner, jnp.full(1, schedule.t_first)])
    return times if schedule.num_steps is None else _distinct(jnp.append(times[:num_steps], 0.0), schedule.num_steps)


def times_through(schedule: Schedule, gammas: Float[Array, " m"]) -> Float[Array, " n"]:
    """Descending times from 1 to 0 through those with these descending gammas, in m + 1 steps.

    On a table they are distinct entries, of which it must have as many.
    """
    times = jnp.concatenate([jnp.ones(1), times_of_gamma(schedule, gammas), jnp.zeros(1)])
    return times if schedule.num_steps is None else _distinct(times, schedule.num_steps)


def _distinct(times: Float[Array, " n"], chain: int) -> Float[Array, " n"]:
    """Descending times as entries of a table, each below the one before, the last 0."""
    k = jnp.arange(len(times))
    entries = jnp.round(times * chain).astype(jnp.int32)
    return jnp.maximum(jax.lax.cummin(entries + k) - k, len(times) - 1 - k) / chain


SPACINGS = {"time": _even_in_time, "logsnr": _even_in_logsnr}


def _slots(keep: tuple[int, ...], num_times: int) -> np.ndarray:
    """The place of z at times[i] among the kept ones; one past the end, which is discarded, for the others."""
    slots = np.full(num_times, len(keep))
    slots[list(keep)] = np.arange(len(keep))
    return slots
