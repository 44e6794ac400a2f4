"""The chain_probes job: probes of the features trained on z_t of chains, and probes of real against generated."""

import pathlib
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.progress import bar
from vdm_jax.base.provenance import provenance
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.diffusion.timesteps import every_nth, gammas_at, timesteps
from vdm_jax.experiments.probes.build import ProbeExperiment
from vdm_jax.experiments.probes.far import far_from
from vdm_jax.experiments.probes.probe import describe_probe
from vdm_jax.experiments.probes.readers import readers_of
from vdm_jax.experiments.probes.samplers import (
    ChosenSampler,
    about_model,
    chosen_samplers,
    make_process,
    model_of,
)
from vdm_jax.experiments.probes.training import heads_of, make_ensemble, train_ensemble
from vdm_jax.launch.settings import plain
from vdm_jax.probing.chains.distances import far_from_data
from vdm_jax.probing.chains.pools import Pool, make_pool
from vdm_jax.probing.chains.posterior import gaps_of_rows, posterior_scores
from vdm_jax.probing.chains.process import Readers, make_grid
from vdm_jax.probing.chains.real_or_generated import (
    FEATURES,
    GENERATED,
    both_kinds,
    describe_by_numbers,
    describe_separation,
    separate_by_numbers,
)
from vdm_jax.probing.chains.training import RowSplit, make_measure, split_rows
from vdm_jax.probing.chunks import Results
from vdm_jax.probing.curves import compare, summarise_scores, with_prior_of
from vdm_jax.probing.ensemble import Ensemble
from vdm_jax.probing.example_sources import make_pool_source
from vdm_jax.probing.nets import NETS
from vdm_jax.probing.population import Population
from vdm_jax.probing.training import BY_ROW, PROBE
from vdm_jax.probing.windows import noise_of, share_known, windows_of

FOLDER = "chain_probes"  # of chains and what is trained on them, by sampler
FOLDER_NAMES = {"matched_statistics": "evidence"}  # the former name, so that stored probes are found
ROUNDS = 8  # at most, of probes of real against generated: they start from nothing and need time


def chain_probes(experiment: ProbeExperiment, workdir: pathlib.Path) -> str:
    """Writes `chain_probes.json`; returns "done". A kill loses a batch of chains, or a chunk of timesteps in training.

    {"timesteps", "abar", "num_chains": {"train", "validation", "test"}, "samplers": {as typed: {"num_steps",
    "features": {name: {"probe": curves, "posterior": curves of the exact posterior of noised data on the same z_t,
    "posterior_minus_probe", "windows", "posterior_windows", "entropy_nats", "plateau"}}, "real_or_generated": as of
    `separate_generated`, "far_from_data"}}, "model", "net", "settings", "provenance"}, with a sampler's "features" and
    "real_or_generated" where the config requests them; in a space also "space", "reader_errors" and of each sampler
    "far", the distance beyond which an end is far from the data. Entropy and plateau, the share of the most frequent
    class, are of what the sampler generates.
    """
    config, settings = experiment.config.chain_probes, plain(experiment.config)
    samplers = chosen_samplers(config)
    if not samplers:
        say("config.chain_probes.samplers is empty; set it to exact or another sampler.")
        return "done"
    steps = timesteps(experiment.config.exact.num_timesteps, experiment.schedule)
    queried = every_nth(steps, config.every)
    readers, about_readers = readers_of(
        experiment.config.chains, experiment.data, experiment.population, experiment.space
    )
    rows = split_rows(config.num_chains, config.num_validation, config.num_test)
    found = {}
    for text, chosen in samplers.items():
        model = model_of(chosen, experiment.model)
        folder = workdir / FOLDER / f"{chosen.name}-{chosen.num_steps}-{model}"
        found[text] = measure_sampler(experiment, chosen, queried, rows, folder, readers)
        say(f"{text}: done")
    noise = noise_of(queried, gammas_at(experiment.schedule, queried))
    record = {"timesteps": queried.tolist(), "abar": noise.abar.tolist(), "samplers": found}
    record |= {"num_chains": {name: len(part) for name, part in rows._asdict().items()}}
    record |= {"model": about_model(experiment.model), "net": None} | about_readers | experiment.about_space
    about = {"settings": settings, "provenance": provenance() | {"config": experiment.config.name, "seed": config.seed}}
    write_json(workdir / "chain_probes.json", record | about)
    return "done"


def measure_sampler(
    experiment: ProbeExperiment,
    chosen: ChosenSampler,
    queried: np.ndarray,
    rows: RowSplit,
    folder: pathlib.Path,
    readers: Readers,
) -> dict[str, Any]:
    """The experiments that the config requests, on the chains of one sampler, which are made once."""
    config, population, schedule = experiment.config, experiment.population, experiment.schedule
    own, gammas = config.chain_probes, np.asarray(gammas_at(schedule, queried), np.float32)
    grid = make_grid(queried, chosen.num_steps, schedule)
    pool = make_pool(
        population,
        readers,
        make_process(chosen, population.posterior, experiment.model, schedule, grid),
        schedule,
        grid,
        sum(map(len, rows)),
        own.batch_size,
        folder / "chains",
        key=jax.random.key(own.seed),
        progress=bar("chains"),
    )
    far = far_from(config.chains.far, population, experiment.space)
    found = {"num_steps": pool.num_steps, "far_from_data": far_from_data(pool.distance, far)}
    found |= {} if experiment.space is None else {"far": far}
    if own.backward:
        found["features"] = measure_features(config, population, pool, queried, gammas, rows, folder / "features")
    if own.real_or_generated:
        where = folder / "real_or_generated"
        found["real_or_generated"] = separate_generated(config, population, pool, queried, gammas, rows, where)
    return found


