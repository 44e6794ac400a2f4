"""What `vdm_jax.load` offers of a score model."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.flow import flow_bound
from vdm_jax.diffusion.schedules import interpolated, times_of_gamma
from vdm_jax.diffusion.score_matching.objectives import sigma_of
from vdm_jax.experiments.common.functions import diffusion_functions, to_levels
from vdm_jax.experiments.score.build import ScoreExperiment
from vdm_jax.models.score import ScoreModel


def score_functions(experiment: ScoreExperiment, params: PyTree) -> dict[str, Callable]:
    """Those of a diffusion model, `score`, `sigmas` and `flow_bound`."""
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

    def flow_bound_of(
        key: Key[Array, ""], x: ArrayLike, *, divergence: str = "hutchinson", tolerance: float = 1e-4
    ) -> Float[Array, " b"]:
        """The bound on -log p(x) of the probability flow through the noise levels, [B], nats: the deterministic model's
        counterpart of `bound`. divergence: "hutchinson", one random probe, or "exact". Needs the extra `flow`."""
        smooth = replace(model, noise=interpolated(model.fixed_schedule))
        levels = jnp.asarray(to_levels(x, experiment.data))
        settings = {"divergence": divergence, "tolerance": tolerance}
        return flow_bound(key, levels, smooth.denoise(params), smooth.noise, model.likelihood, **settings)

    chain = model.fixed_schedule.num_steps
    sigmas = np.asarray(sigma_of(model.fixed_schedule.gamma(jnp.arange(chain, 0, -1) / chain)))
    return diffusion_functions(experiment, params) | {
        "score": score,
        "sigmas": lambda: sigmas.copy(),
        "flow_bound": flow_bound_of,
    }


@partial(jax.jit, static_argnums=0)
def _score(model: ScoreModel, params: PyTree, y: Float[Array, "b ..."], gamma: Float[Array, ""]):
    t = times_of_gamma(model.fixed_schedule, gamma)
    return model.score(params, jnp.full(len(y), t))(y)
