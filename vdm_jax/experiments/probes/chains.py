"""The chains job: when a sampler decides each feature, what a round trip keeps, what tells its z_t from noised data."""

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
from vdm_jax.evals.feature_reader import FeatureReader
from vdm_jax.experiments.probes.build import (
    MODEL,
    ChosenSampler,
    ProbeExperiment,
    chosen_readers,
    chosen_samplers,
    every_nth,
    gammas_at,
)
from vdm_jax.experiments.probes.chain_parts import (
    about_model,
    about_reader,
    make_subject,
    make_walk,
    model_of,
    trained_reader,
)
from vdm_jax.launch import store as workdirs
from vdm_jax.probing.chain_curves import describe_sampler, gather, summarise_backward, summarise_round_trip
from vdm_jax.probing.chains import make_backward, make_grid, make_round_trip
from vdm_jax.probing.two_samples import start_told_apart
from vdm_jax.probing.windows import Noise
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.train.metrics import MetricsLog

LINES = "chains.jsonl"  # a line for each sampler's chains from noise and for each of its round trips
START_IMAGES = 100


class Part(NamedTuple):
    """What is measured in one go: chains from noise where `start` is None, else round trips from that timestep."""

    sampler: str
    num_steps: int
    model: str  # as `model_of` tells it
    start: int | None


def chains(experiment: ProbeExperiment, workdir: pathlib.Path) -> str:
    """Writes `chains.json` beside `exact.json`, which must be there; returns "done".

    {"timesteps", "abar", "num_queries", "readers", "start_told_apart_at_most", "features": {name: {"exact": curves,
    "windows"}}, "samplers": {as typed: {"num_steps", "seconds", "commits" that measured it} and what
    `describe_sampler` tells}, "model": the trained one, "net": errors of the network that reads, "settings",
    "provenance"}. "features" of a sampler are as the first reader reads them, "real_or_generated" is {"accuracy",
    "standard_error", "distance"}.

    A kill loses the part that was being measured; the same command goes on, also with further samplers or with round
    trips, and with the model trained further: what was measured of other weights is measured again.
    """
    config, settings = experiment.config.chains, workdirs.plain(experiment.config)
    exact = exact_record(workdir)
    asked = every_nth(exact["timesteps"], config.every)
    log = _open_log(workdir)
    samplers = chosen_samplers(config)
    starts = (None, *asked.tolist()) if config.round_trips else (None,)
    rows = {Part(*(row[name] for name in Part._fields)): row for row in log.rows() if "sampler" in row}
    parts_of = {
        chosen: [Part(chosen.name, chosen.num_steps, model_of(experiment, chosen), start) for start in starts]
        for chosen in samplers.values()
    }
    left = [(chosen, part) for chosen, parts in parts_of.items() for part in parts if part not in rows]
    net, code = (trained_reader(experiment) if left else None), commit()
    measures = {chosen: _Measure(experiment, chosen, asked, net) for chosen in samplers.values()}
    for index in bar("chains")(range(len(left))):
        chosen, part = left[index]
        began = time.monotonic()
        row = measures[chosen](part.start) | {"commit": code} | ({} if net is None else {"net": about_reader(net)})
        rows[part] = {"step": len(rows), **part._asdict(), **row, "seconds": time.monotonic() - began}
        log.write(rows[part])
        say(f"{_name(chosen, part.start)}: {rows[part]['seconds']:.1f} s")
    exact = _only(exact, asked)
    found = {}
    for text, chosen in samplers.items():
        backward, *trips = (rows[part] for part in parts_of[chosen])
        curves = describe_sampler(
            experiment.posterior.features,
            {name: feature["exact"] for name, feature in exact["features"].items()},
            Noise(asked, np.array(exact["abar"])),
            backward,
            trips,
            _size(config),
            chosen_readers(config)[0],
        )
        seconds = sum(row["seconds"] for row in (backward, *trips))
        commits = {row.get("commit", "not stated") for row in (backward, *trips)}
        told = {"num_steps": len(measures[chosen].grid.steps) - 1, "seconds": seconds, "commits": sorted(commits)}
        found[text] = told | curves
    record = {"timesteps": asked.tolist(), "abar": exact["abar"], "num_queries": _size(config)}
    record["start_told_apart_at_most"] = _start_told_apart(experiment)
    record |= {"model": about_model(experiment), "readers": chosen_readers(config), "net": backward.get("net")}
    about = {"settings": settings, "provenance": provenance() | {"config": experiment.config.name, "seed": config.seed}}
    write_json(workdir / "chains.json", record | {"features": exact["features"], "samplers": found} | about)
    return "done"


class _Measure:
    """One sampler's measurements, compiled when the first of them is made."""

    def __init__(
        self, experiment: ProbeExperiment, chosen: ChosenSampler, asked: np.ndarray, net: FeatureReader | None
    ):
        self._config, self._features = experiment.config.chains, experiment.posterior.features
        self.grid = make_grid(asked, chosen.num_steps, experiment.schedule)
        subject, walk = make_subject(experiment, net), make_walk(experiment, chosen, self.grid)
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


def exact_record(workdir: pathlib.Path) -> dict[str, Any]:
    """`exact.json`. Raises `UserError` where it is missing or incomplete."""
    record = Workdir(workdir).exact
    if not all(record.get(part) for part in ("timesteps", "abar", "features", "settings")):
        raise UserError(f"no exact curves in {workdir} to be compared with; --jobs=exact,chains measures them first")
    return record


def _open_log(workdir: pathlib.Path) -> MetricsLog:
    """The lines so far. A line that a kill cut short is removed."""
    log = MetricsLog(workdir / LINES)
    log.truncate_after(max((row["step"] for row in log.rows()), default=0))
    return log


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
    return start_told_apart(np.asarray(x), float(experiment.schedule.gamma(np.float32(1))))


def _size(config: ConfigDict) -> int:
    """Whole batches."""
    return -(-config.num_queries // config.batch_size) * config.batch_size


def _name(chosen: ChosenSampler, start: int | None) -> str:
    way = "from noise" if start is None else f"there and back from {start}"
    return f"{MODEL if chosen.trained else ''}{chosen.name}, {chosen.num_steps} steps, {way}"


def say(what: str) -> None:
    print(f"chains: {what}", flush=True)
