"""Every noise schedule as one function gamma(t) = -log SNR(t): continuous on [0, 1], or a table at t = i/T."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vdm_jax.base.errors import UserError, choose


@dataclass(frozen=True)
class Schedule:
    """gamma(t), t of any shape: z_t = alpha_t x + sigma_t eps, alpha_t² = sigmoid(-gamma), sigma_t² = sigmoid(gamma).

    Continuous where `num_steps` is None: gamma is increasing and finite on [0, 1]. Otherwise a chain of T = `num_steps`
    noisy entries at t = i/T, i = 1 … T, with gamma(0) = -inf (no noise). `no_bound` is the reason why no bound on
    -log p(x) is defined for the chain; None where one is.
    """

    gamma: Callable[[Float[Array, "*shape"]], Float[Array, "*shape"]]
    num_steps: int | None = None
    no_bound: str | None = None

    @property
    def t_first(self) -> float:
        """Time of the least noisy z, the z_0 of the reconstruction term: 0, or 1/T for a table."""
        return 0.0 if self.num_steps is None else 1.0 / self.num_steps


def make_schedule(name: str, **kwargs) -> Schedule:
    """The schedule called `name`, one of `SCHEDULES`; UserError where the name or a keyword is not known."""
    make = choose("schedule", name, SCHEDULES)
    try:
        inspect.signature(make).bind(**kwargs)
    except TypeError as error:
        raise UserError(f"schedule={name!r} takes {list(inspect.signature(make).parameters)}: {error}") from error
    return make(**kwargs)


def settings_of(name: str) -> tuple[str, ...]:
    """The settings that the schedule called `name` takes."""
    return tuple(inspect.signature(choose("schedule", name, SCHEDULES)).parameters)


def discretize(schedule: Schedule, num_steps: int) -> Schedule:
    """The table with the gamma of a continuous schedule at the same times t = i/T, i = 1 … T."""
    times = jnp.arange(1, num_steps + 1) / num_steps
    return table_schedule(np.asarray(schedule.gamma(times), np.float64))


def interpolated(schedule: Schedule) -> Schedule:
    """The continuous schedule through the entries of a table, linear in between; before the first, t = 1/T, constant.

    A network that reads t has the same t at the entries. A table whose first entries have no noise has none.
    """
    if schedule.num_steps is None:
        return schedule
    if schedule.no_bound:
        raise UserError(schedule.no_bound)
    steps = jnp.arange(1, schedule.num_steps + 1, dtype=jnp.float32)
    with jax.ensure_compile_time_eval():
        entries = np.asarray(schedule.gamma(steps / schedule.num_steps))
    return Schedule(lambda t: jnp.interp(t * schedule.num_steps, steps, jnp.asarray(entries)))


def times_of_gamma(schedule: Schedule, gamma: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The t with gamma(t) = `gamma`, by bisection of [t_first, 1]; for a table, that of the nearest entry."""
    if schedule.num_steps is not None:
        entries = schedule.gamma(jnp.arange(1, schedule.num_steps + 1) / schedule.num_steps)
        distance = jnp.abs(entries.reshape((1,) * gamma.ndim + (-1,)) - gamma[..., None])
        return (1 + jnp.argmin(distance, axis=-1)) / schedule.num_steps

    def halve(_, ends):
        low, high = ends
        middle = 0.5 * (low + high)
        below = schedule.gamma(middle) < gamma
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    ends = jnp.full_like(gamma, schedule.t_first), jnp.ones_like(gamma)
    low, high = jax.lax.fori_loop(0, 30, halve, ends)
    return 0.5 * (low + high)


def even_timesteps(schedule: Schedule, num: int) -> Int[np.ndarray, " m"]:
    """At most `num` >= 2 timesteps of a table, evenly spaced among those at which noise is added, the last being T.

    A stretch without new noise contributes only its end. Where every entry adds noise they are evenly spaced from 0 to
    T.
    """
    added = np.cumsum(~_repeats(schedule)) - 1  # the number of entries so far with a new gamma
    return np.searchsorted(added, np.unique(np.linspace(0, added[-1], num).round()), side="right") - 1