def train_on_rows(
    config: ConfigDict,
    population: Population,
    features: dict[str, Feature],
    labels: dict[str, np.ndarray],
    conditions: dict[str, np.ndarray],
    queried: np.ndarray,
    rows: RowSplit,
    folder: pathlib.Path,
) -> tuple[Ensemble, Results]:
    """(ensemble, results): probes trained on rows of `conditions["z"]`, [M, N, …], with known labels."""
    sources = (make_pool_source(labels, part) for part in rows[:2])
    ensemble = make_ensemble(config, population, heads_of(features, config), *sources)
    measure = make_measure(ensemble, features, labels, rows.test)
    return ensemble, train_ensemble(config, ensemble, measure, queried, conditions, folder)


def measure_features(
    config: ConfigDict,
    population: Population,
    pool: Pool,
    queried: np.ndarray,
    gammas: Float[np.ndarray, " m"],
    rows: RowSplit,
    folder: pathlib.Path,
) -> dict[str, Any]:
    """Experiment 2: each feature's probes and the exact posterior of noised data on the same z_t of the chains."""
    features = {
        name: with_prior_of(feature, pool.labels[name][rows.train]) for name, feature in population.features.items()
    }
    conditions = {"gamma": gammas, "z": pool.z}
    ensemble, results = train_on_rows(
        config.probe, population, features, pool.labels, conditions, queried, rows, folder
    )
    tested, size = ensemble.row_batches(rows.test).reshape(-1), config.chain_probes.batch_size
    posterior = posterior_scores(population.posterior, features, pool, gammas, tested, size)
    found, noise = {}, noise_of(queried, gammas)
    for name, feature in features.items():
        described = describe_probe(feature, name, noise, results)
        if name not in results.get(BY_ROW, {}):
            raise UserError(f"the probes in {folder} were stored without the scores of each row; delete it")
        curves = summarise_scores(feature, posterior[name])
        gaps = summarise_scores(feature, gaps_of_rows(posterior[name], results[BY_ROW][name]))
        compared = compare({key: values.tolist() for key, values in gaps.items()}, {}, config.probe.shortfall)
        found[name] = described | {
            "posterior": {key: values.tolist() for key, values in curves.items()},
            "posterior_windows": windows_of(noise, share_known(feature, curves)),
            "posterior_minus_probe": compared["exact_minus_probe"],
            "plateau": float(feature.prior.max()),
        }
    return found


def separate_generated(
    config: ConfigDict,
    population: Population,
    pool: Pool,
    queried: np.ndarray,
    gammas: Float[np.ndarray, " m"],
    rows: RowSplit,
    folder: pathlib.Path,
) -> dict[str, Any]:
    """Experiment 3: {"probe" | "statistics" | "posterior": {"accuracy", "standard_error", "distance" from one half}}.

    Noised data against z_t of chains, by trained probes, by a linear classifier of a few statistics, and by boosted
    trees that also get numbers of the exact posterior. folder: keeps the probes in a folder named by their settings.
    """
    settings, (z, labels, both) = probe_settings(config), both_kinds(pool, rows)
    conditions, probes = {"gamma": gammas, "z": z}, folder / name_of_probes(config)
    _, results = train_on_rows(settings, population, FEATURES, labels, conditions, queried, both, probes)
    num_scored = len(both.test) // settings.batch_size * settings.batch_size
    curves = {name: values.tolist() for name, values in results[PROBE][GENERATED].items()}
    by_probe = describe_separation(curves["accuracy"], curves["accuracy_standard_error"], num_scored)
    by_numbers = separate_by_numbers(
        population.posterior,
        pool,
        queried,
        gammas,
        folder / "seen",
        config.chain_probes.batch_size,
        say=say,
        progress=bar("real or generated"),
    )
    return {"probe": by_probe} | describe_by_numbers(by_numbers, pool.z.shape[1])


def probe_settings(config: ConfigDict) -> ConfigDict:
    """A section `probe` for probes of real against generated: with the net of `chain_probes`, each timestep from
    nothing, and at most `ROUNDS` rounds."""
    own, settings = config.chain_probes, ConfigDict(config.probe)
    updates, net = own.real_or_generated_updates, own.real_or_generated_net
    if "hidden" in NETS[net].takes:
        settings.hidden = tuple(own.real_or_generated_hidden)
    settings.update(
        net=net,
        num_updates=updates,
        updates_per_round=-(-updates // ROUNDS),
        learning_rate=own.real_or_generated_learning_rate,
        warm_start=False,
        members="trunk",
    )
    return settings


def name_of_probes(config: ConfigDict) -> str:
    """The folder of probes of real against generated: net, its widths if it has any, updates and rate."""
    own = config.chain_probes
    net = own.real_or_generated_net
    widths = own.real_or_generated_hidden if "hidden" in NETS[net].takes else ()
    parts = (FOLDER_NAMES.get(net, net), *widths, own.real_or_generated_updates, own.real_or_generated_learning_rate)
    return "-".join(map(str, parts))


say = partial(print, "chain_probes:", flush=True)
