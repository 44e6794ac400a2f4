"""Learned noise schedules gamma(t), t in [0, 1]: `gamma = -log SNR` rises from gamma_min to gamma_max."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import named_key
from vdm_jax.networks.network import Network

HIDDEN = 1024


def make_scalar(gamma_min: float, gamma_max: float) -> Network:
    """`gamma(t) = gamma_0 + exp(log_width) t`. Both ends are learned and start at gamma_min and gamma_max."""

    def init(key: Key[Array, ""]) -> PyTree:
        del key  # there are no random parameters
        return {"gamma_0": jnp.float32(gamma_min), "log_width": jnp.float32(math.log(gamma_max - gamma_min))}

    def apply(params: PyTree, t: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return params["gamma_0"] + jnp.exp(params["log_width"]) * t

    return Network(init, apply)


def rising(params: PyTree, t: Float[Array, ""]) -> Float[Array, ""]:
    """`softplus(a) t + mean_k softplus(v_k) sigmoid(softplus(s_k) (t - c_k))`, which rises in t for all parameters."""
    steps = jax.nn.sigmoid(jax.nn.softplus(params["slope"]) * (t - params["centre"]))
    return jax.nn.softplus(params["linear"]) * t + jnp.mean(jax.nn.softplus(params["height"]) * steps)


def make_monotone(gamma_min: float, gamma_max: float) -> Network:
    """`gamma = gamma_min + (gamma_max - gamma_min) u(t)`, `u = (f(t) - f(0)) / (f(1) - f(0))`, f = `rising`.

    A network of positive weights as in VDM, appendix H, with fixed ends: gamma(0) and gamma(1) equal gamma_min and
    gamma_max exactly and do not depend on the parameters. The initial schedule is nearly linear.
    """

    def init(key: Key[Array, ""]) -> PyTree:
        return {
            "linear": jnp.zeros(()),
            "height": jnp.zeros((HIDDEN,)),
            "slope": 10.0 + jax.random.normal(named_key(key, "slope"), (HIDDEN,)),
            "centre": jax.random.uniform(named_key(key, "centre"), (HIDDEN,)),
        }

    def apply(params: PyTree, t: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        low, high = rising(params, jnp.float32(0)), rising(params, jnp.float32(1))
        u = (jnp.vectorize(lambda t: rising(params, t))(t) - low) / (high - low)
        gamma = gamma_min * (1 - u) + gamma_max * u
        # The rounding error at the ends is removed from the value, not from the derivatives.
        error = jnp.where(t == 0, gamma - gamma_min, jnp.where(t == 1, gamma - gamma_max, 0.0))
        return gamma - jax.lax.stop_gradient(error)

    return Network(init, apply)


LEARNED_GAMMAS = {"monotone": make_monotone, "scalar": make_scalar}


def make_learned_gamma(kind: str, gamma_min: float, gamma_max: float) -> Network:
    """`apply(params, t [...]) -> gamma [...]`. kind: "monotone" (fixed ends) or "scalar" (both ends learned).

    Raises `UserError` unless gamma_min < gamma_max.
    """
    make = choose("gamma", kind, LEARNED_GAMMAS)
    if not gamma_min < gamma_max:
        raise UserError(f"gamma_min={gamma_min} is not below gamma_max={gamma_max}")
    return make(gamma_min, gamma_max)
