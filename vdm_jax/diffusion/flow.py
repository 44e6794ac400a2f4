"""The likelihood of the deterministic model: log p(z_0) along the probability-flow ODE (diffrax, extra `flow`)."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Num

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import alpha_sigma, noised, sum_values
from vdm_jax.diffusion.likelihood import Likelihood
from vdm_jax.diffusion.prediction import Denoise
from vdm_jax.diffusion.schedules import Schedule


def flow_log_density(
    key: Key[Array, ""],
    z_0: Float[Array, "b ..."],
    denoise: Denoise,
    schedule: Schedule,
    *,
    divergence: str = "hutchinson",
    tolerance: float = 1e-4,
) -> Float[Array, " b"]:
    """log p(z_0) = log N(z_1; 0, I) + ∫ ∇·f dt along dz/dt = f = ½ gamma'(t) sigma_t (eps_hat - sigma_t z).

    Song et al. 2021, with the score -eps_hat/sigma_t. z_0: [B, ...] at gamma(0) -> [B], nats. `divergence`, one of
    `DIVERGENCES`: exact costs D products with the Jacobian a step, Hutchinson one with a fixed ±1 probe (unbiased).
    `tolerance` is both relative and absolute. UserError for a table, which has no gamma'(t), and without diffrax.
    """
    if schedule.num_steps is not None:
        raise UserError("the probability-flow likelihood needs a continuous schedule, not a table")
    diffrax = _diffrax()
    jacobian_trace = choose("divergence", divergence, DIVERGENCES)
    probe = jax.random.rademacher(named_key(key, "probe"), z_0.shape, z_0.dtype)

    def field(t, state, _):
        z, _ = state
        gamma_t, slope = jax.jvp(schedule.gamma, (t,), (jnp.ones_like(t),))
        sigma = alpha_sigma(gamma_t)[1]
        eps_hat, trace = jacobian_trace(lambda z: denoise(z, jnp.full(z.shape[0], t)).eps, z, probe)
        num_dims = z[0].size
        return 0.5 * slope * sigma * (eps_hat - sigma * z), 0.5 * slope * sigma * (trace - sigma * num_dims)

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        t0=0.0,
        t1=1.0,
        dt0=None,
        y0=(z_0, jnp.zeros(z_0.shape[0])),
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
    )
    z_1, log_volume = jax.tree.map(lambda ys: ys[-1], solution.ys)
    return _log_standard_normal(z_1) + log_volume


def flow_bound(
    key: Key[Array, ""],
    data: Num[Array, "b ..."],
    denoise: Denoise,
    schedule: Schedule,
    likelihood: Likelihood,
    **options,
) -> Float[Array, " b"]:
    """log q(z_0 | x) - log p(x | z_0) - log p(z_0), z_0 ~ q(z_0 | x): the flow's bound on -log p(x). [B], nats.

    Comparable with the sum of `objective.Terms`. `options` go to `flow_log_density`.
    """
    gamma_0, x = schedule.gamma(jnp.float32(0)), likelihood.to_x(data)
    eps = jax.random.normal(named_key(key, "eps_0"), x.shape)
    z_0 = noised(x, eps, gamma_0)
    log_q = _log_standard_normal(eps) - x[0].size * jnp.log(alpha_sigma(gamma_0)[1])
    log_likelihood = likelihood.log_prob(data, z_0, gamma_0)
    return log_q - log_likelihood - flow_log_density(key, z_0, denoise, schedule, **options)


def hutchinson_trace(function, z: Float[Array, "b ..."], probe: Float[Array, "b ..."]):
    """function(z) and v·Jv of each example, whose mean over random signs v is the trace of its Jacobian."""
    value, product = jax.jvp(function, (z,), (probe,))
    return value, sum_values(probe * product)


def exact_trace(function, z: Float[Array, "b ..."], _: Float[Array, "b ..."]):
    """function(z) and the trace of each example's Jacobian, one unit vector at a time."""

    def diagonal(unit):
        tangent = jnp.broadcast_to(unit.reshape(1, *z.shape[1:]), z.shape)
        return sum_values(tangent * jax.jvp(function, (z,), (tangent,))[1])

    return function(z), jax.lax.map(diagonal, jnp.eye(z[0].size)).sum(axis=0)


DIVERGENCES = {"exact": exact_trace, "hutchinson": hutchinson_trace}


def _log_standard_normal(z: Float[Array, "b ..."]) -> Float[Array, " b"]:
    return -0.5 * sum_values(z**2 + np.log(2 * np.pi))


def _diffrax():
    try:
        import diffrax
    except ImportError as error:
        raise UserError("the probability-flow likelihood needs diffrax: pip install 'vdm-jax[flow]'") from error
    return diffrax
