"""From a config of timestep probes to plain objects: the data, the schedule and the exact posterior."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.data.sprite_data import make_sprite_data
from vdm_jax.data.sprite_posterior import SpritePosterior, make_sprite_posterior
from vdm_jax.data.sprites import SpriteGrid
from vdm_jax.diffusion.samplers import SAMPLERS
from vdm_jax.diffusion.schedules import Schedule, ends_of_rest, even_timesteps
from vdm_jax.experiments.common.build import fixed_table, load
from vdm_jax.experiments.common.checks import SEED, check_numbers
from vdm_jax.experiments.common.trained_model import TrainedModel, load_trained
from vdm_jax.probing.heads import MEMBERS, TARGETS
from vdm_jax.probing.nets import NETS

LEAST_NOISE = -20.0  # gamma that stands for no noise at all: a deviation of 5e-5
EXACT = "exact"  # the sampler by posterior draws, and the reader by the exact posterior
READERS = {EXACT: "the classes of the nearest of all images", "net": "a trained network, whose errors are told"}
MODEL = "model-"  # before the name of a sampler: of the trained model

NUMBERS = (
    ("1 to 1,000,000", lambda value: 1 <= value <= 1_000_000, "diffusion.num_steps"),
    (
        "at least 2",
        lambda value: value >= 2,
        "exact.num_timesteps exact.batch_size exact.max_queries chains.num_queries",
    ),
    (
        "at least 1",
        lambda value: value >= 1,
        "chains.batch_size chains.every chains.reader_images chains.reader_steps probe.num_seeds probe.batch_size "
        "probe.num_updates probe.updates_per_round probe.patience probe.num_templates probe.num_examples "
        "probe.num_validation probe.num_test probe.at_once probe.warm_updates chain_probes.every "
        "chain_probes.batch_size chain_probes.num_chains chain_probes.told_updates",
    ),
    (
        "a number above 0",
        lambda value: 0 < value < math.inf,
        "exact.tolerance chains.far probe.learning_rate probe.memory_gib probe.shortfall "
        "chain_probes.told_learning_rate",
    ),
    (*SEED, "exact.seed chains.seed probe.seed chain_probes.seed"),
)


@dataclass(frozen=True)
class ProbeExperiment:
    """What every job of the probes starts from."""

    config: ConfigDict
    grid: SpriteGrid
    schedule: Schedule
    posterior: SpritePosterior
    model: TrainedModel | None = None  # where the samplers are of one

    @property
    def identity(self) -> str:
        """Of the data, by name and content: the images, and the values of their factors, which are learned."""
        data, grid = make_sprite_data(self.grid), self.grid
        values = repr((grid.shapes, grid.scales, grid.orientations)).encode()
        return f"{data.name} {data.fingerprint} {hashlib.sha256(values).hexdigest()[:6]}"


def build_probes(config: ConfigDict) -> ProbeExperiment:
    """Looks at every setting; nothing is compiled yet. Raises `UserError`."""
    check_exact(config)
    check_chains(config.chains, config.diffusion.num_steps)
    grid = load(config.data).grid
    check_probe(config.probe, grid.side)
    check_chain_probes(config)
    chains = config.chains
    model = load_trained(chains.model, chains.checkpoint, config, grid) if chains.model else None
    return ProbeExperiment(config, grid, fixed_table(config.diffusion), make_sprite_posterior(grid), model)


def check_exact(config: ConfigDict) -> None:
    """Raises `UserError` for a number out of range, of any section there is."""
    check_numbers(config, NUMBERS)
    exact, num_steps = config.exact, config.diffusion.num_steps
    if exact.batch_size % 2:
        raise UserError(f"config.exact.batch_size={exact.batch_size}; expected an even number: noise comes in pairs")
    if exact.num_timesteps > num_steps + 1:
        raise UserError(f"config.exact.num_timesteps={exact.num_timesteps}; there are {num_steps + 1}, 0 … {num_steps}")


def check_chains(chains: ConfigDict, num_steps: int) -> None:
    """Raises `UserError` for a name that is not known, or too many steps."""
    for reader in chosen_readers(chains):
        choose("reader of config.chains.readers", reader, READERS)
    if not check_chosen("chains", chains, num_steps):
        raise UserError("config.chains.samplers is empty; expected NAME or NAME:STEPS, such as exact or ddim:50")


def check_model(config: ConfigDict) -> None:
    """Raises `UserError` where samplers are of a model that is not named, or none is of one that is."""
    samplers = chosen_samplers(config.chains) | chosen_samplers(config.chain_probes)
    of_model = [text for text, chosen in samplers.items() if chosen.trained]
    if of_model and not config.chains.model:
        raise UserError(f"sampler {of_model[0]!r} needs config.chains.model, the workdir of a trained DDPM")
    if config.chains.model and not of_model:
        told = f"config.chains.model={config.chains.model}, but no sampler is of the model"
        raise UserError(f"{told}; add one such as --config.chains.samplers=exact,{MODEL}ancestral:100")


def check_chain_probes(config: ConfigDict) -> None:
    """Raises `UserError` for a number out of range or a name that is not known."""
    own, num_steps = config.chain_probes, config.diffusion.num_steps
    check_chosen("chain_probes", own, num_steps)
    if own.samplers and not (own.backward or own.real_or_generated):
        told = "config.chain_probes.backward and config.chain_probes.real_or_generated are both False"
        raise UserError(f"{told}; expected one of them to be True, or no config.chain_probes.samplers")
    for name in ("num_validation", "num_test"):
        if own.samplers and own[name] < config.probe.batch_size:
            told = f"config.chain_probes.{name}={own[name]}"
            raise UserError(f"{told}; expected at least config.probe.batch_size={config.probe.batch_size}")
    choose("config.chain_probes.told_net", own.told_net, dict.fromkeys(NETS))
    if min(own.told_hidden, default=0) < 1:
        raise UserError(f"config.chain_probes.told_hidden={tuple(own.told_hidden)}; expected widths of at least 1")
    check_model(config)


def check_chosen(section: str, settings: ConfigDict, num_steps: int) -> int:
    """How many samplers there are. Raises `UserError` for one that is not known, or of too many or no steps."""
    samplers = chosen_samplers(settings)
    for text, chosen in samplers.items():
        if not 1 <= chosen.num_steps <= num_steps:
            told = f"config.{section}.samplers: {text!r} has {chosen.num_steps} steps"
            raise UserError(f"{told}; expected 1 to {num_steps}")
    return len(samplers)


class ChosenSampler(NamedTuple):
    """How a chain is run."""

    name: str
    num_steps: int
    trained: bool  # on the eps_hat of the trained model; else on the exact posterior


def chosen_samplers(settings: ConfigDict) -> dict[str, ChosenSampler]:
    """ "exact,ddim:50,model-ddim": each NAME or NAME:STEPS of a section's `samplers` by what was typed; without STEPS
    its `num_steps`; `model-` before a name for the trained model's. None where nothing was typed."""
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


