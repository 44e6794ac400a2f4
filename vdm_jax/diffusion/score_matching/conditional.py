"""Denoising score matching with a code, and the weighting lambda(t) that chooses what the code learns.

DRL (Abstreiter et al. 2021) trains a score s(z_t, t, w) and an encoder w = E(x), or E(x, t), by

    J = E lambda(t) ||s - ∇ log q(z_t | x)||² = ½ E weight(t) ||eps - eps_hat||²,    lambda(t) = ½ sigma_t² weight(t),

as s = -eps_hat/sigma_t and ∇ log q(z_t | x) = -eps/sigma_t. weight is one of `objective.WEIGHTINGS`:

    uniform   1/sigma_t²   lambda = ½ at all t
    simple    1            lambda = ½ sigma_t²
    bound     gamma'(t)    lambda = ½ sigma_t² gamma'(t): every unit of log SNR weighs the same

and a `Band` of log SNR leaves out the noise outside of it. J is 0 for a code that names x. Without a code its least
value is ½ E weight(t) ||eps - E[eps | z_t]||². With weight = gamma', half of what a fixed code takes off the squared
error, integrated over log SNR, is I(w; z_0) - I(w; z_1), for the optimal eps_hat.

VDRL adds the rate of a noisy code: J + beta KL(q(w | x) || p(w)), so that images can be drawn from w ~ p(w). The paper
does not derive it. With weight = gamma' and beta = 1 it is the bound of a VAE whose decoder is a diffusion model, up to
terms without parameters:

    -log p(x) = -log E_p(w)[p(x | w)] <= E_q(w|x)[-log p(x | w)] + KL(q(w | x) || p(w))                 Jensen
    -log p(x | w) <= -E log p(x | z_0) + KL(q(z_1 | x) || N(0, I)) + ½ E gamma'(t) ||eps - eps_hat||²   VDM eq. 17

The first two terms of the second line depend on x and on the schedule, which is fixed. Hence J + KL has the gradient of
the VAE-VDM. A weight below gamma'(t), or a beta below 1, gives no bound on -log p(x). p(w) may be learned with the
rest: the KL is then E_q[log q(w | x)] + L_psi(w), with L_psi >= -log p_psi(w) (`code_prior`).

E(x, t) has a code for each t, and its rate is that of one of them, averaged over t. Their sum with J bounds nothing: a
chain of T steps would send T codes, T times that rate.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from vdm_jax.base.errors import choose
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.objective import WEIGHTINGS, bound_weight, noise_error
from vdm_jax.diffusion.prediction import Denoise
from vdm_jax.diffusion.schedules import Schedule, times_of_gamma


class Band(NamedTuple):
    """The noise levels low <= log SNR < high; all of them by default."""

    low: float = -math.inf
    high: float = math.inf

    @property
    def is_all(self) -> bool:
        """Whether no noise is left out."""
        return self == Band()

    def holds(self, gamma_t: Float[Array, " b"]) -> Bool[Array, " b"]:
        """Whether each noise level lies in the band."""
        return (self.low <= -gamma_t) & (-gamma_t < self.high)

    def times(self, schedule: Schedule) -> tuple[float, float]:
        """The earliest and the latest time of a continuous schedule in the band, one time twice where there is none."""
        with jax.ensure_compile_time_eval():
            first, last = times_of_gamma(schedule, jnp.array([-self.high, -self.low], jnp.float32))
            return float(first), float(last)


ALL_NOISE = Band()


def score_losses(
    key: Key[Array, ""],
    x: Float[Array, "b ..."],
    denoise: Denoise,
    schedule: Schedule,
    t: Float[Array, " b"],
    *,
    weighting: str = "bound",
    num_steps: int | None = None,
    band: Band = ALL_NOISE,
) -> Float[Array, " b"]:
    """lambda(t) ||s - ∇ log q(z_t | x)||² of each example from one draw of noise, with lambda as in the file's head;
    with weighting="bound" nats. [B].

    t: as `vdm_losses` takes them. 0 outside the band, and at an entry of a table without noise. The same key draws the
    noise of `vdm_losses`. Raises `UserError` for an unknown weighting.
    """
    gamma_t, weight = bound_weight(schedule, t, num_steps)
    eps = jax.random.normal(named_key(key, "eps"), x.shape)
    weight = choose("weighting", weighting, WEIGHTINGS)(gamma_t, weight)
    counts = band.holds(gamma_t) & ~jnp.isneginf(gamma_t)
    return 0.5 * jnp.where(counts, weight, 0.0) * noise_error(eps, x, denoise, gamma_t, t)
