"""The exact job: what the best probe of every feature knows at every timestep, without any training."""

import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.keys import named_key
from vdm_jax.base.provenance import provenance
from vdm_jax.diffusion.optimal import Feature
from vdm_jax.experiments import workdir as workdirs
from vdm_jax.experiments.probes import ProbeExperiment, gammas_at, timesteps
from vdm_jax.experiments.progress import bar
from vdm_jax.probing.exact import make_point, measure_curve
from vdm_jax.probing.windows import crossing_times
from vdm_jax.train.checkpoint import saved_checkpoints
from vdm_jax.train.metrics import MetricsLog

LEVELS = "exact.jsonl"  # a line a timestep, as they are measured
RECORDS = {"exact": (LEVELS,), "probe": ("probe", "probe.json")}  # what belongs to the settings of a section
NO_SETTING = "probe.memory_gib "  # changes no result


def exact(experiment: ProbeExperiment, workdir: pathlib.Path) -> str:
    """Writes `exact.json`; returns "done". A kill loses the timestep that was being measured; the same command goes on.

    {"timesteps", "abar", "num_queries", "features": {name: {"exact": {"accuracy": […], "accuracy_standard_error": […],
    …}, "entropy_nats", "variance", "windows": {"95%": t, "50%": t, "5%": t}}}, "settings", "provenance"}.
    """
    config, grid = experiment.config.exact, experiment.grid
    steps = timesteps(config.num_timesteps, experiment.schedule.num_steps)
    gammas = gammas_at(experiment.schedule, steps)
    settings = workdirs.plain(experiment.config)
    check_folder(workdir, settings)
    workdirs.claim(workdir, experiment.config, f"sprites {grid.name}")
    say(f"{len(grid):,} images, {len(steps)} timesteps, standard errors below {config.tolerance}")

    def draw(key):
        return grid.render(jax.random.randint(key, (config.batch_size,), 0, len(grid)))

    def keep(index: int, level: dict[str, Any]) -> None:
        log.write({"step": index, **level})
        say(f"timestep {steps[index]}: {level['num_queries']} queries")

    features, log = experiment.posterior.features, MetricsLog(workdir / LEVELS)
    log.truncate_after(len(steps))  # a line that a kill tore goes
    levels = measure_curve(
        make_point(draw, experiment.posterior.classes, features),
        features,
        gammas,
        key=named_key(jax.random.key(config.seed), "exact"),
        max_queries=config.max_queries,
        tolerance=config.tolerance,
        done={row.pop("step"): row for row in log.rows()},
        keep=keep,
        progress=bar("exact"),
    )
    abar = 1 / (1 + np.exp(gammas))
    found = {name: describe(features[name], steps, [level["features"][name] for level in levels]) for name in features}
    about = {"settings": settings, "provenance": provenance() | {"config": experiment.config.name, "seed": config.seed}}
    record = {"timesteps": steps.tolist(), "abar": abar.tolist(), "num_queries": [v["num_queries"] for v in levels]}
    write_json(workdir / "exact.json", record | {"features": found} | about)
    return "done"


def check_folder(workdir: pathlib.Path, settings: dict[str, Any]) -> None:
    """Raises `UserError` where the folder holds a training, or measurements or probes with other settings."""
    if saved_checkpoints(workdir / "checkpoints"):
        raise UserError(f"workdir {workdir} holds a training; choose another --workdir")
    for what, section in (("measurements", "exact"), ("probes", "probe")):
        if any((workdir / name).exists() for name in RECORDS[section]):
            stored = workdirs.read_config(workdir / "config.json")
            refuse_differences(workdir, stored, settings, ("data", "diffusion", section), what)


def refuse_differences(
    workdir: pathlib.Path,
    stored: dict[str, Any],
    wanted: dict[str, Any],
    sections: Sequence[str],
    what: str = "measurements",
) -> None:
    """Raises `UserError` where what is there depends on other settings than those wanted."""
    told = [line for key in sections for line in workdirs.differences_of(stored.get(key), wanted[key], key)]
    told = [line for line in told if not line.startswith(NO_SETTING)]
    if told:
        raise UserError(f"workdir {workdir} holds other {what}: {'; '.join(told[:3])}; choose another --workdir")


def describe(feature: Feature, steps: np.ndarray, levels: list[dict[str, float]]) -> dict[str, Any]:
    """Curves as lists over the timesteps, and when 95%, 50% and 5% of what there is to know is still there.

    What is there: R² of a feature with values, I/H of the others.
    """
    curves = {name: [level[name] for level in levels] for name in levels[0]}
    known = np.array(curves["information_nats"]) / feature.entropy if feature.values is None else np.array(curves["r2"])
    windows = {f"{level:.0%}": time for level, time in crossing_times(steps.astype(float), known).items()}
    variance = None if feature.values is None else feature.variance
    return {"exact": curves, "entropy_nats": feature.entropy, "variance": variance, "windows": windows}


def say(what: str) -> None:
    print(f"exact: {what}", flush=True)
