"""The samplers and readers that a config of probes names, and the reverse process of each sampler."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.tree_util import Partial
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.diffusion.posterior import Posterior
from vdm_jax.diffusion.samplers import SAMPLERS
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.diffusion.timesteps import LEAST_NOISE
from vdm_jax.experiments.common.trained_model import TrainedModel
from vdm_jax.probing.chains.process import Grid, ReverseProcess, exact_process, model_process, x_process

EXACT = "exact"  # the sampler by posterior draws, and the reader of the nearest member
SPRITE, NET, LATENT_NET = "sprite", "net", "latent_net"
READERS = {
    EXACT: "the nearest of all images; where latents are random, a draw from the exact posterior",
    SPRITE: "of the decoded image the nearest sprite",
    NET: "a trained network, in a space of the decoded image",
    LATENT_NET: "a network trained in the space",
}
IN_A_SPACE = (SPRITE, LATENT_NET)  # readers that pixels do not have
MODEL = "model-"  # prefix of a sampler's name: with the trained model


class ChosenSampler(NamedTuple):
    """A sampler and its number of steps."""

    name: str
    num_steps: int
    trained: bool  # with the trained model; else with the exact posterior


def chosen_samplers(settings: ConfigDict) -> dict[str, ChosenSampler]:
    """The samplers of a section by their text: "exact,ddim:50,model-ddim" names three.

    Each is NAME or NAME:STEPS; without STEPS it has the section's `num_steps`. The prefix `model-` stands for the
    trained model. {} for an empty setting. Raises `UserError`.
    """
    found = {}
    for text in filter(None, map(str.strip, settings.samplers.split(","))):
        name, colon, steps = text.partition(":")
        known = (EXACT, *SAMPLERS, *(MODEL + sampler for sampler in SAMPLERS))
        choose("sampler", name, dict.fromkeys(known))
        if colon and not steps.isdecimal():
            raise UserError(f"sampler {text!r}; expected NAME or NAME:STEPS")
        num_steps = int(steps) if colon else settings.num_steps
        found[text] = ChosenSampler(name.removeprefix(MODEL), num_steps, name.startswith(MODEL))
    return found


def needs_model(config: ConfigDict) -> bool:
    """Whether a sampler of the chains, or of the probes of chains, is of the trained model."""
    sections = (config.chains, config.chain_probes)
    return any(chosen.trained for section in sections for chosen in chosen_samplers(section).values())


def chosen_readers(chains: ConfigDict) -> tuple[str, ...]:
    """The readers of `chains.readers` in their order."""
    return tuple(dict.fromkeys(map(str.strip, chains.readers.split(","))))


def make_process(
    chosen: ChosenSampler, posterior: Posterior, model: TrainedModel | None, schedule: Schedule, grid: Grid
) -> ReverseProcess:
    """Posterior draws for "exact"; else the sampler of that name.

    The sampler uses the trained model, x_hat clipped to the range of x where there is one, or the optimal denoiser
    E[x | z_t].
    """
    if chosen.trained:
        return model_process(model.denoise, schedule, grid, chosen.name, model.x_range)

    def draw(draw, key, z, gamma):
        return draw(key, z, jnp.maximum(gamma, LEAST_NOISE))

    def mean(mean, _, z, t):
        return mean(z, jnp.maximum(schedule.gamma(t), LEAST_NOISE))

    if chosen.name == EXACT:
        return exact_process(Partial(draw, posterior.draw), schedule, grid)
    return x_process(Partial(mean, posterior.mean), schedule, grid, chosen.name)


def model_of(chosen: ChosenSampler, model: TrainedModel | None) -> str:
    """The model of a chain: "exact", or the fingerprint of the trained weights."""
    return model.fingerprint if chosen.trained else EXACT


def about_model(model: TrainedModel | None) -> dict[str, Any] | None:
    """The trained model for the records; None where there is none."""
    return None if model is None else model.about
