"""The bound with a code w ~ q(w | x): D + R, D = reconstruction + prior + diffusion, R = KL(q(w | x) || p(w)).

D + R is a bound on -log p(x) whatever is minimised. A rate mode is a penalty that is added to D in training. It may
also change the code that the decoder is trained with, and the weight of each gamma. Its memory is a dict of scalars in
the training state, the carry: `penalty` reads it, `update` renews it after each step.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from vdm_jax.diffusion.gaussian import kl_to_standard_normal

UNCONDITIONAL = "the model has no code"
CONTROL = "the code is a control: w ~ N(0, I) does not depend on the image"
Carry = dict[str, Float[Array, ""]]
Step = int | Int[Array, ""]
Weight = float | Float[Array, ""]  # an array where members of an ensemble differ in it


def encoder_kl(mu: Float[Array, "b w"], logvar: Float[Array, "b w"]) -> Float[Array, "b w"]:
    """KL(N(mu, exp(logvar)) || N(0, 1)) = ½ (mu² + var - log var - 1) of each code dimension, nats."""
    return kl_to_standard_normal(mu, logvar)


class Code(NamedTuple):
    """mu, logvar of q(w | x), a draw w of it, each [B, d], and the rate R of each example, [B] nats."""

    mu: Float[Array, "b d"]
    logvar: Float[Array, "b d"]
    w: Float[Array, "b d"]
    rate: Float[Array, " b"]


@dataclass(frozen=True)
class RateMode:
    """The methods of every mode. `fewest_images`: the smallest (micro-)batch that it can be trained with.
    `steered_by_held_out`: whether `update` gets the mean KL of validation images and not of training images."""

    fewest_images: ClassVar[int] = 1
    steered_by_held_out: ClassVar[bool] = False

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

    def penalty(self, code: Code, carry: Carry, step: Step) -> Float[Array, " b"]:
        """The addition to the distortion of each example, nats."""
        return self.multiplier(carry, step) * code.rate

    def shown(self, key: Key[Array, ""], w: Float[Array, "b d"]) -> Float[Array, "b d"]:
        """The code that the decoder is trained with: w by default."""
        return w

    def emphasis(self, gamma_t: Float[Array, " b"]) -> Float[Array, " b"]:
        """The factor of the diffusion loss at each gamma in training: 1 by default."""
        return jnp.ones_like(gamma_t)

    def update(self, carry: Carry, mean_kl: Float[Array, ""], step: Step) -> Carry:
        """The carry after a step whose mean KL was `mean_kl` nats an image, on training or on validation images."""
        return carry

    def select(self, distortion: float, rate: float) -> float:
        """The validation score of a checkpoint, nats, lower is better: D + R by default."""
        return distortion + rate


@dataclass(frozen=True)
class FixedRate(RateMode):
    """beta R: beta = 1 minimises the bound; the blog's code had beta = 1e4. Checkpoints are chosen by D + beta R."""

    beta: Weight = 1.0

    @property
    def objective(self) -> str:
        return "D + R" if self.beta == 1 else f"D + {self.beta:g} R{', not a bound' if self.beta < 1 else ''}"

    def multiplier(self, carry: Carry, step: Step) -> Float[Array, ""]:
        return jnp.float32(self.beta)

    def select(self, distortion: float, rate: float) -> float:
        return distortion + self.beta * rate


@dataclass(frozen=True)
class WarmupRate(FixedRate):
    """beta R, with beta rising linearly from 0 over the first `warmup_steps` (Bowman et al. 2016)."""

    warmup_steps: int = 1000

    @property
    def objective(self) -> str:
        return f"{super().objective}, R at full weight after {self.warmup_steps} steps"

    def multiplier(self, carry: Carry, step: Step) -> Float[Array, ""]:
        return self.beta * jnp.minimum(1.0, jnp.float32(step) / self.warmup_steps)


@dataclass(frozen=True)
class CyclicalRate(FixedRate):
    """beta R, with beta rising linearly from 0 over the first half of every `cycle_steps`, then held (Fu et al. 2019).

    A training that ends within the first half of a cycle ends below beta.
    """

    cycle_steps: int = 1000

    @property
    def objective(self) -> str:
        return f"{super().objective}, R at full weight in the second half of every {self.cycle_steps} steps"

    def multiplier(self, carry: Carry, step: Step) -> Float[Array, ""]:
        through = jnp.mod(jnp.float32(step), self.cycle_steps) / self.cycle_steps
        return self.beta * jnp.minimum(1.0, 2 * through)


@dataclass(frozen=True)
class FreeBits(RateMode):
    """Σ_j max(KL_j, `nats`), KL_j the batch mean of code dimension j to N(0, 1): no gradient below `nats`.

    Kingma et al. 2016. Returned per example, so that its batch mean is that sum.
    """

    nats: float = 0.5

    @property
    def objective(self) -> str:
        return f"D + sum of max(R_j, {self.nats:g} nats)"

    def multiplier(self, carry: Carry, step: Step) -> Float[Array, ""]:
        return jnp.float32(1)

    def penalty(self, code: Code, carry: Carry, step: Step) -> Float[Array, " b"]:
        kl_per_dim = encoder_kl(code.mu, code.logvar)
        pays = kl_per_dim.mean(axis=0, keepdims=True) > self.nats
        return jnp.where(pays, kl_per_dim, self.nats).sum(axis=1)


@dataclass(frozen=True)
class NoRate(RateMode):
    """No penalty (the blog's "UE"): D alone is minimised, which is no bound. Checkpoints are chosen by D."""

    @property
    def objective(self) -> str:
        return "D alone, not a bound"

    def multiplier(self, carry: Carry, step: Step) -> Float[Array, ""]:
        return jnp.float32(0)

    def select(self, distortion: float, rate: float) -> float:
        return distortion
