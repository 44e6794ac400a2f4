"""The train job: the probes of every feature at every timestep as one ensemble."""

import pathlib
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.mesh import make_mesh
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.diffusion.timesteps import distinct_steps
from vdm_jax.experiments.probes.build import ProbeExperiment
from vdm_jax.probing.batching import usual_batching
from vdm_jax.probing.chunks import Results, chunk_size
from vdm_jax.probing.ensemble import Ensemble, Training
from vdm_jax.probing.example_sources import ExampleSource, make_forward_source
from vdm_jax.probing.heads import Head, make_heads, make_members
from vdm_jax.probing.nets import NETS, make_net, standardised
from vdm_jax.probing.population import Population
from vdm_jax.probing.training import summarise_held_out, summarise_probes, train_in_chunks

CHUNKS = "probe"  # folder of the trained probes, by timesteps


def train_probes(experiment: ProbeExperiment, workdir: pathlib.Path) -> str:
    """Trains the probes into `probe/`, with the scores that the job `probe` makes its record of; returns "done"."""
    trained(experiment, workdir)
    return "done"


class Trained(NamedTuple):
    """The probes of all timesteps."""

    steps: Int[np.ndarray, " m"]
    gammas: Float[np.ndarray, " m"]
    ensemble: Ensemble
    results: Results  # scores, parameters and rounds, [M, …]


def trained(experiment: ProbeExperiment, workdir: pathlib.Path) -> Trained:
    """The stored probes; missing ones are trained. A kill loses the chunk in progress; the same command continues."""
    steps, gammas, first, where = distinct_steps(experiment.config.exact.num_timesteps, experiment.schedule)
    config, population = experiment.config.probe, experiment.population
    ensemble, sources = build_ensemble(config, population)
    measure = make_measure(ensemble, population, sources, -(-config.num_test // config.batch_size))
    conditions = {"gamma": np.asarray(gammas[first], np.float32)}
    results = train_ensemble(config, ensemble, measure, steps[first], conditions, workdir / CHUNKS)
    return Trained(steps, gammas, ensemble, jax.tree.map(lambda values: values[where], results))


def forward_sources(population: Population) -> dict[str, ExampleSource]:
    """Noisy examples of each split."""
    return {
        name: make_forward_source(population.take, population.labels, index)
        for name, index in population.splits.items()
    }


def build_ensemble(config: ConfigDict, population: Population) -> tuple[Ensemble, dict[str, ExampleSource]]:
    """The ensemble with the settings of `config.probe`, and the sources of its examples; nothing is compiled yet."""
    sources = forward_sources(population)
    heads = heads_of(population.features, config)
    return make_ensemble(config, population, heads, sources["train"], sources["validation"]), sources


def heads_of(features: Mapping[str, Feature], config: ConfigDict) -> dict[str, Head]:
    """The heads with the settings of `config.probe`: `targets` is a choice for features with values alone."""
    have_values = any(feature.values is not None for feature in features.values())
    return make_heads(features, config.targets if have_values else "classes")


def make_measure(ensemble: Ensemble, population: Population, sources: Mapping[str, ExampleSource], num_batches: int):
    """Returns `measure(params, keys, conditions)`: the curves of each feature.

    They are judged by the exact posterior on test images; where these are no members, on training images, with fresh
    noise, and beside them stand the curves on test images by their labels.
    """
    features, exact = population.features, population.posterior.classes
    score = ensemble.scores(sources["train" if population.held_out else "test"], num_batches, exact)
    score_held_out = ensemble.scores(sources["test"], num_batches)

    def measure(params, keys, conditions):
        results = summarise_probes(features, jax.device_get(score(params, keys, conditions)))
        if population.held_out:
            results |= summarise_held_out(features, jax.device_get(score_held_out(params, keys, conditions)))
        return results

    return measure


def make_ensemble(
    config: ConfigDict,
    population: Population,
    heads: Mapping[str, Head],
    train: ExampleSource,
    validation: ExampleSource,
) -> Ensemble:
    """Probes of the population with the nets and the training of `config`, a section `probe`."""
    members = make_members(heads, config.members, range(config.num_seeds))
    taken = {name: config[name] for name in choose("net", config.net, NETS).takes}
    num_examples = taken.pop("num_examples", 1)
    net = make_net(config.net, population.shape, members.num_outputs, **taken)
    if population.moments is not None:
        net = standardised(net, *population.moments())
    training = Training(
        config.batch_size,
        config.num_updates,
        config.updates_per_round,
        config.learning_rate,
        config.patience,
        config.num_validation,
    )
    index = jnp.asarray(population.splits["train"][: config.num_seeds * num_examples])
    examples, labels = population.take(index), population.labels(index)
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
        min(num_examples, len(index)),
    )


def train_ensemble(
    config: ConfigDict,
    ensemble: Ensemble,
    measure,
    steps: np.ndarray,
    conditions: dict[str, np.ndarray],
    folder: pathlib.Path,
) -> Results:
    """`train_in_chunks` with the settings of `config`, as many timesteps at once as `memory_gib` allows."""
    one = {name: jnp.asarray(values[0]) for name, values in conditions.items()}
    try:
        size = chunk_size(ensemble, one, min(len(steps), config.at_once), config.memory_gib * 2**30)
    except UserError as error:
        raise UserError(f"config.probe.memory_gib={config.memory_gib} is {error}") from error
    warm_updates = config.warm_updates if config.warm_start else None
    settings = {"key": jax.random.key(config.seed), "at_once": size, "warm_updates": warm_updates, "say": say}
    return train_in_chunks(ensemble, measure, steps, conditions, folder, **settings)


say = partial(print, "probe:", flush=True)
