"""What `vdm_jax.load` offers of a score model."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.schedules import times_of_gamma
from vdm_jax.diffusion.score_matching.objectives import sigma_of
from vdm_jax.experiments.common.functions import diffusion_functions
from vdm_jax.experiments.score.build import ScoreExperiment
from vdm_jax.models.score import ScoreModel


def score_functions(experiment: ScoreExperiment, params: PyTree) -> dict[str, Callable]:
    """Those of a diffusion model, `score` and `sigmas`."""
    model = experiment.model

    def score(y: ArrayLike, sigma: float) -> Float[Array, "b ..."]:
        """∇ log p_sigma(y), [B, *shape], of images with noise, y = x + sigma eps in the model's pixels.

        The level nearest to `sigma`, in its logarithm, counts; `sigmas` lists them.
        """
        y = jnp.asarray(y, jnp.float32)
        if y.shape[1:] != model.shape:
            raise UserError(f"y has shape {list(y.shape)}; expected [B, {', '.join(map(str, model.shape))}]")
        if not 0 < sigma < np.inf:
            raise UserError(f"sigma={sigma}; expected a number above 0")
        return _score(model, params, y, jnp.float32(2 * np.log(sigma)))

    chain = model.fixed_schedule.num_steps
    sigmas = np.asarray(sigma_of(model.fixed_schedule.gamma(jnp.arange(chain, 0, -1) / chain)))
    return diffusion_functions(experiment, params) | {"score": score, "sigmas": lambda: sigmas.copy()}


@partial(jax.jit, static_argnums=0)
def _score(model: ScoreModel, params: PyTree, y: Float[Array, "b ..."], gamma: Float[Array, ""]):
    t = times_of_gamma(model.fixed_schedule, gamma)
    return model.score(params, jnp.full(len(y), t))(y)
