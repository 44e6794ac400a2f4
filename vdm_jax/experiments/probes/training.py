"""Trains the probes of every feature at every timestep as one ensemble, chunk by chunk."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import make_mesh
from vdm_jax.base.progress import bar
from vdm_jax.data.sprite_posterior import sprite_labels
from vdm_jax.data.sprites import SpriteGrid
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.experiments.common.exact import check_folder
from vdm_jax.experiments.probes.build import ProbeExperiment, gammas_at, timesteps
from vdm_jax.launch import store as workdirs
from vdm_jax.probing.batching import usual_batching
from vdm_jax.probing.chunks import Arrays, chunk_size, flat, run_in_chunks, unflat
from vdm_jax.probing.curves import summarise_known, summarise_scores
from vdm_jax.probing.ensemble import Ensemble, Scored, Training, fit, timestep_keys
from vdm_jax.probing.feeds import Feed, make_forward_feed
from vdm_jax.probing.heads import Head, make_heads, make_members
from vdm_jax.probing.nets import make_net

CHUNKS = "probe"  # folder of what is trained, by timesteps
PROBE, BY_LABEL, KNOWN = "probe", "by_label", "known"  # parts of a chunk
MOST_NOISE = 5.0  # gamma above which no training is begun


def train_probes(experiment: ProbeExperiment, workdir: pathlib.Path) -> str:
    """Trains the probes into `probe/`, with the scores that the job `probe` makes its record of; returns "done"."""
    trained(experiment, workdir)
    return "done"


class Trained(NamedTuple):
    """The probes of all timesteps."""

    steps: Int[np.ndarray, " m"]
    gammas: Float[np.ndarray, " m"]
    ensemble: Ensemble
    arrays: Arrays  # scores, parameters and rounds, [M, …] by name


def trained(experiment: ProbeExperiment, workdir: pathlib.Path) -> Trained:
    """What is stored, or else trained. A kill loses the chunk of timesteps in training; the same command goes on."""
    check_folder(workdir, workdirs.plain(experiment.config), experiment.identity)
    workdirs.claim(workdir, experiment.config, experiment.identity)
    steps, gammas, first, where = distinct_steps(experiment.config, experiment.schedule)
    ensemble, test = build_ensemble(experiment)
    config, features = experiment.config.probe, experiment.posterior.features
    score = ensemble.scores(test, -(-config.num_test // config.batch_size), experiment.posterior.classes)

    def measure(params, keys, levels):
        return summarise(features, jax.device_get(score(params, keys, levels)))

    levels = {"gamma": np.asarray(gammas[first], np.float32)}
    arrays = train_ensemble(config, ensemble, measure, steps[first], levels, workdir / CHUNKS)
    return Trained(steps, gammas, ensemble, {name: values[where] for name, values in arrays.items()})


class Steps(NamedTuple):
    """Timesteps of one gamma, as a Dirac schedule has them, train once: `steps[first]`; `first[where]` of each."""

    steps: Int[np.ndarray, " m"]
    gammas: Float[np.ndarray, " m"]
    first: Int[np.ndarray, " n"]
    where: Int[np.ndarray, " m"]


def distinct_steps(config: ConfigDict, schedule: Schedule) -> Steps:
    """Those that the config asks about."""
    steps = timesteps(config.exact.num_timesteps, schedule)
    gammas = gammas_at(schedule, steps)
    _, first, where = np.unique(gammas, return_index=True, return_inverse=True)
    return Steps(steps, gammas, first, where.reshape(-1))


def build_ensemble(experiment: ProbeExperiment) -> tuple[Ensemble, Feed]:
    """The ensemble and the feed of its test, as the config says; nothing is compiled yet."""
    grid = experiment.grid
    feeds = {
        name: make_forward_feed(grid.render, partial(sprite_labels, grid), index)
        for name, index in grid.splits().items()
    }
    heads = make_heads(experiment.posterior.features, experiment.config.probe.targets)
    return make_ensemble(experiment.config.probe, grid, heads, feeds["train"], feeds["validation"]), feeds["test"]


def make_ensemble(
    config: ConfigDict, grid: SpriteGrid, heads: Mapping[str, Head], train: Feed, validation: Feed
) -> Ensemble:
    """Probes of sprites with the nets and the training that `config` states, its section `probe`."""
    members = make_members(heads, config.members, range(config.num_seeds))
    net = make_net(
        config.net,
        (grid.side, grid.side, 1),
        members.num_outputs,
        hidden=tuple(config.hidden),
        num_templates=config.num_templates,
        window=config.window,
    )
    training = Training(
        config.batch_size,
        config.num_updates,
        config.updates_per_round,
        config.learning_rate,
        config.patience,
        config.num_validation,
    )
    index = jnp.asarray(grid.splits()["train"][: config.num_seeds * config.num_examples])
    examples, labels = grid.render(index), sprite_labels(grid, index)
    known = labels if heads.keys() <= labels.keys() else None
    return Ensemble(
        net,
        members,
        train,
        validation,
        training,
        examples,
        make_mesh(),
        usual_batching(config.net),
        known,
        min(config.num_examples, len(index)),
    )


def train_ensemble(
    config: ConfigDict,
    ensemble: Ensemble,
    measure: Callable[..., Arrays],
    steps: np.ndarray,
    levels: dict[str, np.ndarray],
    folder: pathlib.Path,
) -> Arrays:
    """Scores, parameters and rounds of every timestep, [M, …] by name; chunks that are done are taken from `folder`.

    measure(params, keys, levels): what is kept of the scores. levels: [M, …] each, on the host until they are trained.
    """
    key = jax.random.key(config.seed)
    one = {name: jnp.asarray(values[0]) for name, values in levels.items()}
    most = min(len(steps), config.at_once)
    try:
        size = chunk_size(ensemble, one, most, config.memory_gib * 2**30)
    except UserError as error:
        raise UserError(f"config.probe.memory_gib={config.memory_gib} is {error}") from error
    started: list[Any] = []  # once there is something to train

    def run(index: np.ndarray, chunk: np.ndarray) -> Arrays:
        if config.warm_start and not started:
            started.append(warm_start(config, ensemble, key, steps, levels, folder))
        own, keys = {name: jnp.asarray(values[index]) for name, values in levels.items()}, timestep_keys(key, chunk)
        params = jax.tree.map(lambda leaf: jnp.repeat(leaf, len(chunk), axis=0), started[0]) if started else None
        state = fit(ensemble, keys, own, params=params, progress=bar(f"probe {chunk[0]} … {chunk[-1]}"))
        arrays = flat(state.best) | {"rounds": state.rounds, "validation_loss": state.best_loss}
        return arrays | measure(state.best, keys, own)

    return run_in_chunks(run, steps, size, folder, say)


def summarise(features: Mapping[str, Feature], scored: Scored) -> Arrays:
    """Curves of each feature, as "PROBE/FEATURE/CURVE" and so on."""
    arrays: Arrays = {}
    for name, feature in features.items():
        found = {
            PROBE: summarise_scores(feature, scored.judged[name], scored.image),
            BY_LABEL: summarise_scores(feature, scored.by_label[name], scored.image),
            KNOWN: summarise_known(feature, scored.judged[name], scored.image),
        }
        arrays |= in_parts(name, found)
    return arrays


def in_parts(name: str, found: Mapping[str, Mapping[str, np.ndarray]]) -> Arrays:
    """A feature's {part: {curve: values}} as arrays of a chunk."""
    return {f"{part}/{name}/{curve}": values for part, curves in found.items() for curve, values in curves.items()}


