"""Diffusion models of some timesteps alone, trained as the whole model is: denoiser and generator of `split`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.keys import fold_in, named_key
from vdm_jax.base.mesh import make_mesh
from vdm_jax.diffusion.objective import denoising_losses
from vdm_jax.diffusion.prediction import Denoise
from vdm_jax.diffusion.samplers import sample
from vdm_jax.diffusion.times import stratified_times
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import initial_params
from vdm_jax.experiments.common.train import run_from_checkpoint
from vdm_jax.experiments.common.training import ModelTraining, make_training
from vdm_jax.launch.settings import plain
from vdm_jax.models.diffusion import DiffusionModel
from vdm_jax.train.loop import Result
from vdm_jax.train.writers import open_log

X = Float[Array, "b ..."]


class ChainPart(NamedTuple):
    """A model of the timesteps low + 1 … high, trained by `num_updates` updates."""

    name: str
    low: int
    high: int
    num_updates: int


def parts_of(boundary: int, num_steps: int, num_updates: int, denoiser_share: float) -> list[ChainPart]:
    """The denoiser of 1 … boundary and the generator of boundary + 1 … T, which share the updates of one model.

    denoiser_share: of the updates; 0: in proportion to the timesteps, so that each timestep is trained as often as in
    the one model.
    """
    share = denoiser_share or boundary / num_steps
    of_denoiser = min(max(1, round(share * num_updates)), num_updates - 1)
    return [
        ChainPart(f"denoiser-{boundary}", 0, boundary, of_denoiser),
        ChainPart(f"generator-{boundary}", boundary, num_steps, num_updates - of_denoiser),
    ]


def steps_within(key: Key[Array, ""], batch_size: int, bounds: Float[Array, " two"]) -> Float[Array, " b"]:
    """Timesteps i, uniform on low + 1 … high and stratified over the batch; bounds: (low, high). -> [B]."""
    low, high = bounds
    return jnp.minimum(low + 1 + jnp.floor(stratified_times(key, batch_size) * (high - low)), high)


def loss_within(
    model: DiffusionModel,
    params: PyTree,
    carry: PyTree,
    batch: dict[str, Array],
    key: Key[Array, ""],
    step: Any,
    dropout: bool = True,
) -> tuple[Float[Array, " b"], dict[str, Array]]:
    """`DiffusionModel.loss_fn` at the timesteps of carry["bounds"] alone; at all of them it is the same."""
    x = model.to_x(batch["levels"])
    t = steps_within(named_key(key, "times"), len(x), carry["bounds"]) / model.noise.num_steps
    denoise = model.denoise(params, key=named_key(key, "unet_dropout") if dropout else None)
    weighting = model.objective.weighting
    return denoising_losses(named_key(key, "noise"), x, denoise, model.noise, t, weighting=weighting), {}


def train_part(experiment: Experiment, part: ChainPart, folder: Path) -> Result:
    """Trains in `folder`, or goes on there: one seed gives every part the same initial weights and batches. The warm-up
    and the decay of the learning rate are as long a part of the training as in the one model."""
    config = experiment.config.copy_and_resolve_references()
    whole = config.train.num_steps
    config.train.warmup_steps = round(config.train.warmup_steps * part.num_updates / whole)
    config.train.num_steps = part.num_updates
    model, mesh = experiment.model, make_mesh()
    training = make_training(experiment, mesh.size)
    bounds = {"bounds": jnp.array([part.low, part.high], jnp.float32)}
    levels = experiment.data.validation.first(config.train.eval_images).levels
    key = named_key(jax.random.key(config.train.seed), "validation")
    score = jax.jit(partial(loss_within, model, dropout=False))

    def validate(params: PyTree) -> dict[str, float]:
        loss = float(score(params, bounds, {"levels": levels}, key, 0)[0].mean())
        return {"loss": loss, "score": loss}

    training: ModelTraining = training._replace(
        loss_fn=partial(loss_within, model), carry=bounds, update_carry=None, validate=validate
    )
    params = initial_params(model, config.train.seed)
    with open_log("jsonl", folder, plain(config)) as log:
        return run_from_checkpoint(training, params, config.train, folder, mesh, log)


class Joined(NamedTuple):
    """Compiled functions of one table.

    Attributes:
        losses: (key, denoise, x, bounds) -> ||eps - eps_hat||²/D of each image at a timestep within the bounds, [B].
        chain: (key, above, below, z_1) -> (levels, levels). `above` denoises to the boundary. The first are of the
            chain that `below` ends, the second of what `below` takes z at the boundary for in one step.
    """

    losses: Callable[[Key[Array, ""], Denoise, X, Float[Array, " two"]], Float[Array, " b"]]
    chain: Callable[[Key[Array, ""], Denoise, Denoise, X], tuple[Array, Array]]


def joined(model: DiffusionModel, times: Float[Array, " n"], boundary: int, sampler: str) -> Joined:
    """times: of the chain, descending from 1 to 0. boundary: index among them."""
    schedule, x_range = model.noise, model.x_range
    settings = {"method": sampler, "x_range": x_range}

    @jax.jit
    def losses(key, denoise, x, bounds):
        t = steps_within(named_key(key, "times"), len(x), bounds) / schedule.num_steps
        return denoising_losses(named_key(key, "noise"), x, denoise, schedule, t)

    @jax.jit
    def chain(key, above, below, z):
        z = sample(named_key(key, "above"), above, schedule, z, times[: boundary + 1], **settings)
        x_hat = jnp.clip(below(z, jnp.full(len(z), times[boundary])).x, *x_range)
        z_0 = sample(named_key(key, "below"), below, schedule, z, times[boundary:], **settings)
        gamma_0 = schedule.gamma(times[-1])
        return model.likelihood.decode(z_0, gamma_0), model.likelihood.decode(x_hat, gamma_0)

    return Joined(losses, chain)


def denoisers(model: DiffusionModel) -> Callable[[PyTree], Denoise]:
    """Returns `params -> Denoise`, all of one function, so that what takes them is compiled once."""

    def denoise(params, z, t):
        return model.denoise(params)(z, t)

    return lambda params: Partial(denoise, params)


def mean_loss(
    losses: Callable, key: Key[Array, ""], denoise: Denoise, x: X, bounds: tuple[int, int], passes: int
) -> float:
    """The mean of `Joined.losses` over images and passes."""
    within = jnp.array(bounds, jnp.float32)
    return float(np.mean([np.asarray(losses(fold_in(key, i), denoise, x, within)) for i in range(passes)]))
