"""The Gaussians of the noising process: q(z_t | x), q(z_s | z_t, x), their KLs, and eps <-> x.

gamma may be a scalar or one value an example, [B] against [B, ...]; gamma = -inf (no noise) gives finite results.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def expand(per_example: Float[Array, "*batch"], like: Float[Array, "..."]) -> Float[Array, "..."]:
    """[B] (or a scalar) to [B, 1, …, 1], with as many axes as `like`; arrays with as many axes stay as they are."""
    return per_example.reshape(per_example.shape + (1,) * (like.ndim - per_example.ndim))


def sum_values(per_value: Float[Array, "b ..."]) -> Float[Array, " b"]:
    """Sum over everything but the batch axis."""
    return per_value.reshape(per_value.shape[0], -1).sum(axis=1)


def alpha_sigma(gamma: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """alpha = √sigmoid(-gamma), sigma = √sigmoid(gamma), through the logarithm: the small one keeps its digits."""
    return jnp.exp(0.5 * jax.nn.log_sigmoid(-gamma)), jnp.exp(0.5 * jax.nn.log_sigmoid(gamma))


def noised(
    x: Float[Array, "b ..."], eps: Float[Array, "b ..."], gamma_t: Float[Array, "*batch"]
) -> Float[Array, "b ..."]:
    """z_t = alpha_t x + sigma_t eps: a draw from q(z_t | x) when eps ~ N(0, I)."""
    alpha, sigma = alpha_sigma(expand(gamma_t, x))
    return alpha * x + sigma * eps


def step_fraction(gamma_s: Float[Array, "*shape"], gamma_t: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """c = 1 - SNR_t/SNR_s = -expm1(gamma_s - gamma_t), 0 where the two are equal, -inf included."""
    return -jnp.expm1(jnp.where(gamma_s == gamma_t, 0.0, gamma_s - gamma_t))


def posterior_mean(
    z_t: Float[Array, "b ..."],
    x: Float[Array, "b ..."],
    gamma_s: Float[Array, "*batch"],
    gamma_t: Float[Array, "*batch"],
) -> Float[Array, "b ..."]:
    """Mean of q(z_s | z_t, x): (alpha_s/alpha_t)(1 - c) z_t + alpha_s c x, for s < t (VDM app. A)."""
    gamma_s, gamma_t = expand(gamma_s, z_t), expand(gamma_t, z_t)
    c = step_fraction(gamma_s, gamma_t)
    alpha_s, alpha_t = alpha_sigma(gamma_s)[0], alpha_sigma(gamma_t)[0]
    return alpha_s / alpha_t * (1 - c) * z_t + alpha_s * c * x


def posterior_variance(gamma_s: Float[Array, "*shape"], gamma_t: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Variance of q(z_s | z_t, x): sigma_s² c, DDPM's beta_tilde_t = (1 - abar_s)/(1 - abar_t) beta_t."""
    return jax.nn.sigmoid(gamma_s) * step_fraction(gamma_s, gamma_t)


def step_variance(gamma_s: Float[Array, "*shape"], gamma_t: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Variance of q(z_t | z_s): 1 - alpha_t²/alpha_s², DDPM's beta_t."""
    return -jnp.expm1(jax.nn.log_sigmoid(-gamma_t) - jax.nn.log_sigmoid(-gamma_s))


def kl_to_standard_normal(mean: Float[Array, "*shape"], log_variance: Float[Array, "..."]) -> Float[Array, "*shape"]:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) = ½ (mean² + variance - log variance - 1), nats per value.

    expm1 keeps the digits where the variance is near 1, as it is for q(z_1 | x).
    """
    return 0.5 * (mean**2 + jnp.expm1(log_variance) - log_variance)


def x_of_eps(
    eps: Float[Array, "b ..."], z_t: Float[Array, "b ..."], gamma_t: Float[Array, "*batch"]
) -> Float[Array, "b ..."]:
    """x = (z_t - sigma_t eps)/alpha_t."""
    alpha, sigma = alpha_sigma(expand(gamma_t, z_t))
    return (z_t - sigma * eps) / alpha


def eps_of_x(
    x: Float[Array, "b ..."], z_t: Float[Array, "b ..."], gamma_t: Float[Array, "*batch"]
) -> Float[Array, "b ..."]:
    """eps = (z_t - alpha_t x)/sigma_t."""
    alpha, sigma = alpha_sigma(expand(gamma_t, z_t))
    return (z_t - alpha * x) / sigma
