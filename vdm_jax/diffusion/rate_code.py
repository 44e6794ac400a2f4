"""Rate modes that act on the codes of a batch together, on the code the decoder sees, or on the weight of gammas."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.rate import Carry, Code, FixedRate, Step, Weight


def mmd_to_standard_normal(w: Float[Array, "b d"]) -> Float[Array, " b"]:
    """Contributions to the squared maximum mean discrepancy of q(w) and N(0, I); their mean is unbiased, B >= 2.

    Kernel exp(-||w - w'||²/(2h)), h = d: half the mean square distance of two draws of N(0, I) (Gretton et al. 2012).
    Expectations over N(0, I) are exact: E k(w, ·) = (h/(h+1))^(d/2) exp(-||w||²/(2(h+1))), and (h/(h+2))^(d/2) over
    both arguments. Between 0 and 2 in the mean.
    """
    batch, d = w.shape
    if batch < 2:
        raise UserError(f"rate.mode='mmd' compares codes, and a micro-batch has {batch}; expected at least 2")
    h = float(d)
    squares = jnp.sum(w**2, axis=1)
    distances = jnp.maximum(squares[:, None] + squares[None, :] - 2 * w @ w.T, 0.0)
    others = jnp.exp(-distances / (2 * h)) * (1 - jnp.eye(batch))
    to_prior = (h / (h + 1)) ** (d / 2) * jnp.exp(-squares / (2 * (h + 1)))
    return others.sum(axis=1) / (batch - 1) - 2 * to_prior + (h / (h + 2)) ** (d / 2)


@dataclass(frozen=True)
class MmdRate(FixedRate):
    """beta R + `mmd_weight` MMD²(q(w), N(0, I)): InfoVAE (Zhao et al. 2019), beta = 1 - alpha there.

    MMD² compares the codes of a (micro-)batch *together* with the prior. With beta = 0 the information of a code about
    its own image is free.
    """

    fewest_images: ClassVar[int] = 2
    beta: Weight = 0.0
    mmd_weight: float = 1000.0

    @property
    def objective(self) -> str:
        rate = f" + {self.beta:g} R" if self.beta else ""
        return f"D{rate} + {self.mmd_weight:g} MMD²(q(w), N(0, I)), not a bound"

    def penalty(self, code: Code, carry: Carry, step: Step) -> Float[Array, " b"]:
        return super().penalty(code, carry, step) + self.mmd_weight * mmd_to_standard_normal(code.w)


@dataclass(frozen=True)
class CodeDropout(FixedRate):
    """beta R, and w = 0 is shown to the decoder in a share `dropout` of the examples: w-dropout.

    The decoder learns to work with w and without it, as in classifier-free guidance (Ho & Salimans 2022). D in training
    contains the examples without w; the evaluated bound always uses w.
    """

    dropout: float = 0.2

    @property
    def objective(self) -> str:
        return f"{super().objective}, w hidden from the decoder in {self.dropout:.0%} of the examples"

    def shown(self, key: Key[Array, ""], w: Float[Array, "b d"]) -> Float[Array, "b d"]:
        kept = jax.random.bernoulli(key, 1 - self.dropout, (w.shape[0], 1))
        return jnp.where(kept, w, 0.0)


@dataclass(frozen=True)
class HighNoiseRate(FixedRate):
    """beta R, with the diffusion loss `weight` times as heavy where log SNR < `logsnr`.

    With w the decoder saves ½[mse_eps - mse_eps|w] nats a unit of log SNR. Where this counts `weight` times, a nat of
    code pays off as long as it saves more than 1/weight nats. Information that z_t shows at low noise stays with the
    decoder. (The weighting of the noise levels selects what a code learns: Abstreiter et al. 2021.)
    """

    weight: float = 3.0
    logsnr: float = 0.0

    @property
    def objective(self) -> str:
        return f"{super().objective}, diffusion loss times {self.weight:g} where log SNR < {self.logsnr:g}"

    def emphasis(self, gamma_t: Float[Array, " b"]) -> Float[Array, " b"]:
        return jnp.where(-gamma_t < self.logsnr, self.weight, 1.0)
