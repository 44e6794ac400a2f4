"""What a denoiser returns: x and eps, each by the direct formula from whatever the network predicts."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from vdm_jax.base.errors import choose
from vdm_jax.diffusion.gaussian import alpha_sigma, eps_of_x, expand, x_of_eps

X = Float[Array, "b ..."]
Gamma = Float[Array, "..."]  # as many axes as z_t


class Prediction(NamedTuple):
    """E[x | z_t] and E[eps | z_t] of a denoiser, [B, ...] each. The loss reads eps, samplers read x."""

    x: Float[Array, "b ..."]
    eps: Float[Array, "b ..."]


Denoise = Callable[[Float[Array, "b ..."], Float[Array, " b"]], Prediction]
"""`denoise(z_t [B, ...], t [B]) -> Prediction`"""

MOST_CORRELATION = 1e4  # cap of alpha/sigma²; a pixel's own value leaves no doubt above it


def to_prediction(target: str, output: X, z_t: X, gamma_t: Float[Array, "*batch"]) -> Prediction:
    """The prediction of a network whose `output` is `target`, one of `TARGETS`.

    eps is 0 where there is no noise (gamma_t = -inf): nothing was added. x is z_t there for "eps", "v" and "normal",
    and the output for "x" and "log_odds". All values and their gradients are finite.
    """
    gamma_t = expand(gamma_t, z_t)
    noiseless = jnp.isneginf(gamma_t)
    convert = choose("target", target, TARGETS)
    x, eps = convert(output, z_t, gamma_t, jnp.where(noiseless, 0.0, gamma_t))
    return Prediction(x, jnp.where(noiseless, 0.0, eps))


def _from_eps(eps: X, z_t: X, gamma_t: Gamma, _: Gamma) -> tuple[X, X]:
    """x = (z_t - sigma_t eps)/alpha_t."""
    return x_of_eps(eps, z_t, gamma_t), eps


def _from_x(x: X, z_t: X, _: Gamma, noisy: Gamma) -> tuple[X, X]:
    """eps = (z_t - alpha_t x)/sigma_t."""
    return x, eps_of_x(x, z_t, noisy)


def _from_v(v: X, z_t: X, gamma_t: Gamma, _: Gamma) -> tuple[X, X]:
    """x = alpha_t z_t - sigma_t v, eps = alpha_t v + sigma_t z_t, of v = alpha_t eps - sigma_t x (Salimans & Ho)."""
    alpha, sigma = alpha_sigma(gamma_t)
    return alpha * z_t - sigma * v, alpha * v + sigma * z_t


def _from_log_odds(log_odds: X, z_t: X, gamma_t: Gamma, noisy: Gamma) -> tuple[X, X]:
    """x = tanh(log_odds + alpha_t z_t/sigma_t²), for pixels of ±1.

    log_odds: half of the log odds of +1 given the *other* pixels of z_t. Bayes' rule adds those of the pixel's own
    value. This is exact, so that x never lies outside ±1 and is right without any log_odds where there is no noise.
    """
    alpha, _ = alpha_sigma(gamma_t)
    own = jnp.minimum(alpha * (1 + jnp.exp(-gamma_t)), MOST_CORRELATION)
    return _from_x(jnp.tanh(log_odds + own * z_t), z_t, gamma_t, noisy)


def _from_normal(output: X, z_t: X, gamma_t: Gamma, _: Gamma) -> tuple[X, X]:
    """eps = sigma_t z_t + output, x = alpha_t z_t - sigma_t/alpha_t output: those of data N(0, I) where output = 0."""
    alpha, sigma = alpha_sigma(gamma_t)
    return alpha * z_t - jnp.exp(0.5 * gamma_t) * output, sigma * z_t + output


# What a network may predict: (output, z_t, gamma_t, gamma_t with 0 in place of -inf) -> (x, eps).
TARGETS = {"eps": _from_eps, "x": _from_x, "v": _from_v, "log_odds": _from_log_odds, "normal": _from_normal}