def of_part(arrays: Arrays, part: str, name: str) -> Arrays:
    """{curve: values} of one part of a feature, as `in_parts` put them there."""
    start = f"{part}/{name}/"
    return {path.removeprefix(start): values for path, values in arrays.items() if path.startswith(start)}


def warm_start(
    config: ConfigDict,
    ensemble: Ensemble,
    key: Key[Array, ""],
    steps: np.ndarray,
    levels: dict[str, np.ndarray],
    folder: pathlib.Path,
) -> Any:
    """Parameters [1, K, ...] trained at one timestep, `warm_start_index`, for `warm_updates` updates."""
    index = np.array([warm_start_index(levels["gamma"])])
    longer = dataclasses.replace(
        ensemble,
        mesh=make_mesh(1),
        training=dataclasses.replace(ensemble.training, num_updates=config.warm_updates),
    )
    keys = timestep_keys(named_key(key, "warm_start"), steps[index])
    like = jax.eval_shape(longer.init, keys)

    def run(_: np.ndarray, chunk: np.ndarray) -> Arrays:
        say(f"warm start at timestep {chunk[0]}")
        own = {name: jnp.asarray(values[index]) for name, values in levels.items()}
        return flat(fit(longer, keys, own, progress=bar("warm start")).best)

    return unflat(run_in_chunks(run, steps[index], 1, folder / "warm_start"), like)


def warm_start_index(gammas: Float[np.ndarray, " m"]) -> int:
    """The timestep whose SNR is nearest to 1: a probe sees the features there, and is unsure often enough to learn.

    Where nothing is near, as on a Dirac schedule, one with too little noise and never one where nothing can be seen.
    """
    return int(np.where(gammas < MOST_NOISE, np.abs(gammas), np.inf).argmin())


def say(what: str) -> None:
    print(f"probe: {what}", flush=True)
