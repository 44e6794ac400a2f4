"""Score matching: objectives for a score s(x) that approximates ∇ log p(x), noise levels, and eps_hat as a score.

With lambda = sigma² all three objectives have one expectation: that of denoising, ½ ||sigma s + eps||², is the exact
one, sigma² (tr ∇s + ½ ||s||²), plus D/2 (Hyvärinen 2005, Vincent 2011). They differ in variance and in cost.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.flow import exact_trace, hutchinson_trace
from vdm_jax.diffusion.gaussian import alpha_sigma, expand, noised, sum_values
from vdm_jax.diffusion.prediction import Denoise
from vdm_jax.diffusion.schedules import Schedule, table_schedule

Score = Callable[[Float[Array, "b ..."]], Float[Array, "b ..."]]
"""`score(x [B, ...]) -> [B, ...]`, each row a function of the same row of x alone"""

MATCHINGS = {
    "denoising": "||eps - eps_hat||²: no derivative of the network (Vincent 2011)",
    "sliced": "v·∇s v + ½ ||s||² for one random direction v (Song et al. 2019)",
    "exact": "tr ∇s + ½ ||s||²: D derivatives of the network (Hyvärinen 2005)",
}


def exact_objective(score: Score, x: Float[Array, "b ..."]) -> Float[Array, " b"]:
    """tr ∇s(x) + ½ ||s(x)||², [B]: D products with the Jacobian.

    Its expectation is ½ E||s - ∇ log p||² less ½ E||∇ log p||². On N(0, 1) the best s is -x, and its value is -D/2. The
    thesis prints ||½ s||² in place of ½ ||s||², whose best s is -2x.
    """
    value, trace = exact_trace(score, x, x)
    return trace + 0.5 * sum_values(value**2)


def sliced_objective(key: Key[Array, ""], score: Score, x: Float[Array, "b ..."]) -> Float[Array, " b"]:
    """v·∇s(x) v + ½ ||s(x)||² with v of random signs, [B]: one product. Its mean over v is `exact_objective`."""
    probe = jax.random.rademacher(named_key(key, "slice"), x.shape, x.dtype)
    value, product = hutchinson_trace(score, x, probe)
    return product + 0.5 * sum_values(value**2)


def denoising_objective(
    key: Key[Array, ""], score: Score, x: Float[Array, "b ..."], sigma: Float[Array, "*batch"]
) -> Float[Array, " b"]:
    """½ ||sigma s(x + sigma eps) + eps||², [B] (Song & Ermon 2019, eq. 5 with the weight sigma²).

    The best s is the score of the data with noise of deviation sigma; its expectation is `exact_objective` of that
    score, times sigma², plus D/2.
    """
    eps = jax.random.normal(named_key(key, "eps"), x.shape)
    sigma = expand(sigma, x)
    return 0.5 * sum_values((sigma * score(x + sigma * eps) + eps) ** 2)


def matching_losses(
    key: Key[Array, ""],
    x: Float[Array, "b ..."],
    denoise: Denoise,
    schedule: Schedule,
    t: Float[Array, " b"],
    matching: str,
) -> Float[Array, " b"]:
    """The objective `matching` of the score of z_t, in units of ||eps - eps_hat||²/D, [B]; one of `MATCHINGS`.

    2 (sigma_t² objective + D/2)/D for "exact" and "sliced", whose expectation is that of the squared error of eps_hat;
    of one example they may be negative.
    """
    choose("matching", matching, MATCHINGS)
    eps = jax.random.normal(named_key(key, "eps"), x.shape)
    num_dims, z_t = x[0].size, noised(x, eps, schedule.gamma(t))
    if matching == "denoising":
        return sum_values((eps - denoise(z_t, t).eps) ** 2) / num_dims
    # With s = -eps_hat/sigma_t: sigma_t² (tr ∇s + ½ ||s||²) = ½ ||eps_hat||² - sigma_t tr ∇eps_hat.
    probe = jax.random.rademacher(named_key(key, "slice"), x.shape, x.dtype)
    trace_of = exact_trace if matching == "exact" else hutchinson_trace
    eps_hat, trace = trace_of(lambda z: denoise(z, t).eps, z_t, probe)
    sigma = alpha_sigma(schedule.gamma(t))[1]
    return (sum_values(eps_hat**2) - 2 * sigma * trace) / num_dims + 1


# ---- noise levels ---------------------------------------------------------------------------------------------------


def geometric_sigmas(sigma_max: float, sigma_min: float, num_levels: int) -> Float[np.ndarray, " l"]:
    """L falling deviations with one ratio between neighbours (Song & Ermon 2019). Raises `UserError`."""
    if not 0 < sigma_min < sigma_max < math.inf and not (num_levels == 1 and 0 < sigma_min <= sigma_max):
        raise UserError(f"sigma_min={sigma_min}, sigma_max={sigma_max}; expected 0 < sigma_min < sigma_max")
    if num_levels < 1:
        raise UserError(f"num_levels={num_levels}; expected at least 1")
    return np.geomspace(sigma_max, sigma_min, num_levels) if num_levels > 1 else np.array([float(sigma_min)])


def variance_exploding(sigmas: Sequence[float] | Float[np.ndarray, " l"]) -> Schedule:
    """The table with gamma = 2 ln sigma at the falling deviations of the noise in y = x + sigma eps.

    z_t = y/√(1 + sigma²) is variance preserving, so that losses and samplers are those of any table. A continuous
    VE process with geometric sigma is `linear` with gamma from 2 ln sigma_min to 2 ln sigma_max. Raises `UserError`
    unless the sigmas are positive and fall.
    """
    sigmas = np.asarray(sigmas, np.float64)
    if not sigmas.size or not np.isfinite(sigmas).all() or (sigmas <= 0).any() or (np.diff(sigmas) >= 0).any():
        given = ", ".join(f"{sigma:g}" for sigma in sigmas)
        raise UserError(f"sigmas=({given}); expected positive numbers, each below the one before")
    return table_schedule(2 * np.log(sigmas[::-1]))


def sigma_of(gamma: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """sigma = √(1/SNR) = exp(gamma/2): the deviation of the noise in y = z_t/alpha_t = x + sigma eps."""
    return jnp.exp(0.5 * gamma)


# ---- eps_hat as a score ---------------------------------------------------------------------------------------------


def score_of(denoise: Denoise, schedule: Schedule, t: Float[Array, " b"]) -> Score:
    """∇ log p(z_t) = -eps_hat(z_t, t)/sigma_t of any denoiser, in the variance-preserving z_t."""
    return lambda z_t: -denoise(z_t, t).eps / expand(alpha_sigma(schedule.gamma(t))[1], z_t)


def exploding_score_of(denoise: Denoise, schedule: Schedule, t: Float[Array, " b"]) -> Score:
    """∇ log p_sigma(y) = -eps_hat/sigma of y = x + sigma eps = z_t/alpha_t, sigma = sigma_t/alpha_t."""

    def score(y):
        gamma_t = expand(schedule.gamma(t), y)
        return -denoise(alpha_sigma(gamma_t)[0] * y, t).eps / sigma_of(gamma_t)

    return score