def chosen_readers(chains: ConfigDict) -> tuple[str, ...]:
    """Of `chains.readers`, in their order."""
    return tuple(dict.fromkeys(map(str.strip, chains.readers.split(","))))


def check_probe(probe: ConfigDict, side: int) -> None:
    """Raises `UserError` for a choice that cannot be."""
    choose("config.probe.net", probe.net, dict.fromkeys(NETS))
    choose("config.probe.members", probe.members, dict.fromkeys(MEMBERS))
    choose("config.probe.targets", probe.targets, TARGETS)
    if not 1 <= probe.window <= side:
        raise UserError(f"config.probe.window={probe.window}; expected 1 … {side}, the side of the images")
    if min(probe.hidden, default=0) < 1:
        raise UserError(f"config.probe.hidden={tuple(probe.hidden)}; expected widths of at least 1")


def timesteps(num_timesteps: int, schedule: Schedule) -> Int[np.ndarray, " m"]:
    """So many of 0 … T, or as many as add noise, evenly spaced; always both ends, and those of every stretch in which
    no noise is added, as before and after that of a Dirac schedule."""
    ends = np.union1d(ends_of_rest(schedule), [0, schedule.num_steps])
    num_even = num_timesteps - len(ends) + 2
    return np.union1d(ends, even_timesteps(schedule, max(2, num_even))).astype(int)


def every_nth(steps: Sequence[int] | np.ndarray, n: int) -> Int[np.ndarray, " m"]:
    """Every n-th of them, and the last."""
    return np.unique([*steps[::n], steps[-1]])


def gammas_at(schedule: Schedule, steps: np.ndarray) -> Float[np.ndarray, " m"]:
    """gamma of each timestep; `LEAST_NOISE` where there is none."""
    gammas = np.asarray(schedule.gamma(jnp.asarray(steps) / schedule.num_steps), np.float64)
    return np.maximum(gammas, LEAST_NOISE)
