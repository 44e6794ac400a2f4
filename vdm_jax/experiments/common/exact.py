"""The exact job: what the best probe of every feature knows at every timestep, without any training."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.base.provenance import provenance
from vdm_jax.data.sprite_covariance import sprite_covariance
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.diffusion.theory import Covariance, speciation_abar, time_of_abar
from vdm_jax.experiments.probes.build import ProbeExperiment, gammas_at, timesteps
from vdm_jax.launch import store as workdirs
from vdm_jax.probing.exact import Instrument, Level, make_instrument, measure_curve
from vdm_jax.probing.windows import Noise, jackknife_errors, noise_of, share_known, windows_of
from vdm_jax.report.workdir import Workdir
from vdm_jax.train.checkpoint import saved_checkpoints
from vdm_jax.train.metrics import MetricsLog, read_metrics

BATCHES = "exact.jsonl"  # a line a batch of queries, as they are measured
RECORDS = {"exact": (BATCHES,), "probe": ("probe", "probe.json")}  # what belongs to the settings of a section
NO_SETTING = ("probe.memory_gib ", "probe.at_once ", "data.dir ")  # change no result: the data are known by content
ONLY_JUDGES = ("probe.shortfall ",)  # changes what is said of a result, and nothing that is stored for it


class Subject(NamedTuple):
    """What exact curves are measured of."""

    config: ConfigDict
    schedule: Schedule
    features: dict[str, Feature]
    instrument: Instrument
    identity: str  # of the data
    num_images: int
    known: dict[str, Any]  # of the data, for the record


def exact(experiment: ProbeExperiment, workdir: pathlib.Path) -> str:
    """The exact curves of all sprites of a grid: see `measure_exactly`."""
    grid = experiment.grid
    features, instrument = experiment.posterior.features, make_sprite_instrument(experiment)
    known = {"speciation": speciation(sprite_covariance(grid), experiment.schedule)}
    subject = Subject(
        experiment.config, experiment.schedule, features, instrument, experiment.identity, len(grid), known
    )
    return measure_exactly(subject, workdir)


def measure_exactly(subject: Subject, workdir: pathlib.Path) -> str:
    """Writes `exact.json`; returns "done". A kill loses the batch that was being measured; the same command goes on.

    {"timesteps", "abar", "num_queries", "features": {name: {"exact": {"accuracy": […], "accuracy_standard_error": […],
    …}, "entropy_nats", "variance", "windows": {"95%": t, "50%": t, "5%": t}, "windows_standard_error"}}, what is known
    of the data, "settings", "provenance"}.
    """
    config, features = subject.config.exact, subject.features
    steps = timesteps(config.num_timesteps, subject.schedule)
    gammas = gammas_at(subject.schedule, steps)
    settings = workdirs.plain(subject.config)
    check_folder(workdir, settings, subject.identity)
    check_timesteps(workdir, steps)
    workdirs.claim(workdir, subject.config, subject.identity)
    say(f"{subject.num_images:,} images, {len(steps)} timesteps, standard errors below {config.tolerance}")
    log = MetricsLog(workdir / BATCHES)
    levels = measure_curve(
        subject.instrument,
        features,
        gammas,
        key=named_key(jax.random.key(config.seed), "exact"),
        max_queries=config.max_queries,
        tolerance=config.tolerance,
        done=_batches(log),
        keep=lambda row: log.write(row if row["step"] else row | {"timesteps": steps.tolist()}),
        progress=bar("exact"),
    )
    noise = noise_of(steps, gammas)
    found = {name: describe(features[name], name, noise, levels) for name in features}
    origin = {"config": subject.config.name, "seed": config.seed, "data": subject.identity}
    about = {"settings": settings, "provenance": provenance() | origin}
    record = {
        "timesteps": steps.tolist(),
        "abar": noise.abar.tolist(),
        "num_queries": [level.num_queries for level in levels],
    }
    write_json(workdir / "exact.json", record | {"features": found} | subject.known | about)
    return "done"


def speciation(covariance: Covariance, schedule: Schedule) -> dict[str, float | None]:
    """{"abar", "timestep"} of data with that covariance; no timestep where the schedule does not come so low."""
    abar = speciation_abar(covariance)
    lowest = float(1 / (1 + np.exp(float(schedule.gamma(jnp.float32(1))))))
    timestep = time_of_abar(schedule, abar) * schedule.num_steps if lowest < abar < 1 else None
    return {"abar": abar, "timestep": timestep}


def make_sprite_instrument(experiment: ProbeExperiment) -> Instrument:
    """Batches of images spread evenly over the factors, each with eps and with -eps."""
    grid, posterior, num = experiment.grid, experiment.posterior, experiment.config.exact.batch_size // 2

    def draw(key):
        eps = jax.random.normal(named_key(key, "eps"), (num, grid.side, grid.side, 1))
        return posterior.evidence(grid.spread(named_key(key, "x"), num), eps)

    return make_instrument(draw, posterior.classes_from, posterior.features, 2 * num)


def _batches(log: MetricsLog) -> list[dict[str, Any]]:
    """Those measured so far; a line that a kill tore goes. Raises `UserError` for lines of another layout."""
    rows = log.rows()
    if any("means" not in row for row in rows):
        raise UserError(f"{log.path} holds no batches of queries but something older; delete it to measure again")
    log.truncate_after(len(rows))
    return rows


def check_folder(workdir: pathlib.Path, settings: dict[str, Any], identity: str) -> None:
    """Raises `UserError` where the folder holds a training, or measurements or probes with other settings, or of other
    data than those of this name and content."""
    if saved_checkpoints(workdir / "checkpoints"):
        raise UserError(f"workdir {workdir} holds a training; choose another --workdir")
    for what, section in (("measurements", "exact"), ("probes", "probe")):
        if any((workdir / name).exists() for name in RECORDS[section]):
            stored = workdirs.read_config(workdir / "config.json")
            asked = {"exact.num_timesteps": settings["exact"]["num_timesteps"]}  # the probes' timesteps too
            there = {"exact.num_timesteps": stored.get("exact", {}).get("num_timesteps")}
            sections = ("data", "diffusion", section, "exact.num_timesteps")
            refuse_differences(workdir, stored | there, settings | asked, sections, what)
    origin = Workdir(workdir).exact.get("provenance")
    known = [origin["data"]] if isinstance(origin, dict) and "data" in origin else []  # an older record does not say
    if any((workdir / name).exists() for name in workdirs.MEASURED):
        known.append(workdirs.read_config(workdir / "data.json").get("fingerprint"))
    for there in known:
        if identity.startswith(f"{there} "):
            told = f"measured before data were known by their content ({there} there, {identity} here)"
            raise UserError(f"workdir {workdir} was {told}; choose another --workdir")
        if there != identity:
            told = f"{there} there, {identity} here; choose another --workdir"
            raise UserError(f"workdir {workdir} was measured on other data of that name: {told}")


def check_timesteps(workdir: pathlib.Path, steps: np.ndarray) -> None:
    """Raises `UserError` where there are exact curves, whole or in part, at other timesteps: an earlier version, which
    did not state them in its batches, had them even in time also where the schedule adds no noise."""
    record, here = Workdir(workdir).exact, steps.tolist()
    rows = read_metrics(workdir / BATCHES) if (workdir / BATCHES).exists() else []
    even = np.unique(np.linspace(0, here[-1], len(here)).round().astype(int)).tolist()
    of_batches = [row.get("timesteps", even) for row in rows[:1] if "means" in row]
    of_record = [record["timesteps"]] if "features" in record and isinstance(record.get("timesteps"), list) else []
    for there in of_batches + of_record:
        if there != here:
            first = next((a, b) for a, b in zip([*there, None], [*here, None], strict=False) if a != b)
            told = "timestep {} there, {} here; choose another --workdir".format(*first)
            raise UserError(f"workdir {workdir} holds exact curves at other timesteps: {told}")


def refuse_differences(
    workdir: pathlib.Path,
    stored: dict[str, Any],
    wanted: dict[str, Any],
    sections: Sequence[str],
    what: str = "measurements",
) -> None:
    """Raises `UserError` where what is there depends on other settings than those wanted."""
    told = [line for key in sections for line in workdirs.differences_of(stored.get(key), wanted[key], key)]
    told = [line for line in dict.fromkeys(told) if not line.startswith((*NO_SETTING, *ONLY_JUDGES))]
    if told:
        raise UserError(f"workdir {workdir} holds other {what}: {'; '.join(told[:3])}; choose another --workdir")


def describe(feature: Feature, name: str, noise: Noise, levels: Sequence[Level]) -> dict[str, Any]:
    """Curves as lists over the timesteps, and when 95%, 50% and 5% of what there is to know is still there."""
    curves = {key: [level.features[name][key] for level in levels] for key in levels[0].features[name]}
    return {
        "exact": curves,
        "entropy_nats": feature.entropy,
        "variance": None if feature.values is None else feature.variance,
        "windows": windows_of(noise, share_known(feature, curves)),
        "windows_standard_error": jackknife_errors(noise, np.stack([level.without[name] for level in levels], axis=1)),
    }


def say(what: str) -> None:
    print(f"exact: {what}", flush=True)
