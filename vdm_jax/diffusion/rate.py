"""The bound with a code w ~ q(w | x): D + R, D = reconstruction + prior + diffusion, R = KL(q(w | x) || N(0, I)).

D + R is a bound on -log p(x) whatever is minimised. A rate mode says what is added to D in training; what it must
remember is a dict of scalars in the training state: `penalty` reads it, `update` renews it after each step.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vdm_jax.base.errors import UserError, choose
from vdm_jax.diffusion.gaussian import kl_to_standard_normal

Carry = dict[str, Float[Array, ""]]
Step = int | Int[Array, ""]


def encoder_kl(mu: Float[Array, "b w"], logvar: Float[Array, "b w"]) -> Float[Array, "b w"]:
    """KL(N(mu, exp(logvar)) || N(0, 1)) = ½ (mu² + var - log var - 1) of each code dimension, nats."""
    return kl_to_standard_normal(mu, logvar)


@dataclass(frozen=True)
class RateMode:
    """What every mode answers."""

    @property
    def objective(self) -> str:
        """What is minimised, in words: D and R, beta and j (a dimension of the code)."""
        raise NotImplementedError

    def init(self) -> Carry:
        """The carry before the first step."""
        return {}

    def multiplier(self, carry: Carry, step: Step) -> Float[Array, ""]:
        """beta, the weight of the KL at this step."""
        raise NotImplementedError

    def penalty(self, kl_per_dim: Float[Array, "b w"], carry: Carry, step: Step) -> Float[Array, " b"]:
        """What is added to the distortion of each example, nats."""
        return self.multiplier(carry, step) * kl_per_dim.sum(axis=1)

    def update(self, carry: Carry, mean_kl: Float[Array, ""], step: Step) -> Carry:
        """The carry after a step whose mean KL was `mean_kl` nats an image, on training or on validation images."""
        return carry

    def select(self, distortion: float, rate: float) -> float:
        """The validation score of a checkpoint, nats, lower is better: D + R unless said otherwise."""
        return distortion + rate


@dataclass(frozen=True)
class FixedRate(RateMode):
    """beta KL: beta = 1 minimises the bound, beta = 1e4 is what the blog's code did. Chosen by D + beta R."""

    beta: float = 1.0

    @property
    def objective(self) -> str:
        return "D + R" if self.beta == 1 else f"D + {self.beta:g} R"

    def multiplier(self, carry: Carry, step: Step) -> Float[Array, ""]:
        return jnp.float32(self.beta)

    def select(self, distortion: float, rate: float) -> float:
        return distortion + self.beta * rate


@dataclass(frozen=True)
class WarmupRate(FixedRate):
    """beta KL, with beta rising linearly from 0 over the first `warmup_steps` (Bowman et al. 2016)."""

    warmup_steps: int = 1000

    @property
    def objective(self) -> str:
        return f"{super().objective}, R at full weight after {self.warmup_steps} steps"

    def multiplier(self, carry: Carry, step: Step) -> Float[Array, ""]:
        return self.beta * jnp.minimum(1.0, jnp.float32(step) / self.warmup_steps)


@dataclass(frozen=True)
class FreeBits(RateMode):
    """Σ_j max(KL_j, `nats`), KL_j the batch mean of code dimension j: below `nats` a dimension feels no pull.

    Kingma et al. 2016. Given out per example, so that its batch mean is that sum.
    """

    nats: float = 0.5

    @property
    def objective(self) -> str:
        return f"D + sum of max(R_j, {self.nats:g} nats)"

    def multiplier(self, carry: Carry, step: Step) -> Float[Array, ""]:
        return jnp.float32(1)

    def penalty(self, kl_per_dim: Float[Array, "b w"], carry: Carry, step: Step) -> Float[Array, " b"]:
        pays = kl_per_dim.mean(axis=0, keepdims=True) > self.nats
        return jnp.where(pays, kl_per_dim, self.nats).sum(axis=1)


@dataclass(frozen=True)
class NoRate(RateMode):
    """The KL is left out of training (the blog's "UE"): D alone is minimised, which is no bound. Chosen by D."""

    @property
    def objective(self) -> str:
        return "D alone, not a bound"

    def multiplier(self, carry: Carry, step: Step) -> Float[Array, ""]:
        return jnp.float32(0)

    def select(self, distortion: float, rate: float) -> float:
        return distortion


@dataclass(frozen=True)
class TargetRate(RateMode):
    """min D subject to R = `target` nats: beta is the Lagrange multiplier, found in log space by a PI controller.

    log beta = integral + gain e,   integral += integral_rate max(e, -0.2),   e = R_smooth/target - 1.

    The integral is dual ascent on log beta: it rests only where R = target. The encoder answers a change of beta after
    tens of steps, and dual ascent alone then oscillates; the proportional part damps it. A code's rate falls by about
    half a nat a dimension for each unit of log beta: in log space one gain fits. Far below the target, as before the
    network has learned to read w, the integral falls slowly, so as not to wind up. R_smooth takes in at most twice the
    target a step, so that a burst is soon forgotten, and no KL that is not finite.
    """

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
        return jnp.exp(carry["integral"] + self.gain * self._error(carry["smooth_kl"]))

    def update(self, carry: Carry, mean_kl: Float[Array, ""], step: Step) -> Carry:
        mean_kl = jnp.where(jnp.isfinite(mean_kl), jnp.minimum(mean_kl, 2 * self.target), carry["smooth_kl"])
        smooth_kl = self.smoothing * carry["smooth_kl"] + (1 - self.smoothing) * mean_kl
        integral = carry["integral"] + self.integral_rate * jnp.maximum(self._error(smooth_kl), -0.2)
        low, high = self.beta_range
        return {"integral": jnp.clip(integral, jnp.log(low), jnp.log(high)), "smooth_kl": smooth_kl}

    def select(self, distortion: float, rate: float) -> float:
        """D + R among the checkpoints whose rate is within 5% of the target; 100 nats for each nat outside."""
        return distortion + rate + 100 * max(0.0, abs(rate - self.target) - 0.05 * self.target)

    def _error(self, smooth_kl: Float[Array, ""]) -> Float[Array, ""]:
        return smooth_kl / self.target - 1


RATE_MODES = {
    "fixed": FixedRate,
    "warmup": WarmupRate,
    "free_bits": FreeBits,
    "target": TargetRate,
    "none": NoRate,
}


def make_rate_mode(name: str, **kwargs) -> RateMode:
    """The rate mode called `name`, one of `RATE_MODES`."""
    return choose("rate mode", name, RATE_MODES)(**kwargs)
