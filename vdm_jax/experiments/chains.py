"""The chains job: when a sampler decides each feature, what a round trip keeps, what tells its z_t from noised data."""

import pathlib
import time
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.keys import named_key
from vdm_jax.base.provenance import provenance
from vdm_jax.data.sprite_posterior import sprite_labels
from vdm_jax.experiments import workdir as workdirs
from vdm_jax.experiments.exact import check_folder, refuse_differences
from vdm_jax.experiments.probes import EXACT, LEAST_NOISE, ChosenSampler, ProbeExperiment, chosen_samplers, gammas_at
from vdm_jax.experiments.progress import bar
from vdm_jax.probing.chain_curves import describe_sampler, gather, summarise_backward, summarise_round_trip
from vdm_jax.probing.chains import Grid, Subject, Walk, exact_walk, make_backward, make_grid, make_round_trip, x_walk
from vdm_jax.probing.two_samples import start_told_apart
from vdm_jax.report.workdir import Workdir
from vdm_jax.train.metrics import MetricsLog

LINES = "chains.jsonl"  # the settings, then a line for each sampler's chains from noise and each of its round trips
DEPENDS_ON = ("data", "diffusion", "chains", "timesteps")  # sections of the config, and what is asked
START_IMAGES = 100
NAMES_PARTS = ("samplers", "num_steps")  # settings that each line states for itself


class Part(NamedTuple):
    """What is measured in one go: chains from noise where `start` is None, else round trips from that timestep."""

    sampler: str
    num_steps: int
    start: int | None


def chains(experiment: ProbeExperiment, workdir: pathlib.Path) -> str:
    """Writes `chains.json` beside `exact.json`, which must be there; returns "done".

    {"timesteps", "abar", "num_queries", "start_told_apart_at_most", "features": {name: {"exact": curves, "windows"}},
    "samplers": {as typed: {"num_steps", "seconds", "features": {name: {"backward", "round_trip", "generated",
    "plateau", "windows", "distances"}}, "real_or_generated": {"accuracy", "standard_error"}, "far_from_data",
    "far_after_round_trip"}}, "settings", "provenance"}.

    A kill loses the part that was being measured; the same command goes on, also with further samplers.
    """
    config, settings = experiment.config.chains, workdirs.plain(experiment.config)
    check_folder(workdir, settings)
    exact = _exact_record(workdir, settings)
    asked = _asked(exact["timesteps"], config.every)
    log = _open_log(workdir, settings | {"timesteps": asked.tolist()})
    workdirs.claim(workdir, experiment.config, f"sprites {experiment.grid.name}")
    samplers = chosen_samplers(config)
    starts = (None, *asked.tolist())
    rows = {Part(row["sampler"], row["num_steps"], row["start"]): row for row in log.rows() if "sampler" in row}
    measures = {chosen: _Measure(experiment, chosen, asked) for chosen in samplers.values()}
    parts = [Part(*chosen, start) for chosen in samplers.values() for start in starts]
    for index in bar("chains")(range(len(parts))):
        part = parts[index]
        if part not in rows:
            began = time.monotonic()
            row = measures[ChosenSampler(part.sampler, part.num_steps)](part.start)
            rows[part] = {"step": len(rows), **part._asdict(), **row, "seconds": time.monotonic() - began}
            log.write(rows[part])
            say(f"{_name(part)}: {rows[part]['seconds']:.1f} s")
    exact = _only(exact, asked)
    found = {}
    for text, chosen in samplers.items():
        backward, *trips = (rows[Part(*chosen, start)] for start in starts)
        curves = describe_sampler(
            experiment.posterior.features,
            {name: feature["exact"] for name, feature in exact["features"].items()},
            backward,
            dict(zip(asked.tolist(), trips, strict=True)),
            _size(config),
        )
        seconds = sum(row["seconds"] for row in (backward, *trips))
        found[text] = {"num_steps": len(measures[chosen].grid.steps) - 1, "seconds": seconds} | curves
    record = {"timesteps": asked.tolist(), "abar": exact["abar"], "num_queries": _size(config)}
    record["start_told_apart_at_most"] = _start_told_apart(experiment)
    about = {"settings": settings, "provenance": provenance() | {"config": experiment.config.name, "seed": config.seed}}
    write_json(workdir / "chains.json", record | {"features": exact["features"], "samplers": found} | about)
    return "done"