def ends_of_rest(schedule: Schedule) -> Int[np.ndarray, " m"]:
    """The first and the last timestep of every stretch of a table in which no noise is added."""
    repeats = _repeats(schedule)
    first = ~repeats & np.append(repeats[1:], False)
    last = repeats & ~np.append(repeats[1:], False)
    return np.flatnonzero(first | last)


def noisy_entries(schedule: Schedule) -> Int[np.ndarray, " m"]:
    """The timesteps 1 … T of a table at which noise is added: all, except under the Dirac schedule."""
    return np.flatnonzero(~_repeats(schedule))[1:]


def first_alike(schedule: Schedule) -> Int[np.ndarray, " n"]:
    """For each timestep 0 … T of a table the first one with the same gamma."""
    repeats = _repeats(schedule)
    return np.maximum.accumulate(np.where(repeats, 0, np.arange(len(repeats))))


def _repeats(schedule: Schedule) -> Bool[np.ndarray, " n"]:
    """Whether each timestep 0 … T has the gamma of the one before."""
    with jax.ensure_compile_time_eval():
        gammas = np.asarray(schedule.gamma(jnp.arange(schedule.num_steps + 1) / schedule.num_steps))
    return np.append(False, gammas[1:] == gammas[:-1])


# ---- continuous -----------------------------------------------------------------------------------------------------


def linear(gamma_min: float = -13.3, gamma_max: float = 5.0) -> Schedule:
    """gamma(t) = gamma_min + (gamma_max - gamma_min) t, exact at both ends (VDM)."""
    if not gamma_min < gamma_max:
        raise UserError(f"gamma_min={gamma_min} is not below gamma_max={gamma_max}")
    return Schedule(lambda t: gamma_min * (1 - t) + gamma_max * t)


