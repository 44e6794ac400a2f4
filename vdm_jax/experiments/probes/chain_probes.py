"""The chain_probes job: probes trained on z_t of chains, and probes that tell these from noised data."""

import pathlib
from typing import Any

import numpy as np
from jaxtyping import Float

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.provenance import provenance
from vdm_jax.experiments.probes.build import (
    ChosenSampler,
    ProbeExperiment,
    chosen_samplers,
    every_nth,
    gammas_at,
    timesteps,
)
from vdm_jax.experiments.probes.chain_parts import about_model, about_reader, model_of, trained_reader
from vdm_jax.experiments.probes.chain_pools import Pool, make_pool
from vdm_jax.experiments.probes.chain_posterior import missed, posterior_scores
from vdm_jax.experiments.probes.chain_told import tell_generated
from vdm_jax.experiments.probes.chain_training import BY_ROW, Rows, split_rows, train_on_rows
from vdm_jax.experiments.probes.probe import describe_probe
from vdm_jax.experiments.probes.training import of_part
from vdm_jax.launch import store as workdirs
from vdm_jax.probing.chain_distances import far_from_data
from vdm_jax.probing.curves import compare, summarise_scores, with_prior_of
from vdm_jax.probing.windows import noise_of, share_known, windows_of

FOLDER = "chain_probes"  # of chains and what is trained on them, by sampler


def chain_probes(experiment: ProbeExperiment, workdir: pathlib.Path) -> str:
    """Writes `chain_probes.json`; returns "done". A kill loses a batch of chains, or a chunk of timesteps in training.

    {"timesteps", "abar", "num_chains": {"train", "validation", "test"}, "samplers": {as typed: {"num_steps",
    "features": {name: {"probe": curves, "posterior": curves of the exact posterior of noised data shown the same z_t,
    "posterior_minus_probe", "windows", "posterior_windows", "entropy_nats", "plateau"}}, "real_or_generated": as of
    `tell_generated`, "far_from_data"}}, "model", "net", "settings", "provenance"}, a sampler's "features" and
    "real_or_generated" where they are asked for. Entropy and plateau, the rate of the most frequent class, are of what
    the sampler generates.
    """
    config, settings = experiment.config.chain_probes, workdirs.plain(experiment.config)
    samplers = chosen_samplers(config)
    if not samplers:
        say("nothing to do; --config.chain_probes.samplers=exact, or another sampler, names whose chains")
        return "done"
    steps = timesteps(experiment.config.exact.num_timesteps, experiment.schedule)
    asked = every_nth(steps, config.every)
    net = trained_reader(experiment)
    rows, found = split_rows(config), {}
    for text, chosen in samplers.items():
        folder = workdir / FOLDER / f"{chosen.name}-{chosen.num_steps}-{model_of(experiment, chosen)}"
        found[text] = measure_sampler(experiment, chosen, asked, rows, folder, net)
        say(f"{text}: done")
    noise = noise_of(asked, gammas_at(experiment.schedule, asked))
    record = {"timesteps": asked.tolist(), "abar": noise.abar.tolist(), "samplers": found}
    record |= {"num_chains": {name: len(part) for name, part in rows._asdict().items()}}
    record |= {"model": about_model(experiment), "net": None if net is None else about_reader(net)}
    about = {"settings": settings, "provenance": provenance() | {"config": experiment.config.name, "seed": config.seed}}
    write_json(workdir / "chain_probes.json", record | about)
    return "done"


def measure_sampler(
    experiment: ProbeExperiment,
    chosen: ChosenSampler,
    asked: np.ndarray,
    rows: Rows,
    folder: pathlib.Path,
    net: Any,
) -> dict[str, Any]:
    """The experiments that are asked for on the chains of one sampler, made once."""
    config = experiment.config.chain_probes
    pool = make_pool(experiment, chosen, asked, sum(map(len, rows)), folder / "chains", net)
    gammas = np.asarray(gammas_at(experiment.schedule, asked), np.float32)
    found = {"num_steps": pool.num_steps, "far_from_data": far_from_data(pool.distance, experiment.config.chains.far)}
    if config.backward:
        found["features"] = measure_features(experiment, pool, asked, gammas, rows, folder / "features")
    if config.real_or_generated:
        told = tell_generated(experiment, pool, asked, gammas, rows, folder / "real_or_generated")
        found["real_or_generated"] = told
    return found


def measure_features(
    experiment: ProbeExperiment,
    pool: Pool,
    asked: np.ndarray,
    gammas: Float[np.ndarray, " m"],
    rows: Rows,
    folder: pathlib.Path,
) -> dict[str, Any]:
    """Experiment 2: each feature's probes beside the exact posterior of noised data, on the same z_t of the chain."""
    config = experiment.config.probe
    features = {
        name: with_prior_of(feature, pool.labels[name][rows.train])
        for name, feature in experiment.posterior.features.items()
    }
    levels = {"gamma": gammas, "z": pool.z}
    ensemble, arrays = train_on_rows(config, experiment.grid, features, pool.labels, levels, asked, rows, folder)
    posterior = posterior_scores(experiment, features, pool, gammas, ensemble.row_batches(rows.test).reshape(-1))
    found, noise = {}, noise_of(asked, gammas)
    for name, feature in features.items():
        described, by_row = describe_probe(feature, name, noise, arrays), of_part(arrays, BY_ROW, name)
        if not by_row:
            raise UserError(f"the probes in {folder} were stored without the scores of each row; delete it")
        curves = summarise_scores(feature, posterior[name])
        behind = summarise_scores(feature, missed(posterior[name], by_row))
        gaps = compare({key: values.tolist() for key, values in behind.items()}, {}, config.shortfall)
        found[name] = described | {
            "posterior": {key: values.tolist() for key, values in curves.items()},
            "posterior_windows": windows_of(noise, share_known(feature, curves)),
            "posterior_minus_probe": gaps["exact_minus_probe"],
            "plateau": float(feature.prior.max()),
        }
    return found


def say(what: str) -> None:
    print(f"chain_probes: {what}", flush=True)
