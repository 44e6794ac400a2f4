"""The chains job: when a sampler decides each feature, what round trips keep, and its z_t against noised data."""

import pathlib
import time
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.base.provenance import commit, provenance
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.diffusion.timesteps import every_nth, gammas_at
from vdm_jax.experiments.probes.build import ProbeExperiment
from vdm_jax.experiments.probes.far import far_from
from vdm_jax.experiments.probes.readers import readers_of
from vdm_jax.experiments.probes.samplers import (
    MODEL,
    ChosenSampler,
    about_model,
    chosen_readers,
    chosen_samplers,
    make_process,
    model_of,
)
from vdm_jax.launch.settings import plain
from vdm_jax.probing.chains.curves import describe_sampler, gather, summarise_backward, summarise_round_trip
from vdm_jax.probing.chains.process import Grid, Readers, ReverseProcess, make_backward, make_grid, make_round_trip
from vdm_jax.probing.chains.two_samples import best_accuracy_at_start
from vdm_jax.probing.population import Population, draw_members
from vdm_jax.probing.windows import Noise
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.train.metrics import MetricsLog

LINES = "chains.jsonl"  # a line for each sampler's chains from noise and for each of its round trips
START_IMAGES = 100
IN_A_SPACE = ("reader_errors", "far")  # what the lines and the record say there besides


class Part(NamedTuple):
    """A unit of measurement: chains from noise where `start` is None, else round trips from that timestep."""

    sampler: str
    num_steps: int
    model: str  # of `model_of`
    start: int | None


def chains(experiment: ProbeExperiment, workdir: pathlib.Path) -> str:
    """Writes `chains.json`, which compares with `exact.json`; returns "done". Raises `UserError` without the latter.

    {"timesteps", "abar", "num_queries", "readers", "start_told_apart_at_most", "features": {name: {"exact": curves,
    "windows"}}, "samplers": {as typed: {"num_steps", "seconds", "commits" that measured it} and `describe_sampler`},
    "model": the trained one, "net": errors of the network that reads, "settings", "provenance"}, in a space also
    "space", "reader_errors" of each reader (`reader_errors`) and "far", the distance from the data beyond which an end
    is far (`far_from`). "features" of a sampler are by the first reader, "real_or_generated" is {"accuracy",
    "standard_error", "distance"}.

    A kill loses the part in progress. The same command continues, also with more samplers, with round trips, or with
    the model trained further: what was measured with other weights is measured again.
    """
    config, settings = experiment.config.chains, plain(experiment.config)
    exact = exact_record(workdir)
    queried = every_nth(exact["timesteps"], config.every)
    log = _open_log(workdir)
    samplers = chosen_samplers(config)
    starts = (None, *queried.tolist()) if config.round_trips else (None,)
    grids = {chosen: make_grid(queried, chosen.num_steps, experiment.schedule) for chosen in samplers.values()}
    parts_of = {
        chosen: [Part(chosen.name, chosen.num_steps, model_of(chosen, experiment.model), start) for start in starts]
        for chosen in samplers.values()
    }
    rows = {Part(*(row[name] for name in Part._fields)): row for row in log.rows() if "sampler" in row}
    measure_parts(experiment, parts_of, grids, rows, log)
    exact = _only(exact, queried)
    found = {
        text: describe(experiment.population, exact, grids[chosen], [rows[part] for part in parts_of[chosen]], config)
        for text, chosen in samplers.items()
    }
    record = {"timesteps": queried.tolist(), "abar": exact["abar"], "num_queries": _size(config)}
    record["start_told_apart_at_most"] = accuracy_at_start(experiment.population, experiment.schedule, config.seed)
    last = rows[list(parts_of.values())[-1][0]]
    record |= {"model": about_model(experiment.model), "readers": chosen_readers(config), "net": last.get("net")}
    record |= experiment.about_space | {name: last[name] for name in IN_A_SPACE if name in last}
    record |= {"features": exact["features"], "samplers": found}
    about = {"settings": settings, "provenance": provenance() | {"config": experiment.config.name, "seed": config.seed}}
    write_json(workdir / "chains.json", record | about)
    return "done"