def ddpm_linear_continuous(num_steps: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> Schedule:
    """-log abar(u) = T (beta_1 u + ½ (beta_T - beta_1) u²), cut where it meets the table's ends."""
    slope, curvature = num_steps * beta_1, num_steps * (beta_T - beta_1)
    total = -_log_abar(_linear_betas(num_steps, beta_1, beta_T))[[0, -1]]
    u = 2 * total / (slope + np.sqrt(slope**2 + 2 * curvature * total))  # the root that does not cancel

    def gamma(t):
        u_t = _between(u, t)
        return _gamma_of(slope * u_t + 0.5 * curvature * u_t**2)

    return Schedule(gamma)


def constant_continuous(num_steps: int = 2000, beta: float = 1e-3) -> Schedule:
    """-log abar(u) = -T u log(1 - beta), from u = 1/T to 1: through every entry of the table."""
    _check_betas(beta=beta)
    total = -num_steps * np.log1p(-beta)
    return Schedule(lambda t: _gamma_of(_between((total / num_steps, total), t)))


def cosine_continuous(num_steps: int = 1000, s: float = 0.008) -> Schedule:
    """abar(u) = cos²(theta_u)/cos²(theta_0), theta_u = ½ pi (u + s)/(1 + s), cut where it meets the table's ends.

    1 - abar = sin(theta - theta_0) sin(theta + theta_0)/cos²(theta_0) does not cancel as theta -> theta_0.
    """
    theta_0 = 0.5 * np.pi * s / (1 + s)
    theta = np.arccos(np.exp(0.5 * _log_abar(_cosine_betas(num_steps, s))[[0, -1]]) * np.cos(theta_0))

    def gamma(t):
        above_start = _between(theta - theta_0, t)
        below_right_angle = _between(0.5 * np.pi - theta, t)  # sin of it is cos(theta), accurate where that is small
        noise = jnp.log(jnp.sin(above_start)) + jnp.log(jnp.sin(above_start + 2 * theta_0))
        return noise - 2 * jnp.log(jnp.sin(below_right_angle))

    return Schedule(gamma)


# ---- tables ---------------------------------------------------------------------------------------------------------


def ddpm_linear(num_steps: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> Schedule:
    """beta_i evenly spaced from beta_1 to beta_T (DDPM)."""
    return schedule_of_betas(_linear_betas(num_steps, beta_1, beta_T))


def constant(num_steps: int = 2000, beta: float = 1e-3) -> Schedule:
    """beta_i = beta. Where T beta is small z_T is not N(0, I); the prior term measures the difference."""
    _check_betas(beta=beta)
    return schedule_of_betas(np.full(num_steps, beta))


def cosine(num_steps: int = 1000, s: float = 0.008) -> Schedule:
    """beta_i = min(1 - f(i/T)/f((i-1)/T), 0.999), f(u) = cos²(½ pi (u + s)/(1 + s)) (Nichol & Dhariwal)."""
    return schedule_of_betas(_cosine_betas(num_steps, s))


def dirac(num_steps: int = 1000, t1: float = 0.5, t2: float = 0.55, total: float = 10.0) -> Schedule:
    """beta = 0 but for the entries with t1 < i/T <= t2, which share `total` equally; total >= 7 reaches noise."""
    t = np.arange(1, num_steps + 1) / num_steps  # not t1 T, which rounding may move past an entry: 0.29 · 100 < 29
    inside = (t > t1) & (t <= t2)
    if not 0 < total < inside.sum():
        raise UserError(f"dirac: {inside.sum()} entries in ({t1}, {t2}] cannot share total={total} with each beta < 1")
    no_bound = "no bound is defined for the Dirac schedule: its first entries carry no noise at all"
    return schedule_of_betas(np.where(inside, total / inside.sum(), 0.0), no_bound)


def schedule_of_betas(betas: Float[np.ndarray, " T"], no_bound: str | None = None) -> Schedule:
    """The table of gamma_i = log((1 - abar_i)/abar_i), abar_i = Π_{j<=i} (1 - beta_j)."""
    log_abar = _log_abar(betas)
    with np.errstate(divide="ignore"):  # 1 - abar = 0 before the first noise: gamma = -inf
        return table_schedule(np.log(-np.expm1(log_abar)) - log_abar, no_bound)


def table_schedule(gammas: Float[np.ndarray, " T"], no_bound: str | None = None) -> Schedule:
    """The chain with gamma(i/T) = gammas[i - 1] and gamma(0) = -inf; any other t is rounded to the nearest entry."""
    num_steps = len(gammas)
    table = np.concatenate([[-np.inf], gammas]).astype(np.float32)
    return Schedule(lambda t: jnp.asarray(table)[jnp.round(t * num_steps).astype(jnp.int32)], num_steps, no_bound)


def _linear_betas(num_steps: int, beta_1: float, beta_T: float) -> np.ndarray:
    _check_betas(beta_1=beta_1, beta_T=beta_T)
    return np.linspace(beta_1, beta_T, num_steps)


def _cosine_betas(num_steps: int, s: float) -> np.ndarray:
    if not 0 <= s < 1:
        raise UserError(f"s={s}; expected a number from 0 to below 1")
    f = np.cos(0.5 * np.pi * (np.arange(num_steps + 1) / num_steps + s) / (1 + s)) ** 2
    return np.minimum(1 - f[1:] / f[:-1], 0.999)


def _check_betas(**betas: float) -> None:
    """Raises `UserError` for a beta that adds no noise, or leaves no signal."""
    for name, beta in betas.items():
        if not 0 < beta < 1:
            raise UserError(f"{name}={beta}; expected a number between 0 and 1")


def _log_abar(betas: np.ndarray) -> np.ndarray:
    return np.cumsum(np.log1p(-betas.astype(np.float64)))


def _between(ends, t):
    return float(ends[0]) * (1 - t) + float(ends[1]) * t  # exact at both ends


def _gamma_of(total):
    """gamma = log((1 - abar)/abar) at total = -log abar > 0."""
    return total + jnp.log(-jnp.expm1(-total))


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "linear": linear,
    "ddpm_linear": ddpm_linear,
    "ddpm_linear_continuous": ddpm_linear_continuous,
    "constant": constant,
    "constant_continuous": constant_continuous,
    "cosine": cosine,
    "cosine_continuous": cosine_continuous,
    "dirac": dirac,
}
