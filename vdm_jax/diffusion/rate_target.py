"""A rate held at a target in nats: a controller finds the multiplier during training."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.rate import Carry, RateMode, Step


@dataclass(frozen=True)
class TargetRate(RateMode):
    """min D subject to R = `target` nats: beta is the Lagrange multiplier, found in log space by a PI controller.

    log beta = integral + gain e,   integral += integral_rate max(e, -0.2),   e = R_smooth/target - 1.

    The integral is dual ascent on log beta: it rests only where R = target. The encoder responds to a change of beta
    after tens of steps, and dual ascent alone then oscillates; the proportional part damps it. The rate of a code falls
    by about half a nat a dimension for each unit of log beta, so that one gain fits in log space. Far below the target,
    as before the network has learned to read w, the integral falls slowly, which avoids wind-up. beta itself is kept to
    `beta_range`; the integral does not move on towards an end at which beta is, so that beta leaves it as soon as the
    error becomes smaller. R_smooth ignores a non-finite KL and takes in at most twice the target a step, so that a
    burst is soon forgotten.
    """

    steered_by_held_out: ClassVar[bool] = True

    target: float = 10.0
    gain: float = 3.0
    integral_rate: float = 0.03
    smoothing: float = 0.9
    beta_init: float = 0.1
    beta_range: tuple[float, float] = (1e-4, 1e4)

    @property
    def objective(self) -> str:
        return f"D, R held at {self.target:g} nats"

    def __post_init__(self):
        if self.target <= 0:
            raise UserError(f"rate target={self.target} nats; expected a number above 0")

    def init(self) -> Carry:
        return {"integral": jnp.log(jnp.float32(self.beta_init)), "smooth_kl": jnp.float32(self.target)}

    def multiplier(self, carry: Carry, step: Step) -> Float[Array, ""]:
        beta = jnp.exp(carry["integral"] + self.gain * self._error(carry["smooth_kl"]))
        return jnp.clip(beta, *self.beta_range)

    def update(self, carry: Carry, mean_kl: Float[Array, ""], step: Step) -> Carry:
        mean_kl = jnp.where(jnp.isfinite(mean_kl), jnp.minimum(mean_kl, 2 * self.target), carry["smooth_kl"])
        smooth_kl = self.smoothing * carry["smooth_kl"] + (1 - self.smoothing) * mean_kl
        before, error = carry["integral"], self._error(smooth_kl)
        integral = before + self.integral_rate * jnp.maximum(error, -0.2)
        low, high = (jnp.log(end) - self.gain * error for end in self.beta_range)  # where beta is at its ends
        integral = jnp.clip(integral, jnp.minimum(before, low), jnp.maximum(before, high))
        return {"integral": integral, "smooth_kl": smooth_kl}

    def select(self, distortion: float, rate: float) -> float:
        """D + R, nats, and a charge for a rate off the target.

        With e = |R - target|: 2 nats for each nat of e beyond 5% of the target, and 100 more for each beyond 25%.

        Let D(R) be the convex optimum of D at each rate, and beta = -dD/dR its multiplier at the target. The sum
        D(R) + R + slope |R - target| is lowest at the target where slope >= |1 - beta| (an exact penalty), so that a
        slope of 2 serves any beta up to 3; beta is below 1 where a rate costs more than it saves. A rate that chance
        moves beyond the tolerance changes the score by twice that excess, not by more than D falls in training. Beyond
        25% the code is another one, whatever its D.
        """
        off = abs(rate - self.target)
        charge = 2 * max(0.0, off - 0.05 * self.target) + 100 * max(0.0, off - 0.25 * self.target)
        return distortion + rate + charge

    def _error(self, smooth_kl: Float[Array, ""]) -> Float[Array, ""]:
        return smooth_kl / self.target - 1
