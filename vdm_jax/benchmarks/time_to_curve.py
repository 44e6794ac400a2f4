"""How long until every probe is at the exact curve? `python -m vdm_jax.benchmarks.time_to_curve --config=FILE.py`

Seconds of training until each probe of all timesteps of a config of probes is within 0.02 of the exact accuracy or
R²: separate nets a feature or one trunk for all; fresh (`matched`: begun from labelled examples), from one timestep
that is trained first, or each from its neighbour. On one device, all ways in turn, seed after seed; compiling and
evaluations do not count. One record, and a figure of how many are there against time.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vdm_jax.base.ending import exit_code
from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.files import write_file
from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import make_mesh
from vdm_jax.benchmarks.command import write_record
from vdm_jax.diffusion.timesteps import gammas_at, timesteps
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.experiments.probes.build import ProbeExperiment, build_probes
from vdm_jax.experiments.probes.training import build_ensemble
from vdm_jax.launch import flags
from vdm_jax.launch import store as workdirs
from vdm_jax.probing.ensemble import timestep_keys
from vdm_jax.probing.heads import MEMBERS
from vdm_jax.probing.time_to_curve import Course, from_neighbours, from_one, make_fit_to_curve, make_gap
from vdm_jax.probing.training import warm_start_index
from vdm_jax.report.compare.race import race_figure
from vdm_jax.report.primitives.style import to_png

DEFAULT_CONFIG = "configs/probes.py"
NEVER = -1.0  # no gap is smaller: a training without an early end
STARTS = ("fresh", "one", "neighbour")
OWN = ("members", "num_seeds", "num_validation", "updates_per_round")  # settings of `probe` that the race sets
WAYS = {f"{members}-{start}": (members, start) for members in MEMBERS for start in STARTS}


class Way(NamedTuple):
    """`train(seed) -> Course` of all timesteps; programs are compiled in the first call alone."""

    name: str
    train: Callable[[int], Course]


def make_way(options: argparse.Namespace, experiment: ProbeExperiment, name: str) -> Way:
    """One of `WAYS`, with the nets and the training that the config states."""
    members, start = WAYS[name]
    steps = timesteps(experiment.config.exact.num_timesteps, experiment.schedule)
    gammas, index = np.unique(gammas_at(experiment.schedule, steps), return_index=True)
    conditions, first = {"gamma": jnp.asarray(gammas, jnp.float32)}, warm_start_index(gammas)
    config = experiment.config.copy_and_resolve_references()
    config.probe.update(members=members, num_seeds=1, num_validation=config.probe.batch_size)
    config.probe.updates_per_round = options.updates_per_round
    ensemble, sources = build_ensemble(config.probe, experiment.population)
    exact = experiment.population.posterior.classes

    def make_fit(num_updates: int, within: float) -> Callable[..., Course]:
        training = dataclasses.replace(ensemble.training, num_updates=num_updates)
        own = dataclasses.replace(ensemble, training=training, mesh=make_mesh(1))
        gap = make_gap(own, sources["test"], -(-options.num_test // config.probe.batch_size), exact)
        return make_fit_to_curve(own, gap, within)

    fit = make_fit(options.fresh_updates if start == "fresh" else config.probe.num_updates, options.within)
    begin = make_fit(config.probe.warm_updates, NEVER)

    def train(seed: int) -> Course:
        key = jax.random.key(seed)
        keys = timestep_keys(key, steps[index])
        if start == "fresh":
            return fit(keys, conditions)
        warm = timestep_keys(named_key(key, "warm_start"), steps[index][first : first + 1])
        begun = begin(warm, {"gamma": conditions["gamma"][first : first + 1]})
        if start == "one":
            return from_one(begun, fit, keys, conditions)
        return from_neighbours(begun, fit, first, keys, conditions)

    return Way(name, train)


def describe(courses: dict[str, list[Course]], within: float) -> dict[str, Any]:
    """The record of each way over the seeds so far: seconds until all probes are within (None for a seed where one
    never was), the largest gap at the end, and the course of the training."""
    found: dict[str, Any] = {}
    for name, own in courses.items():
        there = [bool((course.gap[-1] <= within).all()) for course in own]
        found[name] = {
            "seconds_to_curve": [float(c.seconds[-1]) if ok else None for c, ok in zip(own, there, strict=True)],
            "largest_missed_at_the_end": [float(course.gap[-1].max()) for course in own],
            "probes": int(own[0].gap[0].size),
            "course": [
                {"seconds": course.seconds.tolist(), "share_there": (course.gap <= within).mean((1, 2)).tolist()}
                for course in own
            ],
        }
    return found


def parse(arguments: list[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """(options, the remaining arguments, which set the config)."""
    what = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(
        prog="python -m vdm_jax.benchmarks.time_to_curve",
        description=what,
        allow_abbrev=False,
        epilog="--config=FILE.py[:VARIANT] and --config.KEY=VALUE as of launch.py: nets, batch and training of `probe`",
    )
    parser.add_argument("--ways", default=",".join(WAYS), help="(%(default)s)")
    parser.add_argument("--within", type=float, default=0.02, help="of the exact accuracy or R² (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="(%(default)s)")
    parser.add_argument(
        "--fresh_updates", type=int, default=100, help="at most, of those not begun from another (%(default)s)"
    )
    parser.add_argument(
        "--updates_per_round", type=int, default=10, help="between two evaluations, whole rounds (%(default)s)"
    )
    parser.add_argument("--num_test", type=int, default=1_024, help="images of an evaluation (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"), help="folder (%(default)s)")
    return parser.parse_known_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """The whole benchmark; the exit code."""
    options, of_config = parse(arguments)
    try:
        names = check(options)
        if foreign := [name for name in map(name_of, of_config) if name in flags.OF_A_RUN]:
            raise UserError(f"--{foreign[0]} is a flag of launch.py; the race has no folder or jobs, but --out")
        parsed = flags.parse(["time_to_curve", *of_config], KINDS, DEFAULT_CONFIG)
        if parsed.config.kind != "probes":
            raise UserError(f"--config={parsed.file} is of kind {parsed.config.kind!r}; expected one of kind 'probes'")
        if own := [name for name in OWN if f"probe.{name}" in parsed.overrides]:
            raise UserError(f"--config.probe.{own[0]} is set by the race itself: see --ways and --updates_per_round")
        experiment = build_probes(parsed.config)
        ways = [make_way(options, experiment, name) for name in names]
    except UserError as error:
        print(f"time_to_curve: {error}", file=sys.stderr)
        return 2
    courses: dict[str, list[Course]] = {way.name: [] for way in ways}
    for seed in range(options.seeds):
        for way in ways:
            courses[way.name].append(way.train(seed))
            print(line(way.name, courses[way.name][-1], options.within), flush=True)
        found = describe(courses, options.within)
        path = write_record("time_to_curve", options, {"config": workdirs.plain(parsed.config), "ways": found})
        picture = to_png(race_figure(found, options.within))
        write_file(path.with_suffix(".png"), lambda file, picture=picture: file.write(picture))
    print(path)
    return 0


def name_of(argument: str) -> str:
    """The flag that an argument sets, without its dashes; nothing for what is no flag."""
    return argument.partition("=")[0].lstrip("-") if argument.startswith("-") else ""


def check(options: argparse.Namespace) -> list[str]:
    """The ways that `--ways` names. Raises `UserError` for an unknown one, or a number out of range."""
    names = options.ways.split(",")
    for name in names:
        choose("--ways", name, WAYS)
    for what in ("seeds", "fresh_updates", "updates_per_round", "num_test"):
        if getattr(options, what) < 1:
            raise UserError(f"--{what}={getattr(options, what)}; expected at least 1")
    workdirs.check_place(options.out, "out")
    if not options.within > 0:
        raise UserError(f"--within={options.within}; expected a number above 0")
    return names


def line(name: str, course: Course, within: float) -> str:
    """One way with one seed in a line."""
    left = int((course.gap[-1] > within).sum())
    text = f"{name}: {course.seconds[-1]:.1f} s of training, "
    if not left:
        return text + "all probes there"
    return text + f"{left} of {course.gap[-1].size} probes not there, largest gap {course.gap[-1].max():.3f}"


if __name__ == "__main__":
    sys.exit(exit_code("time_to_curve", main))