class _Measure:
    """One sampler's measurements, compiled when the first of them is made."""

    def __init__(self, experiment: ProbeExperiment, chosen: ChosenSampler, asked: np.ndarray):
        self._config, self._features = experiment.config.chains, experiment.posterior.features
        self.grid = make_grid(asked, chosen.num_steps, experiment.schedule.num_steps)
        subject, walk = make_subject(experiment), make_walk(experiment, chosen.name, self.grid)
        gammas = gammas_at(experiment.schedule, asked)
        self._backward = make_backward(subject, walk, experiment.schedule, self.grid, gammas)
        self._round_trip = make_round_trip(subject, walk, experiment.schedule, self.grid)

    def __call__(self, start: int | None) -> dict[str, Any]:
        """Chains from noise where `start` is None, else round trips from that timestep."""
        config = self._config
        collect = partial(gather, num_queries=config.num_queries, batch_size=config.batch_size)
        key = jax.random.key(config.seed)  # the same noise for all samplers, the same data for all timesteps
        if start is None:
            found = collect(self._backward, named_key(key, "backward"))
            return summarise_backward(self._features, found, config.far)
        found = collect(lambda key, n: self._round_trip(key, n, start), named_key(key, "round trip"))
        return summarise_round_trip(self._features, found, config.far)


def make_subject(experiment: ProbeExperiment) -> Subject:
    """The sprites of the grid; what a chain ends in is read as the sprite nearest to it."""
    grid, posterior = experiment.grid, experiment.posterior

    def draw(key, n):
        index = jax.random.randint(key, (n,), 0, len(grid))
        return grid.render(index), sprite_labels(grid, index)

    def read(x):
        return sprite_labels(grid, posterior.nearest(x))

    def distance(x):
        return jnp.sqrt(jnp.mean((x - grid.render(posterior.nearest(x))) ** 2, axis=(1, 2, 3)))

    return Subject(draw, posterior.features, posterior.classes, read, distance)


def make_walk(experiment: ProbeExperiment, sampler: str, grid: Grid) -> Walk:
    """Posterior draws for "exact"; else the sampler of that name with the optimal denoiser E[x | z_t]."""
    posterior, schedule = experiment.posterior, experiment.schedule

    def draw(key, z, gamma):
        return posterior.draw(key, z, jnp.maximum(gamma, LEAST_NOISE))

    def mean(_, z, t):
        return posterior.mean(z, jnp.maximum(schedule.gamma(t), LEAST_NOISE))

    return exact_walk(draw, schedule, grid) if sampler == EXACT else x_walk(mean, schedule, grid, sampler)


def _exact_record(workdir: pathlib.Path, settings: dict[str, Any]) -> dict[str, Any]:
    """`exact.json`; raises `UserError` where there is none of these data and this diffusion."""
    record = Workdir(workdir).exact
    if not record:
        raise UserError(f"no exact curves in {workdir} to be compared with; --jobs=exact,chains measures them first")
    refuse_differences(workdir, record["settings"], settings, ("data", "diffusion"))
    return record


def _open_log(workdir: pathlib.Path, settings: dict[str, Any]) -> MetricsLog:
    """The lines so far, of these settings; raises `UserError` where they are of others. Samplers may be added."""
    settings = {key: settings[key] for key in DEPENDS_ON}
    settings["chains"] = {key: value for key, value in settings["chains"].items() if key not in NAMES_PARTS}
    log = MetricsLog(workdir / LINES)
    there = [row for row in log.rows() if "settings" in row]
    if there:
        refuse_differences(workdir, there[0]["settings"], settings, DEPENDS_ON)
        log.truncate_after(max(row["step"] for row in log.rows()))  # a line that a kill tore goes
    else:
        log.write({"step": -1, "settings": settings})
    return log


def _asked(timesteps: list[int], every: int) -> np.ndarray:
    """Every so many-th, and the last."""
    return np.unique([*timesteps[::every], timesteps[-1]])


def _only(exact: dict[str, Any], asked: np.ndarray) -> dict[str, Any]:
    """The exact curves at the asked timesteps alone."""
    where = [exact["timesteps"].index(step) for step in asked]
    features = {}
    for name, feature in exact["features"].items():
        curves = {key: [values[i] for i in where] for key, values in feature["exact"].items()}
        features[name] = feature | {"exact": curves}
    return {"abar": [exact["abar"][i] for i in where], "features": features}


def _start_told_apart(experiment: ProbeExperiment) -> float:
    """At most so often are chains from N(0, I) told from noised data, a model being exact."""
    x, _ = make_subject(experiment).draw(jax.random.key(experiment.config.chains.seed), START_IMAGES)
    return start_told_apart(np.asarray(x), float(experiment.schedule.gamma(jnp.float32(1))))


def _size(config: ConfigDict) -> int:
    """Whole batches."""
    return -(-config.num_queries // config.batch_size) * config.batch_size


def _name(part: Part) -> str:
    way = "from noise" if part.start is None else f"there and back from {part.start}"
    return f"{part.sampler}, {part.num_steps} steps, {way}"


def say(what: str) -> None:
    print(f"chains: {what}", flush=True)
