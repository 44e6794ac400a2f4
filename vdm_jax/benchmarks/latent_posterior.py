"""How fast are the exact curves of a latent space? `python -m vdm_jax.benchmarks.latent_posterior`

Seconds of the exact curves of five features at 21 timesteps of the linear table, as the job `exact` measures them;
beside them a NumPy implementation of the same arithmetic in float32, timed in turn in one run. Codes are random:
stochastic (a mean and a variance for each image) or deterministic. Compilation is reported apart. The record states the
largest difference of the class probabilities from those of NumPy in float64. One record, after every case.
"""

import argparse
import math
import sys
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from vdm_jax.base.ending import exit_code
from vdm_jax.base.errors import UserError, choose
from vdm_jax.benchmarks import numpy_posterior
from vdm_jax.benchmarks.command import check_common, write_record
from vdm_jax.benchmarks.measure import Contender, ratio, side_by_side
from vdm_jax.diffusion.mixture_posterior import mixture_posterior
from vdm_jax.diffusion.posterior import Feature, finite_posterior
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.diffusion.timesteps import gammas_at, timesteps
from vdm_jax.probing.exact import measure_curve, population_estimator
from vdm_jax.probing.population import Access, Population

NAMES = ("shape", "scale", "orientation", "x", "y")
# The number of values of each factor: one image for each combination.
GRIDS = {
    "tiny": (2, 2, 3, 2, 2),  # 48 images
    "small": (3, 4, 12, 8, 8),  # 9,216
    "tenth": (3, 6, 40, 10, 10),  # 72,000, about a tenth of dSprites
    "dsprites": (3, 6, 40, 32, 32),  # 737,280
}
CODES = ("stochastic", "deterministic")
COMPARED = 4  # queries whose probabilities are compared, with eps and with -eps


class Case(NamedTuple):
    """The codes of one grid, and their features."""

    name: str
    mean: np.ndarray  # [N, D]
    variance: np.ndarray | None
    labels: dict[str, np.ndarray]
    features: dict[str, Feature]


def make_case(grid: str, size: int, code: str) -> Case:
    """Means are a sum of a random vector for each value of each factor, and of noise; variances are e^-7 … e^-1."""
    sizes, random = GRIDS[grid], np.random.default_rng(0)
    labels = dict(zip(NAMES, np.unravel_index(np.arange(math.prod(sizes)), sizes), strict=True))
    mean = random.standard_normal((math.prod(sizes), size), np.float32) / 3
    for label, number in zip(labels.values(), sizes, strict=True):
        mean += random.standard_normal((number, size), np.float32)[label] / 3
    variance = np.exp(random.uniform(-7, -1, mean.shape)).astype(np.float32) if code == "stochastic" else None
    labels["orientation"] = labels["shape"] * sizes[2] + labels["orientation"]
    values = {name: np.arange(label.max() + 1.0)[:, None] for name, label in labels.items() if name != "shape"}
    features = {name: Feature(np.full(n := label.max() + 1, 1 / n), values.get(name)) for name, label in labels.items()}
    return Case(f"{grid}-{len(mean)}x{size}-{code}", mean, variance, labels, features)


def population_of(case: Case) -> Population:
    """What the job `exact` measures; the queries are random members."""
    if case.variance is None:
        posterior = finite_posterior(case.mean, case.labels, case.features)
    else:
        posterior = mixture_posterior(case.mean, case.variance, case.labels, case.features)
    num = len(case.mean)
    access = Access(
        take=Partial(lambda mean, index, key=None: mean[index], jnp.asarray(case.mean)),
        labels=Partial(lambda index: {}),
        spread=Partial(lambda key, n: jax.random.randint(key, (n,), 0, num)),
        posterior=posterior,
    )
    return Population(case.mean.shape[1:], case.name, num, case.features, {}, access)


