"""The chain_probes job: probes trained on z_t of chains, and probes that tell these from noised data."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int, Integer
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.provenance import provenance
from vdm_jax.data.sprites import SpriteGrid
from vdm_jax.diffusion.optimal import Feature
from vdm_jax.experiments import workdir as workdirs
from vdm_jax.experiments.chain_parts import about_model, about_reader, model_of, trained_reader
from vdm_jax.experiments.chain_pools import Pool, make_pool
from vdm_jax.experiments.chain_posterior import missed, posterior_scores
from vdm_jax.experiments.exact import check_folder, refuse_differences
from vdm_jax.experiments.probe import (
    KNOWN,
    PROBE,
    describe_probe,
    in_parts,
    make_ensemble,
    of_part,
    train_ensemble,
)
from vdm_jax.experiments.probes import ChosenSampler, ProbeExperiment, chosen_samplers, every_nth, gammas_at, timesteps
from vdm_jax.probing.chain_distances import distance_from_chance
from vdm_jax.probing.chunks import Arrays
from vdm_jax.probing.curves import compare, summarise_known, summarise_scores, with_prior_of
from vdm_jax.probing.ensemble import Ensemble
from vdm_jax.probing.feeds import make_pool_feed
from vdm_jax.probing.heads import make_heads
from vdm_jax.probing.two_samples import statistics, tell_apart
from vdm_jax.probing.windows import share_known, windows_of

FOLDER = "chain_probes"  # of chains and what is trained on them, by sampler
SETTINGS = "settings.json"
DEPENDS_ON = ("data", "diffusion", "chains", "probe", "chain_probes", "timesteps")
IN_THE_NAME = {  # settings that the sampler's folder is named by, of another job, or that only judge what is stored
    "chains": ("samplers", "num_steps", "num_queries", "every", "model", "checkpoint", "batch_size", "far"),
    "chain_probes": ("samplers", "num_steps"),
}
BY_ROW = "by_row"  # part of a chunk
TOLD = "generated"  # what is asked of z_t: 0 of noised data, 1 of the chain


class Rows(NamedTuple):
    """Which of a pool's chains are learned from, watched, and scored."""

    train: Int[np.ndarray, " n"]
    validation: Int[np.ndarray, " v"]
    test: Int[np.ndarray, " t"]


def chain_probes(experiment: ProbeExperiment, workdir: pathlib.Path) -> str:
    """Writes `chain_probes.json`; returns "done". A kill loses a batch of chains, or a chunk of timesteps in training.

    {"timesteps", "abar", "num_chains": {"train", "validation", "test"}, "samplers": {as typed: {"num_steps",
    "features": {name: {"probe": curves, "posterior": curves of the exact posterior of noised data shown the same z_t,
    "posterior_minus_probe", "windows", "posterior_windows", "entropy_nats", "plateau"}}, "real_or_generated": {"probe"
    | "statistics": {"accuracy", "standard_error", "distance"}}, "far_from_data"}}, "model", "net", "settings",
    "provenance"}. Entropy and plateau, the rate of the most frequent class, are of what the sampler generates.
    """
    config, settings = experiment.config.chain_probes, workdirs.plain(experiment.config)
    samplers = chosen_samplers(config)
    if not samplers:
        say("nothing to do; --config.chain_probes.samplers=exact, or another sampler, names whose chains")
        return "done"
    check_folder(workdir, settings, experiment.identity)
    steps = timesteps(experiment.config.exact.num_timesteps, experiment.schedule.num_steps)
    asked = every_nth(steps, config.every)
    depends_on, path = check_claimed(workdir / FOLDER, settings | {"timesteps": asked.tolist()})
    workdirs.claim(workdir, experiment.config, experiment.identity)
    if not path.exists():
        write_json(path, depends_on)
    net = trained_reader(experiment)
    rows, found = split_rows(config), {}
    for text, chosen in samplers.items():
        folder = workdir / FOLDER / f"{chosen.name}-{chosen.num_steps}-{model_of(experiment, chosen)}"
        found[text] = measure_sampler(experiment, chosen, asked, rows, folder, net)
        say(f"{text}: done")
    gammas = gammas_at(experiment.schedule, asked)
    record = {"timesteps": asked.tolist(), "abar": (1 / (1 + np.exp(gammas))).tolist(), "samplers": found}
    record |= {"num_chains": {name: len(part) for name, part in rows._asdict().items()}}
    record |= {"model": about_model(experiment), "net": None if net is None else about_reader(net)}
    about = {"settings": settings, "provenance": provenance() | {"config": experiment.config.name, "seed": config.seed}}
    write_json(workdir / "chain_probes.json", record | about)
    return "done"


def split_rows(config: ConfigDict) -> Rows:
    """The chains in turn: to learn from, to watch, and to score."""
    ends = np.cumsum([config.num_chains, config.num_validation, config.num_test])
    return Rows(*np.split(np.arange(ends[-1]), ends[:-1]))


