"""Langevin dynamics: plain, annealed over noise levels, and as the corrector of any other step.

All are steps of the sampling loop, on a grid in which each time is repeated; `method_of` names them.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import fold_in, named_key, normal
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.samplers import SAMPLERS, StepInputs
from vdm_jax.diffusion.score_matching.objectives import Score
from vdm_jax.diffusion.score_matching.sde import SOLVERS

LANGEVIN = "langevin"
STEPS, RATIO = 5, 0.2  # of NCSN the ratio is 2e-5/0.01² = 0.2, with 100 steps


def langevin_step(
    key: Key[Array, "*k"],
    x: Float[Array, "b ..."],
    score: Float[Array, "b ..."],
    step_size: float | Float[Array, ""],
) -> Float[Array, "b ..."]:
    """x + ½ step_size score + √step_size n. On N(0, 1) its stationary variance is 1/(1 - step_size/4)."""
    return x + 0.5 * step_size * score + jnp.sqrt(step_size) * normal(key, x.shape)


def langevin(
    key: Key[Array, ""],
    score: Score,
    x: Float[Array, "b ..."],
    *,
    num_steps: int,
    step_size: float | Float[Array, ""],
    num_kept: int = 1,
) -> Float[Array, "k b ..."]:
    """`num_steps` steps from x; returns x after each of `num_kept` equal parts of them, [K, B, ...]."""
    if num_steps % num_kept:
        raise UserError(f"num_steps={num_steps} Langevin steps do not divide into {num_kept} equal parts")
    key, length = named_key(key, LANGEVIN), num_steps // num_kept

    def part(x, first):
        def one(i, x):
            return langevin_step(fold_in(key, first + i), x, score(x), step_size)

        x = jax.lax.fori_loop(0, length, one, x)
        return x, x

    return jax.lax.scan(part, x, jnp.arange(num_kept) * length)[1]


class LangevinSampler(NamedTuple):
    """A step on a grid in which each time is repeated: at equal times a Langevin step, else one of the predictor.

    Attributes:
        predictor: "" for annealed Langevin dynamics, where y = z_t/alpha_t is carried from level to level, or one of
            `PREDICTORS`: a predictor-corrector method (Song et al. 2021).
        steps: Langevin steps at each level.
        ratio: the step size is ratio sigma² in y, ratio sigma_t² in z_t: NCSN's epsilon sigma_i²/sigma_L² with
            ratio = epsilon/sigma_L².
    """

    predictor: str = ""
    steps: int = STEPS
    ratio: float = RATIO

    @property
    def repeats(self) -> int:
        """How often each time but the last occurs in the grid: the evaluations of the network at a level."""
        return self.steps + (1 if self.predictor else 0)

    def __call__(self, key: Key[Array, "*k"], step: StepInputs) -> Float[Array, "b ..."]:
        """z_s. Into no noise it is x_hat, as for every sampler."""
        alpha, sigma = alpha_sigma(step.gamma_t)
        drift = 0.5 * self.ratio * (alpha * step.x_hat - step.z_t)  # ½ ratio sigma_t² score, without a division
        noise = jnp.sqrt(self.ratio) * sigma * normal(named_key(key, LANGEVIN), step.z_t.shape)
        corrected = step.z_t + drift + noise
        if self.predictor:
            moved = PREDICTORS[self.predictor](key, step)
            return jnp.where(step.gamma_s < step.gamma_t, moved, corrected)
        carried = alpha_sigma(step.gamma_s)[0] / alpha * corrected
        return jnp.where(jnp.isneginf(step.gamma_s), step.x_hat, carried)


METHODS = SAMPLERS | SOLVERS
MULTISTEP = "dpmpp_2m"  # extrapolates from x_hat of the level before; after a corrector it would be ddim
PREDICTORS: dict[str, Callable[[Key[Array, "*k"], StepInputs], Float[Array, "b ..."]]] = {
    name: method for name, method in METHODS.items() if name != MULTISTEP
}


def method_of(name: str, what: str = "sampler") -> str | Callable:
    """What `samplers.sample` takes as its method, of a name.

    NAME is one of `SAMPLERS` or `SOLVERS`; "langevin[:STEPS[:RATIO]]": annealed Langevin dynamics;
    "NAME+langevin[:STEPS[:RATIO]]": NAME, one of `PREDICTORS`, with so many Langevin steps before it. Raises
    `UserError`.
    """
    own, *numbers = name.split(":")
    predictor, plus, corrector = own.rpartition("+")
    if corrector != LANGEVIN:
        known = METHODS | {LANGEVIN: None, f"ancestral+{LANGEVIN}": None}
        choose(what, name, known)
        return name if name in SAMPLERS else SOLVERS[name]
    if predictor == MULTISTEP:
        why = f"{MULTISTEP} reads the level before, and a corrector stays at one level"
        raise UserError(f"{what}={name!r}: {why}; expected another predictor, such as ddim+{LANGEVIN}")
    if plus:
        choose(f"{what}={name!r}: predictor", predictor, PREDICTORS)
    try:
        steps, ratio = int(numbers[0]) if numbers else STEPS, float(numbers[1]) if len(numbers) > 1 else RATIO
        if len(numbers) > 2 or steps < 1 or not 0 < ratio < math.inf:
            raise ValueError
    except ValueError as error:
        form = "langevin:STEPS:RATIO, with at least 1 step and a ratio above 0"
        raise UserError(f"{what}={name!r}; expected {form}, such as langevin:{STEPS}:{RATIO}") from error
    return LangevinSampler(predictor, steps, ratio)