def measure(case: Case, options: argparse.Namespace) -> dict:
    """Ours and NumPy in turn, seconds for all curves; the difference of their probabilities."""
    schedule = make_schedule("ddpm_linear", num_steps=1000)
    gammas = gammas_at(schedule, timesteps(options.num_timesteps, schedule))
    began = time.perf_counter()
    population = population_of(case)
    estimator = population_estimator(population, options.batch_size // 2)
    settings = {"max_queries": options.queries, "tolerance": 0.0}
    curve = partial(measure_curve, estimator, case.features, gammas, key=jax.random.key(0), **settings)
    jax.block_until_ready(estimator.means(estimator.draw(jax.random.key(0)), jnp.float32(gammas[-1])))
    prepared = time.perf_counter() - began
    contenders = [Contender("vdm_jax", lambda n: [curve() for _ in range(n)] and None)]
    if not options.no_peer:
        peer = partial(numpy_posterior.measure_curve, case, gammas, options.queries, options.batch_size)
        contenders.append(Contender("numpy", lambda n: [peer() for _ in range(n)] and None))
    times = side_by_side(contenders, rounds=options.rounds, seconds=options.seconds)
    found = {name: timing.record() for name, timing in times.items()}
    found["vdm_jax"]["seconds_to_prepare_and_compile"] = prepared
    found["largest_difference"] = largest_difference(case, population, gammas)
    if "numpy" in times:
        found["times_as_fast_as_numpy"] = ratio(times["numpy"], times["vdm_jax"])
    return found


def largest_difference(case: Case, population: Population, gammas: np.ndarray) -> dict[str, float]:
    """Of the class probabilities of some queries from those in float64: over all timesteps, and all but the first."""
    posterior, num = population.posterior, min(COMPARED, len(case.mean))
    eps = jax.random.normal(jax.random.key(1), (num, case.mean.shape[1]))
    index = jnp.arange(num) * (len(case.mean) // num)
    kept = jax.jit(lambda posterior, index, eps: posterior.correlate(index, eps))(posterior, index, eps)
    classes_from = jax.jit(lambda posterior, kept, gamma: posterior.classes_from(kept, gamma))
    worst = []
    for gamma in gammas:
        expected = numpy_posterior.classes(case, case.mean[np.asarray(index)], np.asarray(eps), float(gamma))
        found = classes_from(posterior, kept, jnp.float32(gamma))
        worst.append(max(float(np.abs(found[name] - expected[name]).max()) for name in expected))
    return {"all": max(worst), "after_timestep_0": max(worst[1:])}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The flags."""
    what = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m vdm_jax.benchmarks.latent_posterior", description=what)
    parser.add_argument("--grids", default="small", help=f"of {', '.join(GRIDS)} (%(default)s)")
    parser.add_argument("--sizes", default="256", help="values of a code (%(default)s)")
    parser.add_argument("--codes", default=",".join(CODES), help="(%(default)s)")
    parser.add_argument("--queries", type=int, default=2_000, help="of each timestep (%(default)s)")
    parser.add_argument("--batch_size", type=int, default=250, help="queries at a time (%(default)s)")
    parser.add_argument("--num_timesteps", type=int, default=21, help="from 0 to 1,000 (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="in which both are timed in turn (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each contender of a case (%(default)s)")
    parser.add_argument("--no_peer", action="store_true", help="omit NumPy")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"), help="folder (%(default)s)")
    return parser.parse_args(arguments)


def cases(options: argparse.Namespace) -> list[tuple[str, int, str]]:
    """Grid, size and code of each case. Raises `UserError` for a name or a number that is not possible."""
    grids, sizes, codes = (getattr(options, name).split(",") for name in ("grids", "sizes", "codes"))
    for flag, names, registry in (("--grids", grids, GRIDS), ("--codes", codes, dict.fromkeys(CODES))):
        for name in names:
            choose(flag, name, registry)
    for size in sizes:
        if not size.isdecimal() or int(size) < 1:
            raise UserError(f"--sizes={size}; expected numbers of values, each at least 1")
    for name, least in (("queries", 2), ("batch_size", 2), ("num_timesteps", 2)):
        number = getattr(options, name)
        if number < least or (name == "batch_size" and number % 2):
            even = ", and even" if name == "batch_size" else ""
            raise UserError(f"--{name}={number}; expected at least {least}{even}")
    options.patience = 1.0  # not used: there is one way in NumPy
    check_common(options)
    return [(grid, int(size), code) for grid in grids for size in sizes for code in codes]


def line(name: str, found: dict) -> str:
    """One case in a line."""
    text = f"{name}: {found['vdm_jax']['seconds_per_step']:.3g} s"
    if "times_as_fast_as_numpy" in found:
        times = found["times_as_fast_as_numpy"]
        text += f"; {times['median']:.2f} ({times['range'][0]:.2f} … {times['range'][1]:.2f}) times as fast as NumPy"
    return text + f"; largest difference from float64 {found['largest_difference']['all']:.1g}"


def main(arguments: list[str] | None = None) -> int:
    """The whole benchmark; the exit code."""
    options, record = parse(arguments), {"cases": {}}
    try:
        todo = cases(options)
    except UserError as error:
        print(f"latent_posterior: {error}", file=sys.stderr)
        return 2
    for grid, size, code in todo:
        case = make_case(grid, size, code)
        record["cases"][case.name] = found = measure(case, options)
        path = write_record("latent_posterior", options, record)
        print(line(case.name, found), flush=True)
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(exit_code("latent_posterior", main))
