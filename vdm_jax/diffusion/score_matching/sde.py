"""Plain solvers of the reverse SDE and of the probability flow, as steps of the sampling loop (Song et al. 2021).

In z_t the process is dz = -½ beta z dt + √beta dw with ∫ beta dt = -ln alpha_t², whatever the schedule; in
y = z_t/alpha_t it is dy = √(d sigma²/dt) dw, sigma² = exp(gamma). Ancestral and DDIM steps are the same in both. Euler
steps are not: those in z are "vp", those in y "ve". Euler's step of the flow in y is DDIM's.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from vdm_jax.base.keys import normal
from vdm_jax.diffusion.gaussian import alpha_sigma, posterior_mean, step_fraction
from vdm_jax.diffusion.samplers import StepInputs


def reverse_sde_vp(key: Key[Array, "*k"], step: StepInputs) -> Float[Array, "b ..."]:
    """Euler-Maruyama in z: z + b (½ z + score) + √b n, b = ∫ beta dt from s to t; x_hat into no noise."""
    b = _integrated_beta(step)
    moved = step.z_t + b * (0.5 * step.z_t + _score(step)) + jnp.sqrt(b) * normal(key, step.z_t.shape)
    return _ends(step, moved)


def reverse_sde_ve(key: Key[Array, "*k"], step: StepInputs) -> Float[Array, "b ..."]:
    """Euler-Maruyama in y: y + (sigma_t² - sigma_s²) score + √(sigma_t² - sigma_s²) n; x_hat into no noise.

    The mean is that of the ancestral step; its variance is sigma_t²/sigma_s² times as large.
    """
    mean = posterior_mean(step.z_t, step.x_hat, step.gamma_s, step.gamma_t)
    variance = jnp.exp(step.gamma_t) * step_fraction(step.gamma_s, step.gamma_t)
    deviation = alpha_sigma(step.gamma_s)[0] * jnp.sqrt(variance)
    return _ends(step, mean + deviation * normal(key, mean.shape))


def flow_vp(_: Key[Array, "*k"], step: StepInputs) -> Float[Array, "b ..."]:
    """Euler's step of the probability flow in z: z + ½ b (z + score); x_hat into no noise. DDIM is Euler's in y."""
    return _ends(step, step.z_t + 0.5 * _integrated_beta(step) * (step.z_t + _score(step)))


SOLVERS = {"reverse_sde_vp": reverse_sde_vp, "reverse_sde_ve": reverse_sde_ve, "flow_vp": flow_vp}


def _integrated_beta(step: StepInputs) -> Float[Array, ""]:
    """∫ beta dt = ln alpha_s² - ln alpha_t²."""
    return jax.nn.log_sigmoid(-step.gamma_s) - jax.nn.log_sigmoid(-step.gamma_t)


def _score(step: StepInputs) -> Float[Array, "b ..."]:
    """-(z_t - alpha_t x_hat)/sigma_t², 0 where there is no noise."""
    noisy = jnp.where(jnp.isneginf(step.gamma_t), 0.0, step.gamma_t)
    alpha, sigma = alpha_sigma(noisy)
    return jnp.where(jnp.isneginf(step.gamma_t), 0.0, (alpha * step.x_hat - step.z_t) / sigma**2)


def _ends(step: StepInputs, moved: Float[Array, "b ..."]) -> Float[Array, "b ..."]:
    return jnp.where(jnp.isneginf(step.gamma_s), step.x_hat, moved)
