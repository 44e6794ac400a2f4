"""From a config of timestep probes to plain objects: the data, the schedule and the exact posterior."""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.data.grid_sources import load_grid
from vdm_jax.data.sprite_posterior import SpritePosterior, make_sprite_posterior
from vdm_jax.data.sprites import SpriteGrid
from vdm_jax.diffusion.samplers import SAMPLERS
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.experiments.build import fixed_table
from vdm_jax.experiments.trained_model import TrainedModel, load_trained
from vdm_jax.probing.heads import MEMBERS, TARGETS
from vdm_jax.probing.nets import NETS

LEAST_NOISE = -20.0  # gamma that stands for no noise at all: a deviation of 5e-5
EXACT = "exact"  # the sampler by posterior draws, and the reader by the exact posterior
READERS = {EXACT: "the classes of the nearest of all images", "net": "a trained network, whose errors are told"}
MODEL = "model-"  # before the name of a sampler: of the trained model


@dataclass(frozen=True)
class ProbeExperiment:
    """What every job of the probes starts from."""

    config: ConfigDict
    grid: SpriteGrid
    schedule: Schedule
    posterior: SpritePosterior
    model: TrainedModel | None = None  # where the samplers are of one


def build_probes(config: ConfigDict) -> ProbeExperiment:
    """Looks at every setting; nothing is compiled yet. Raises `UserError`."""
    check_exact(config.exact, config.diffusion.num_steps)
    check_chains(config.chains, config.diffusion.num_steps)
    grid = load_grid(config.data.source, config.data.name, config.data.dir)
    check_probe(config.probe, grid.side)
    chains = config.chains
    model = load_trained(chains.model, chains.checkpoint, config, grid) if chains.model else None
    return ProbeExperiment(config, grid, fixed_table(config.diffusion), make_sprite_posterior(grid), model)


def check_exact(exact: ConfigDict, num_steps: int) -> None:
    """Raises `UserError` for a number out of range."""
    for name, least in (("num_timesteps", 2), ("batch_size", 2), ("max_queries", 2)):
        if exact[name] < least:
            raise UserError(f"config.exact.{name}={exact[name]}; expected at least {least}")
    if exact.batch_size % 2:
        raise UserError(f"config.exact.batch_size={exact.batch_size}; expected an even number: noise comes in pairs")
    if exact.num_timesteps > num_steps + 1:
        raise UserError(f"config.exact.num_timesteps={exact.num_timesteps}; there are {num_steps + 1}, 0 … {num_steps}")
    if not exact.tolerance > 0:
        raise UserError(f"config.exact.tolerance={exact.tolerance}; expected a number above 0")


def check_chains(chains: ConfigDict, num_steps: int) -> None:
    """Raises `UserError` for a number out of range or a name that is not known."""
    for name, least in (("batch_size", 1), ("num_queries", 2), ("every", 1), ("reader_images", 1), ("reader_steps", 1)):
        if chains[name] < least:
            raise UserError(f"config.chains.{name}={chains[name]}; expected at least {least}")
    if not chains.far > 0:
        raise UserError(f"config.chains.far={chains.far}; expected a number above 0")
    for reader in chosen_readers(chains):
        choose("reader of config.chains.readers", reader, READERS)
    samplers = chosen_samplers(chains)
    for text, chosen in samplers.items():
        if not 1 <= chosen.num_steps <= num_steps:
            raise UserError(f"config.chains.samplers: {text!r} has {chosen.num_steps} steps; expected 1 to {num_steps}")
    of_model = [text for text, chosen in samplers.items() if chosen.trained]
    if of_model and not chains.model:
        raise UserError(f"config.chains.samplers: {of_model[0]!r} needs config.chains.model, a trained DDPM's workdir")
    if chains.model and not of_model:
        told = f"config.chains.model={chains.model}, but no sampler of config.chains.samplers={chains.samplers!r}"
        raise UserError(f"{told} is of the model; add one such as {MODEL}ancestral:100")


class ChosenSampler(NamedTuple):
    """How a chain is run."""

    name: str
    num_steps: int
    trained: bool  # on the eps_hat of the trained model; else on the exact posterior


def chosen_samplers(chains: ConfigDict) -> dict[str, ChosenSampler]:
    """ "exact,ddim:50,model-ddim": each NAME or NAME:STEPS of `chains.samplers` by what was typed; without STEPS
    `num_steps`; `model-` before a name for the trained model's."""
    found = {}
    for text in map(str.strip, chains.samplers.split(",")):
        name, colon, steps = text.partition(":")
        known = (EXACT, *SAMPLERS, *(MODEL + sampler for sampler in SAMPLERS))
        choose("sampler of config.chains.samplers", name, dict.fromkeys(known))
        if colon and not steps.isdecimal():
            raise UserError(f"config.chains.samplers: {text!r}; expected NAME or NAME:STEPS")
        num_steps = int(steps) if colon else chains.num_steps
        found[text] = ChosenSampler(name.removeprefix(MODEL), num_steps, name.startswith(MODEL))
    return found


def chosen_readers(chains: ConfigDict) -> tuple[str, ...]:
    """Of `chains.readers`, in their order."""
    return tuple(dict.fromkeys(map(str.strip, chains.readers.split(","))))


def check_probe(probe: ConfigDict, side: int) -> None:
    """Raises `UserError` for a choice or number that cannot be."""
    choose("config.probe.net", probe.net, dict.fromkeys(NETS))
    choose("config.probe.members", probe.members, dict.fromkeys(MEMBERS))
    choose("config.probe.targets", probe.targets, TARGETS)
    counts = (
        "num_seeds",
        "batch_size",
        "num_updates",
        "updates_per_round",
        "patience",
        "num_templates",
        "num_examples",
        "warm_updates",
    )
    for name in (*counts, "num_validation", "num_test"):
        if probe[name] < 1:
            raise UserError(f"config.probe.{name}={probe[name]}; expected at least 1")
    for name in ("learning_rate", "memory_gib", "shortfall"):
        if not probe[name] > 0:
            raise UserError(f"config.probe.{name}={probe[name]}; expected a number above 0")
    if not 1 <= probe.window <= side:
        raise UserError(f"config.probe.window={probe.window}; expected 1 … {side}, the side of the images")
    if min(probe.hidden, default=0) < 1:
        raise UserError(f"config.probe.hidden={tuple(probe.hidden)}; expected widths of at least 1")


def timesteps(num_timesteps: int, num_steps: int) -> np.ndarray:
    """So many of 0 … T, evenly spaced, both ends included."""
    return np.unique(np.linspace(0, num_steps, num_timesteps).round().astype(int))


def gammas_at(schedule: Schedule, steps: np.ndarray) -> Float[np.ndarray, " m"]:
    """gamma of each timestep; `LEAST_NOISE` where there is none."""
    gammas = np.asarray(schedule.gamma(jnp.asarray(steps) / schedule.num_steps), np.float64)
    return np.maximum(gammas, LEAST_NOISE)
