"""p(x | z_0) over grey levels, bits per dimension, and the bound's integrand as a curve over log SNR."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, Key

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import EpsFn, alpha_sigma, noised, sum_values
from vdm_jax.diffusion.schedules import Schedule, times_of_gamma


def level_logits(
    z_0: Float[Array, "b ..."], gamma_0: Float[Array, ""], pixel_values: Float[Array, " k"]
) -> Float[Array, "b ... k"]:
    """-½ exp(-gamma_0) (z_0/alpha_0 - x_k)², the unnormalised log p(x_k | z_0) of every pixel value x_k."""
    distance = (z_0 / alpha_sigma(gamma_0)[0])[..., None] - pixel_values.reshape((1,) * z_0.ndim + (-1,))
    return -0.5 * jnp.exp(-gamma_0) * distance**2


def log_likelihood(
    levels: Integer[Array, "b ..."],
    z_0: Float[Array, "b ..."],
    gamma_0: Float[Array, ""],
    pixel_values: Float[Array, " k"],
) -> Float[Array, "b ..."]:
    """log p(x | z_0) of each value, a softmax over the K pixel values (VDM eq. 8). levels: 0 … K-1 -> nats <= 0."""
    own = -0.5 * jnp.exp(-gamma_0) * (z_0 / alpha_sigma(gamma_0)[0] - pixel_values[levels]) ** 2
    log_p = own - jax.nn.logsumexp(level_logits(z_0, gamma_0, pixel_values), axis=-1)
    return jnp.minimum(log_p, 0.0)  # above is rounding


def decode_levels(
    z_0: Float[Array, "b ..."], gamma_0: Float[Array, ""], pixel_values: Float[Array, " k"]
) -> Int[Array, "b ..."]:
    """The likeliest grey level 0 … K-1 of each value of z_0: the nearest, also where gamma_0 = -inf (no noise)."""
    distance = (z_0 / alpha_sigma(gamma_0)[0])[..., None] - pixel_values.reshape((1,) * z_0.ndim + (-1,))
    return jnp.argmin(jnp.abs(distance), axis=-1)


def bits_per_dim(nats, num_dims: int):
    """nats / (D ln 2), D the number of values in the image; numbers and arrays alike."""
    return nats / (num_dims * np.log(2))


def integrand_by_logsnr(
    key: Key[Array, ""],
    x: Float[Array, "b ..."],
    eps_fn: EpsFn,
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
        eps_hat = eps_fn(noised(x, eps, gamma_t), jnp.full(x.shape[0], t))
        return 0.5 * sum_values((eps - eps_hat) ** 2)

    return -gammas, jax.lax.map(at, (jnp.arange(gammas.size), times, gammas))
