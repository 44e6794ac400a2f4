"""The probe job: probes of every feature at every timestep, trained as one ensemble, beside the exact answer."""

import dataclasses
import pathlib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.keys import named_key
from vdm_jax.base.provenance import provenance
from vdm_jax.data.sprite_posterior import sprite_labels
from vdm_jax.experiments import workdir as workdirs
from vdm_jax.experiments.exact import check_folder
from vdm_jax.experiments.probes import ProbeExperiment, gammas_at, timesteps
from vdm_jax.experiments.progress import bar
from vdm_jax.probing.chunks import Arrays, chunk_size, flat, run_in_chunks, unflat
from vdm_jax.probing.curves import compare, probe_windows, summarise_known, summarise_scores
from vdm_jax.probing.ensemble import Ensemble, Scored, Training, fit, timestep_keys
from vdm_jax.probing.feeds import Feed, make_forward_feed
from vdm_jax.probing.heads import make_heads, make_members
from vdm_jax.probing.nets import make_net
from vdm_jax.report.workdir import Workdir
from vdm_jax.train.sharding import make_mesh

CHUNKS = "probe"  # folder of what is trained, by timesteps
JUDGED, BY_LABEL, KNOWN = "judged", "by_label", "known"  # parts of a chunk
MOST_NOISE = 5.0  # gamma above which no training is begun


def probe(experiment: ProbeExperiment, workdir: pathlib.Path) -> str:
    """Writes `probe.json`; returns "done". A kill loses the chunk of timesteps in training; the same command goes on.

    {"timesteps", "abar", "features": {name: {"probe": {"accuracy": […], "accuracy_standard_error": […], …},
    "by_label", "windows", "windows_standard_error", "entropy_nats", "variance", and where `exact.json` is there
    "exact", "exact_windows", "exact_windows_standard_error", "exact_minus_probe", "falls_short"}}, "updates": [M, K],
    "members", "settings", "provenance"}.

    "probe" is what the answers on held-out images are worth under the exact posterior of each noisy image, so that
    which labels a finite split happens to hold plays no part: a guess from nothing has the prior's accuracy. "by_label"
    is the same by the labels themselves. Timesteps of one gamma, as a Dirac schedule has them, share their probes.
    """
    settings = workdirs.plain(experiment.config)
    check_folder(workdir, settings)
    workdirs.claim(workdir, experiment.config, f"sprites {experiment.grid.name}")
    steps = timesteps(experiment.config.exact.num_timesteps, experiment.schedule.num_steps)
    gammas = gammas_at(experiment.schedule, steps)
    ensemble, test = build_ensemble(experiment)
    _, first, where = np.unique(gammas, return_index=True, return_inverse=True)
    arrays = train_ensemble(experiment, ensemble, test, steps[first], gammas[first], workdir / CHUNKS)
    arrays = {name: values[where.reshape(-1)] for name, values in arrays.items()}
    exact = Workdir(workdir).exact.get("features", {})
    features = {name: describe_probe(experiment, name, steps, arrays) for name in experiment.posterior.features}
    for name in features.keys() & exact.keys():
        features[name] |= _beside_exact(features[name]["probe"], exact[name], experiment.config.probe.shortfall)
    about = {
        "members": ensemble.members.names,
        "updates": (arrays["rounds"] * ensemble.training.updates_per_round).tolist(),
        "settings": settings,
        "provenance": provenance() | {"config": experiment.config.name, "seed": experiment.config.probe.seed},
    }
    record = {"timesteps": steps.tolist(), "abar": (1 / (1 + np.exp(gammas))).tolist(), "features": features}
    write_json(workdir / "probe.json", record | about)
    for name, feature in features.items():
        if any(feature.get("falls_short", [])):
            short = [t for t, is_short in zip(steps.tolist(), feature["falls_short"], strict=True) if is_short]
            say(f"{name} falls short of the exact curve at timesteps {', '.join(map(str, short))}")
    return "done"


def build_ensemble(experiment: ProbeExperiment) -> tuple[Ensemble, Feed]:
    """The ensemble and the feed of its test, as the config says; nothing is compiled yet."""
    config, grid = experiment.config.probe, experiment.grid
    splits = grid.splits()
    feeds = {
        name: make_forward_feed(grid.render, partial(sprite_labels, grid), index) for name, index in splits.items()
    }
    heads = make_heads(experiment.posterior.features, config.targets)
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
    index = jnp.asarray(splits["train"][: config.num_examples])
    examples, known = grid.render(index), sprite_labels(grid, index)
    batching = "map" if jax.default_backend() == "cpu" else "vmap"
    ensemble = Ensemble(
        net, members, feeds["train"], feeds["validation"], training, examples, make_mesh(), batching, known
    )
    return ensemble, feeds["test"]