def measure_sampler(
    experiment: ProbeExperiment,
    chosen: ChosenSampler,
    asked: np.ndarray,
    rows: Rows,
    folder: pathlib.Path,
    net: Any,
) -> dict[str, Any]:
    """Both experiments on the chains of one sampler, made once."""
    pool = make_pool(experiment, chosen, asked, sum(map(len, rows)), folder / "chains", net)
    gammas = np.asarray(gammas_at(experiment.schedule, asked), np.float32)
    return {
        "num_steps": pool.num_steps,
        "features": measure_features(experiment, pool, asked, gammas, rows, folder / "features"),
        "real_or_generated": tell_generated(experiment, pool, asked, gammas, rows, folder / "real_or_generated"),
        "far_from_data": float((pool.distance > experiment.config.chains.far).mean()),
    }


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
    found = {}
    for name, feature in features.items():
        described, by_row = describe_probe(feature, name, asked, arrays), of_part(arrays, BY_ROW, name)
        if not by_row:
            raise UserError(f"the probes in {folder} were stored without the scores of each row; delete it")
        curves = summarise_scores(feature, posterior[name])
        behind = summarise_scores(feature, missed(posterior[name], by_row))
        gaps = compare({key: values.tolist() for key, values in behind.items()}, {}, config.shortfall)
        found[name] = described | {
            "posterior": {key: values.tolist() for key, values in curves.items()},
            "posterior_windows": windows_of(asked, share_known(feature, curves)),
            "posterior_minus_probe": gaps["exact_minus_probe"],
            "plateau": float(feature.prior.max()),
        }
    return found


def train_on_rows(
    config: ConfigDict,
    grid: SpriteGrid,
    features: dict[str, Feature],
    labels: dict[str, Int[np.ndarray, " n"]],
    levels: dict[str, np.ndarray],
    asked: np.ndarray,
    rows: Rows,
    folder: pathlib.Path,
) -> tuple[Ensemble, Arrays]:
    """(ensemble, arrays): probes trained on rows of `levels["z"]`, [M, N, …], whose labels are known; their curves."""
    feeds = (make_pool_feed(labels, part) for part in rows[:2])
    ensemble = make_ensemble(config, grid, make_heads(features, config.targets), *feeds)
    measure = make_measure(ensemble, features, labels, rows.test)
    return ensemble, train_ensemble(config, ensemble, measure, asked, levels, folder)


def make_measure(
    ensemble: Ensemble,
    features: dict[str, Feature],
    labels: dict[str, Int[np.ndarray, " n"]],
    rows: Integer[np.ndarray, " t"],
) -> Callable[..., Arrays]:
    """-> `measure(params, keys, levels)`: the curves of the probes on these rows, whose labels are known, and what each
    row scores, [M, S, R]."""
    batches, score = ensemble.row_batches(rows), ensemble.row_scores(labels, rows)

    def measure(params, keys, levels):
        arrays: Arrays = {}
        images = np.broadcast_to(batches, (len(keys), *batches.shape))
        for name, scores in jax.device_get(score(params, keys, levels)).items():
            probe, known = (summary(features[name], scores, images) for summary in (summarise_scores, summarise_known))
            by_row = {key: values.swapaxes(1, 2).reshape(*values.shape[::2], -1) for key, values in scores.items()}
            arrays |= in_parts(name, {PROBE: probe, KNOWN: known, BY_ROW: by_row})
        return arrays

    return measure


def tell_generated(
    experiment: ProbeExperiment,
    pool: Pool,
    asked: np.ndarray,
    gammas: Float[np.ndarray, " m"],
    rows: Rows,
    folder: pathlib.Path,
) -> dict[str, Any]:
    """Experiment 3: noised data told from z_t of the chain, by trained probes and by a few statistics."""
    config, number = told_settings(experiment.config), pool.z.shape[1]
    both = Rows(*(np.concatenate([part, number + part]) for part in rows))
    random = np.random.RandomState(0)  # so that batches of rows in order hold both
    both = both._replace(test=random.permutation(both.test))
    labels = {TOLD: np.repeat([0, 1], number).astype(np.int32)}
    features = {TOLD: Feature(np.array([0.5, 0.5]))}
    levels = {"gamma": gammas, "z": np.concatenate([pool.real, pool.z], axis=1)}
    _, arrays = train_on_rows(config, experiment.grid, features, labels, levels, asked, both, folder)
    numbers = jax.jit(statistics)
    told = [tell_apart(*map(np.asarray, map(numbers, pair))) for pair in zip(pool.real, pool.z, strict=True)]
    num_scored = len(both.test) // config.batch_size * config.batch_size
    accuracy, error = (arrays[f"{PROBE}/{TOLD}/accuracy{end}"].tolist() for end in ("", "_standard_error"))
    return {
        "probe": _told(accuracy, error, num_scored),
        "statistics": _told([each.accuracy for each in told], [each.standard_error for each in told], number),
    }


def told_settings(config: ConfigDict) -> ConfigDict:
    """Of the probes that tell real from generated: those of `probe` with the net of `chain_probes`, each timestep's
    from nothing."""
    own, settings = config.chain_probes, ConfigDict(config.probe)
    changes = {"net": own.told_net, "hidden": tuple(own.told_hidden), "num_updates": own.told_updates}
    changes |= {"learning_rate": own.told_learning_rate, "warm_start": False, "members": "trunk"}
    settings.update(changes)
    return settings


def _told(accuracy: list[float], error: list[float], num_scored: int) -> dict[str, Any]:
    distance = distance_from_chance(accuracy, num_scored)
    return {"accuracy": accuracy, "standard_error": error, "distance": distance}


def check_claimed(folder: pathlib.Path, settings: dict[str, Any]) -> tuple[dict[str, Any], pathlib.Path]:
    """The settings that all depends on, and the file that holds them. Raises `UserError` where it holds others."""
    settings = {
        section: {key: value for key, value in settings[section].items() if key not in IN_THE_NAME.get(section, ())}
        if isinstance(settings[section], dict)
        else settings[section]
        for section in DEPENDS_ON
    }
    if (path := folder / SETTINGS).exists():
        refuse_differences(folder, workdirs.read_config(path), settings, DEPENDS_ON, "chains and probes")
    return settings, path


def say(what: str) -> None:
    print(f"chain_probes: {what}", flush=True)
