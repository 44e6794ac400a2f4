"""The exact job: the scores of the best probe of every feature at every timestep, without any training."""

import math
import pathlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.base.provenance import provenance
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.diffusion.theory import Covariance, speciation_abar, time_of_abar
from vdm_jax.diffusion.timesteps import gammas_at, timesteps
from vdm_jax.experiments.common.build import fixed_table
from vdm_jax.experiments.common.checks import SEED, check_numbers
from vdm_jax.experiments.common.populations import identity_of, make_population
from vdm_jax.experiments.common.space.encoded import EncodedSpace
from vdm_jax.experiments.common.space.settings import check_space
from vdm_jax.launch.settings import plain
from vdm_jax.probing.exact import CurvePoint, measure_curve, population_estimator
from vdm_jax.probing.population import Population
from vdm_jax.probing.windows import Noise, describe_windows, noise_of, share_known
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.train.metrics import MetricsLog, read_metrics

BATCHES = "exact.jsonl"  # a line a batch of queries, as they are measured
NUMBERS = (
    ("1 to 1,000,000", lambda value: 1 <= value <= 1_000_000, "diffusion.num_steps"),
    ("at least 2", lambda value: value >= 2, "exact.num_timesteps exact.batch_size exact.max_queries"),
    ("a number above 0", lambda value: 0 < value < math.inf, "exact.tolerance"),
    (*SEED, "exact.seed"),
)


@dataclass(frozen=True)
class ExactExperiment:
    """What the exact job needs: a config with sections data, space, diffusion and exact, the data, a table of noise.

    space: None in pixels.
    """

    config: ConfigDict
    data: Dataset
    schedule: Schedule
    space: EncodedSpace | None = None

    @property
    def identity(self) -> str:
        """The name and the content of the data and of the space."""
        return identity_of(self.data, self.space)

    @property
    def about_space(self) -> dict[str, Any]:
        """What records say of the space: {"space": …}; {} of pixels."""
        return {} if self.space is None else {"space": self.space.about}

    @cached_property
    def population(self) -> Population:
        """The population of the data in the space; made when it is first used."""
        return make_population(self.data, self.space)


def exact(experiment: ExactExperiment, workdir: pathlib.Path) -> str:
    """Writes `exact.json`; returns "done". A kill loses the batch in progress; the same command continues.

    {"timesteps", "abar", "num_queries", "features": {name: {"exact": {"accuracy": […], "accuracy_standard_error": […],
    …}, "entropy_nats", "variance", "windows": {"95%": t, "50%": t, "5%": t}, … (`describe_windows`)}}, "speciation",
    "settings", "provenance"}, in a space also "space". For labelled images the population is the training images: the
    curves are no reference for held-out ones, on which a probe that generalises may do better.
    """
    config, population = experiment.config.exact, experiment.population
    steps = timesteps(config.num_timesteps, experiment.schedule)
    gammas, settings = gammas_at(experiment.schedule, steps), plain(experiment.config)
    say(f"{population.num_members:,} images, {len(steps)} timesteps, standard errors below {config.tolerance}")
    points = measure_population(population, gammas, config, MetricsLog(workdir / BATCHES), steps)
    noise = noise_of(steps, gammas)
    record = {
        "timesteps": steps.tolist(),
        "abar": noise.abar.tolist(),
        "num_queries": [point.num_queries for point in points],
        "features": {name: describe(own, name, noise, points) for name, own in population.features.items()},
        "speciation": speciation(population.covariance(), experiment.schedule),
    }
    origin = {"config": experiment.config.name, "seed": config.seed, "data": experiment.identity}
    record |= experiment.about_space
    write_json(workdir / "exact.json", record | {"settings": settings, "provenance": provenance() | origin})
    return "done"


def measure_population(
    population: Population, gammas: np.ndarray, config: ConfigDict, log: MetricsLog, steps: np.ndarray
) -> list[CurvePoint]:
    """The exact curves with the settings of `config.exact`; each batch is a line of `log`."""
    return measure_curve(
        population_estimator(population, config.batch_size // 2),
        population.features,
        gammas,
        key=named_key(jax.random.key(config.seed), "exact"),
        max_queries=config.max_queries,
        tolerance=config.tolerance,
        done=_batches(log),
        keep=lambda row: log.write(row if row["step"] else row | {"timesteps": steps.tolist()}),
        progress=bar("exact"),
    )


def describe_exact(experiment: ExactExperiment) -> Iterator[str]:
    """The lines of `--dry_run`: where the curves are measured."""
    steps = timesteps(experiment.config.exact.num_timesteps, experiment.schedule)
    yield f"exact curves: {len(steps)} timesteps of 0 … {experiment.schedule.num_steps}, over the training images"
    if (space := experiment.space) is not None:
        about = space.about
        shape = "x".join(map(str, space.shape))
        scale = f"scale {about['scale']!r}: factor {about['factor']:.4g} of latents of variance {about['variance']:.4g}"
        yield f"space: {about['name']}, {shape}, {'sampled codes' if space.sampled else 'mean codes'}, {scale}"


def check_exact(config: ConfigDict) -> None:
    """Raises `UserError` for a setting of the exact curves out of range, a schedule that is no table, or as
    `check_space`."""
    check_numbers(config, NUMBERS)
    check_space(config)
    exact, num_steps = config.exact, config.diffusion.num_steps
    if exact.batch_size % 2:
        raise UserError(f"config.exact.batch_size={exact.batch_size}; expected an even number: noise comes in pairs")
    if exact.num_timesteps > num_steps + 1:
        raise UserError(f"config.exact.num_timesteps={exact.num_timesteps}; there are {num_steps + 1}, 0 … {num_steps}")
    fixed_table(config.diffusion)


def speciation(covariance: Covariance, schedule: Schedule) -> dict[str, float | None]:
    """{"abar", "timestep"} of data with that covariance; the timestep is None where abar stays above."""
    abar = speciation_abar(covariance)
    return {"abar": abar, "timestep": timestep_of(schedule, abar)}


def timestep_of(schedule: Schedule, abar: float) -> float | None:
    """The timestep at which abar has fallen to this value; None where it is not below 1 or abar stays above."""
    lowest = float(1 / (1 + np.exp(float(schedule.gamma(jnp.float32(1))))))
    return time_of_abar(schedule, abar) * schedule.num_steps if lowest < abar < 1 else None


def _batches(log: MetricsLog) -> list[dict[str, Any]]:
    """The batches so far, without an incomplete last line. Raises `UserError` for lines of another layout."""
    rows = log.rows()
    if any("means" not in row for row in rows):
        raise UserError(f"{log.path} holds no batches of queries but something older; delete it to measure again")
    log.truncate_after(len(rows))
    return rows


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
            difference = "timestep {} there, {} here; choose another --workdir".format(*first)
            raise UserError(f"workdir {workdir} holds exact curves at other timesteps: {difference}")


def describe(feature: Feature, name: str, noise: Noise, points: Sequence[CurvePoint]) -> dict[str, Any]:
    """Curves as lists over the timesteps, and where 95%, 50% and 5% of the information remain."""
    curves = {key: [point.features[name][key] for point in points] for key in points[0].features[name]}
    return {
        "exact": curves,
        "entropy_nats": feature.entropy,
        "variance": None if feature.values is None else feature.variance,
        **describe_windows(
            noise, share_known(feature, curves), np.stack([point.without[name] for point in points], axis=1)
        ),
    }


def say(what: str) -> None:
    print(f"exact: {what}", flush=True)