def train_ensemble(
    experiment: ProbeExperiment,
    ensemble: Ensemble,
    test: Feed,
    steps: np.ndarray,
    gammas: np.ndarray,
    folder: pathlib.Path,
) -> Arrays:
    """Scores, parameters and rounds of every timestep, [M, …] by name; chunks that are done are taken from `folder`."""
    config = experiment.config.probe
    key = jax.random.key(config.seed)
    levels = {"gamma": jnp.asarray(gammas, jnp.float32)}
    num_batches = -(-config.num_test // config.batch_size)
    score = ensemble.scores(test, num_batches, experiment.posterior.classes)
    size = chunk_size(ensemble, jax.tree.map(lambda leaf: leaf[0], levels), len(steps), config.memory_gib * 2**30)
    started: list[Any] = []  # once there is something to train

    def run(index: np.ndarray, chunk: np.ndarray) -> Arrays:
        if config.warm_start and not started:
            started.append(warm_start(experiment, ensemble, key, steps, gammas, folder))
        own, keys = jax.tree.map(lambda leaf: leaf[index], levels), timestep_keys(key, chunk)
        params = jax.tree.map(lambda leaf: jnp.repeat(leaf, len(chunk), axis=0), started[0]) if started else None
        state = fit(ensemble, keys, own, params=params, progress=bar(f"probe {chunk[0]} … {chunk[-1]}"))
        arrays = flat(state.best) | {"rounds": state.rounds, "validation_loss": state.best_loss}
        return arrays | summarise(experiment, jax.device_get(score(state.best, keys, own)))

    return run_in_chunks(run, steps, size, folder, say)


def summarise(experiment: ProbeExperiment, scored: Scored) -> Arrays:
    """Curves of each feature, as "JUDGED/FEATURE/CURVE" and so on."""
    arrays: Arrays = {}
    for name, feature in experiment.posterior.features.items():
        found = {
            JUDGED: summarise_scores(feature, scored.judged[name], scored.image),
            BY_LABEL: summarise_scores(feature, scored.by_label[name], scored.image),
            KNOWN: summarise_known(feature, scored.judged[name], scored.image),
        }
        arrays |= {f"{part}/{name}/{curve}": a for part, curves in found.items() for curve, a in curves.items()}
    return arrays


def warm_start(
    experiment: ProbeExperiment,
    ensemble: Ensemble,
    key: Key[Array, ""],
    steps: np.ndarray,
    gammas: np.ndarray,
    folder: pathlib.Path,
) -> Any:
    """Parameters [1, K, ...] trained at one timestep, `warm_start_index`, for `warm_updates` updates."""
    index = np.array([warm_start_index(gammas)])
    longer = dataclasses.replace(
        ensemble,
        mesh=make_mesh(1),
        training=dataclasses.replace(ensemble.training, num_updates=experiment.config.probe.warm_updates),
    )
    keys = timestep_keys(named_key(key, "warm_start"), steps[index])
    like = jax.eval_shape(longer.init, keys)

    def run(_: np.ndarray, chunk: np.ndarray) -> Arrays:
        say(f"warm start at timestep {chunk[0]}")
        levels = {"gamma": jnp.asarray(gammas[index], jnp.float32)}
        return flat(fit(longer, keys, levels, progress=bar("warm start")).best)

    return unflat(run_in_chunks(run, steps[index], 1, folder / "warm_start"), like)


def warm_start_index(gammas: Float[np.ndarray, " m"]) -> int:
    """The timestep whose SNR is nearest to 1: a probe sees the features there, and is unsure often enough to learn.

    Where nothing is near, as on a Dirac schedule, one with too little noise and never one where nothing can be seen.
    """
    return int(np.where(gammas < MOST_NOISE, np.abs(gammas), np.inf).argmin())


def describe_probe(experiment: ProbeExperiment, name: str, steps: np.ndarray, arrays: Arrays) -> dict[str, Any]:
    """One feature's curves as lists over the timesteps, and its window."""
    feature = experiment.posterior.features[name]
    judged, by_label, known = (
        {path.removeprefix(start): values for path, values in arrays.items() if path.startswith(start)}
        for start in (f"{part}/{name}/" for part in (JUDGED, BY_LABEL, KNOWN))
    )
    if not judged:
        raise UserError(f"the probes in {CHUNKS}/ were stored without what is asked of them now; delete it")
    windows, errors = probe_windows(steps, known)
    return {
        "probe": {curve: values.tolist() for curve, values in judged.items()},
        "by_label": {curve: values.tolist() for curve, values in by_label.items()},
        "windows": windows,
        "windows_standard_error": errors,
        "entropy_nats": feature.entropy,
        "variance": None if feature.values is None else feature.variance,
    }


def _beside_exact(probe: dict[str, Any], exact: dict[str, Any], shortfall: float) -> dict[str, Any]:
    """One feature's exact curves of the same timesteps, and what the probe misses of them."""
    found = {"exact": exact["exact"], "exact_windows": exact["windows"]}
    found["exact_windows_standard_error"] = exact.get("windows_standard_error", {})
    return found | compare(probe, exact["exact"], shortfall)


def say(what: str) -> None:
    print(f"probe: {what}", flush=True)
