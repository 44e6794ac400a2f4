"""p(w), the prior of the code, and the rate under it: N(0, I), or a diffusion model that is trained with the rest."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.keys import named_key, normal
from vdm_jax.diffusion.gaussian import alpha_sigma, expand
from vdm_jax.diffusion.likelihood import GaussianLikelihood
from vdm_jax.diffusion.objective import vdm_losses
from vdm_jax.diffusion.prediction import Denoise, to_prediction
from vdm_jax.diffusion.rate import encoder_kl
from vdm_jax.diffusion.samplers import make_times, sample
from vdm_jax.diffusion.schedules import Schedule

Codes = Float[Array, "b d"]


def density_bound(
    key: Key[Array, ""], x: Float[Array, "b ..."], denoise: Denoise, schedule: Schedule, t: Float[Array, " b"]
) -> Float[Array, " b"]:
    """A bound on -log p(x) of *continuous* x under a diffusion model, nats, at T = ∞; t ~ U(0, 1).

    The bound of `vdm_losses` with `GaussianLikelihood`: KL(q(z_1|x) || N(0, I)) + ½ gamma'(t) ||eps - eps_hat||² +
    E[-log N(x; z_0/alpha_0, sigma_0²/alpha_0²)]. Unbiased from one draw of eps, given t. (Kingma et al. 2021, eq. 17.)
    """
    terms = vdm_losses(key, x, denoise, schedule, t, GaussianLikelihood()).terms
    return terms.prior + terms.diffusion + terms.reconstruction


def entropy(logvar: Codes) -> Float[Array, " b"]:
    """The entropy of q(w | x) = N(mu, exp(logvar)): ½ Σ (1 + log 2π + logvar), nats."""
    return 0.5 * jnp.sum(1 + math.log(2 * math.pi) + logvar, axis=1)


@dataclass(frozen=True)
class NormalPrior:
    """p(w) = N(0, I): the rate is exact."""

    def rate(
        self, params: PyTree, key: Key[Array, ""], mu: Codes, logvar: Codes, w: Codes, t: Float[Array, " b"]
    ) -> Float[Array, " b"]:
        """R = KL(q(w | x) || N(0, I)), nats. It does not depend on the draws."""
        return encoder_kl(mu, logvar).sum(axis=1)

    def sample(self, params: PyTree, key: Key[Array, "*k"], shape: tuple[int, int]) -> Codes:
        """w ~ N(0, I), [N, d]. key: one, or keys [N]."""
        return normal(key, shape)


@dataclass(frozen=True)
class DiffusionPrior:
    """p_psi(w), a diffusion model over the code: R = E_q[log q(w | x)] + L_psi(w), L_psi >= -log p_psi(w).

    eps_hat = sigma_t z_t + network: exact for N(0, I) where the network is zero, as at its start, so that R begins as
    the KL to N(0, I). D + R stays a bound on -log p(x) wherever psi goes. (Vahdat et al. 2021 mix in the same way.)
    """

    network: Callable[..., Codes]  # (params, z_t, t) -> [B, d]
    schedule: Schedule  # continuous, its ends the least and the most noise on w
    num_steps: int  # of a draw from the prior
    num_times: int = 8  # gammas that an estimate of R averages over: the network is small, and R steers rate modes

    def denoise(self, params: PyTree) -> Denoise:
        """The prediction of the prior at (z_t, t)."""

        def denoise(z_t, t):
            gamma_t = self.schedule.gamma(t)
            sigma = alpha_sigma(expand(gamma_t, z_t))[1]
            return to_prediction("eps", sigma * z_t + self.network(params, z_t, t), z_t, gamma_t)

        return denoise

    def rate(
        self, params: PyTree, key: Key[Array, ""], mu: Codes, logvar: Codes, w: Codes, t: Float[Array, " b"]
    ) -> Float[Array, " b"]:
        """An unbiased estimate of R, nats, from w ~ q(w | x), t ~ U(0, 1) and the noise of `key`: the mean over
        `num_times` times, evenly spread from t on."""
        shifts = jnp.arange(self.num_times) / self.num_times
        bound = jax.vmap(lambda key, shift: density_bound(key, w, self.denoise(params), self.schedule, (t + shift) % 1))
        return bound(jax.random.split(key, self.num_times), shifts).mean(axis=0) - entropy(logvar)

    def sample(self, params: PyTree, key: Key[Array, "*k"], shape: tuple[int, int]) -> Codes:
        """w ~ p_psi(w), [N, d]: ancestral sampling, then w ~ N(z_0/alpha_0, sigma_0²/alpha_0²). key: one, or [N]."""
        z_1 = normal(named_key(key, "z_1"), shape)
        times = make_times(self.schedule, self.num_steps, "logsnr")
        z_0 = sample(key, self.denoise(params), self.schedule, z_1, times)
        alpha, sigma = alpha_sigma(self.schedule.gamma(jnp.float32(0)))
        return (z_0 + sigma * normal(named_key(key, "w"), shape)) / alpha