def measure_parts(
    experiment: ProbeExperiment,
    parts_of: dict[ChosenSampler, list[Part]],
    grids: dict[ChosenSampler, Grid],
    rows: dict[Part, dict[str, Any]],
    log: MetricsLog,
) -> None:
    """Measures the parts that `rows` lacks and adds them there; each is a line of `log`."""
    config, population = experiment.config.chains, experiment.population
    remaining = [(chosen, part) for chosen, parts in parts_of.items() for part in parts if part not in rows]
    if not remaining:
        return
    code = commit()
    readers, about = readers_of(config, experiment.data, population, experiment.space)
    about["commit"], far = code, far_from(config.far, population, experiment.space)
    about |= {} if experiment.space is None else {"far": far}
    measures: dict[ChosenSampler, _Measure] = {}
    for index in bar("chains")(range(len(remaining))):
        chosen, part = remaining[index]
        if chosen not in measures:
            schedule = experiment.schedule
            process = make_process(chosen, population.posterior, experiment.model, schedule, grids[chosen])
            measures[chosen] = _Measure(config, population, readers, process, schedule, grids[chosen], far)
        began = time.monotonic()
        row = measures[chosen](part.start) | about
        rows[part] = {"step": len(rows), **part._asdict(), **row, "seconds": time.monotonic() - began}
        log.write(rows[part])
        say(f"{_name(chosen, part.start)}: {rows[part]['seconds']:.1f} s")


class _Measure:
    """The measurements of one sampler, compiled when they are first used."""

    def __init__(
        self,
        config: ConfigDict,
        population: Population,
        readers: Readers,
        process: ReverseProcess,
        schedule: Schedule,
        grid: Grid,
        far: float,
    ):
        self._config, self._features, self._far = config, population.features, far
        gammas = gammas_at(schedule, np.array(grid.queried))
        self._backward = make_backward(population, readers, process, schedule, grid, gammas)
        self._round_trip = make_round_trip(population, readers, process, schedule, grid)

    def __call__(self, start: int | None) -> dict[str, Any]:
        """Chains from noise where `start` is None, else round trips from that timestep."""
        config = self._config
        settings = {"num_queries": config.num_queries, "batch_size": config.batch_size}
        collect = partial(gather, **settings, progress=bar(f"chains: {_way(start)}"))
        key = jax.random.key(config.seed)  # the same noise for all samplers, the same data for all timesteps
        if start is None:
            found = collect(self._backward, named_key(key, "backward"))
            return summarise_backward(self._features, found, self._far)
        found = collect(lambda key, n: self._round_trip(key, n, start), named_key(key, "round trip"))
        return summarise_round_trip(self._features, found, self._far)


def describe(
    population: Population, exact: dict[str, Any], grid: Grid, rows: list[dict[str, Any]], config: ConfigDict
) -> dict[str, Any]:
    """One sampler for the record. rows: its chains from noise, then its round trips."""
    backward, *trips = rows
    curves = describe_sampler(
        population.features,
        {name: feature["exact"] for name, feature in exact["features"].items()},
        Noise(np.array(grid.queried), np.array(exact["abar"])),
        backward,
        trips,
        _size(config),
        chosen_readers(config)[0],
    )
    commits = {row.get("commit", "not stated") for row in rows}
    seconds = sum(row["seconds"] for row in rows)
    return {"num_steps": len(grid.steps) - 1, "seconds": seconds, "commits": sorted(commits)} | curves


def accuracy_at_start(population: Population, schedule: Schedule, seed: int) -> float:
    """`best_accuracy_at_start` of members noised to T against the N(0, I) from which chains start."""
    x, _ = draw_members(population.access, jax.random.key(seed), START_IMAGES, population.num_members)
    return best_accuracy_at_start(np.asarray(x), float(schedule.gamma(np.float32(1))))


def exact_record(workdir: pathlib.Path) -> dict[str, Any]:
    """`exact.json`. Raises `UserError` where it is missing or incomplete."""
    record = Workdir(workdir).exact
    if not all(record.get(part) for part in ("timesteps", "abar", "features", "settings")):
        raise UserError(f"no exact curves in {workdir} to be compared with; --jobs=exact,chains measures them first")
    return record


def _open_log(workdir: pathlib.Path) -> MetricsLog:
    """The lines so far, without an incomplete last one."""
    log = MetricsLog(workdir / LINES)
    log.truncate_after(max((row["step"] for row in log.rows()), default=0))
    return log


def _only(exact: dict[str, Any], queried: np.ndarray) -> dict[str, Any]:
    """The exact curves at the queried timesteps."""
    where = [exact["timesteps"].index(step) for step in queried]
    features = {}
    for name, feature in exact["features"].items():
        curves = {key: [values[i] for i in where] for key, values in feature["exact"].items()}
        features[name] = feature | {"exact": curves}
    return {"abar": [exact["abar"][i] for i in where], "features": features}


def _size(config: ConfigDict) -> int:
    """`num_queries` in whole batches."""
    return -(-config.num_queries // config.batch_size) * config.batch_size


def _name(chosen: ChosenSampler, start: int | None) -> str:
    return f"{MODEL if chosen.trained else ''}{chosen.name}, {chosen.num_steps} steps, {_way(start)}"


def _way(start: int | None) -> str:
    return "from noise" if start is None else f"there and back from {start}"


say = partial(print, "chains:", flush=True)
