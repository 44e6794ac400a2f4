"""The normality job: whether components of z_t are normally distributed, and when each feature should separate."""

import math
import pathlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer, Key

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.keys import keys_of, named_key
from vdm_jax.base.progress import bar
from vdm_jax.base.provenance import provenance
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.diffusion.theory import between_classes
from vdm_jax.diffusion.timesteps import LEAST_NOISE, gammas_at, timesteps
from vdm_jax.experiments.common.exact import timestep_of
from vdm_jax.experiments.probes.build import ProbeExperiment
from vdm_jax.launch.settings import plain
from vdm_jax.probing.normality import DISTANCES, TESTS, Tested, measure_components, simulate_nulls, varying
from vdm_jax.probing.population import SPACE, Population
from vdm_jax.probing.windows import noise_of

BATCH = 500  # images at a time
CLASS_IMAGES = 20_000  # at most, whose class means give the eigenvalues of features
BINS = 50
FEWEST_IMAGES = 20  # from which on the test of D'Agostino is defined


def check_images(experiment: ProbeExperiment, _: pathlib.Path) -> None:
    """Raises `UserError` for data of too few images to test."""
    data = experiment.data
    if (number := len(data.train if data.grid is None else data.grid)) < FEWEST_IMAGES:
        told = f"data {data.name!r} have {number} images to test for normality; expected at least {FEWEST_IMAGES}"
        raise UserError(f"{told}: leave the job out, such as --jobs=exact,report")


def normality(experiment: ProbeExperiment, workdir: pathlib.Path) -> str:
    """Writes `normality.json`; returns "done".

    {"timesteps", "abar", "num_images" drawn without replacement, "num_values": D, "num_varying": those that differ
    between images, "num_components": tested, evenly chosen from these, "tests": {name: {"rejected": share of the
    components at each timestep, "p_median", "p_smallest", "normal_from": the first timestep from which on nothing is
    rejected, or None; of energy distances also "distance_median", "distance_largest"}}, "histograms": [{"component":
    its index in x, "variance", "edges", "counts": [M][B], "p": {name: [M]}}], "features": {name:
    `feature_speciation`}, "settings", "provenance"}, in a space also "space". The correction is over all components and
    timesteps of a test. The same images and noise serve all timesteps. Where there is no noise, z_t is x itself.
    """
    config, population, schedule = experiment.config.normality, experiment.population, experiment.schedule
    steps = timesteps(experiment.config.exact.num_timesteps, schedule)
    gammas = gammas_at(schedule, steps)
    key = jax.random.key(config.seed)
    x, eps = draw(population, key, config.num_images)
    varies = np.flatnonzero(varying(x))
    chosen = spread_evenly(varies, config.num_components)
    say(f"{len(x):,} images, {len(chosen):,} of {x.shape[1]:,} components, {len(steps)} timesteps")
    record: dict[str, Any] = {"timesteps": steps.tolist(), "abar": noise_of(steps, gammas).abar.tolist()}
    record |= {"num_images": len(x), "num_values": x.shape[1]}
    record |= {"num_varying": len(varies), "num_components": len(chosen)}
    samples = partial(noised_values, x[:, chosen], eps[:, chosen], gammas)
    nulls = simulate_nulls(named_key(key, "null"), len(x), config.num_samples)
    found = measure_components(samples, len(steps), nulls, correction=config.correction, level=config.level)
    record["tests"] = {name: summarise(name, test, steps) for name, test in found.items()}
    shown = by_variance(x[:, chosen], config.num_histograms)
    record["histograms"] = [
        {"component": np.array(np.unravel_index(chosen[i], population.shape)).tolist()}
        | histogram(samples, i, len(steps))
        | {"variance": float(x[:, chosen[i]].var()), "p": {name: found[name].p[:, i].tolist() for name in TESTS}}
        for i in shown
    ]
    record["features"] = feature_speciation(population, named_key(key, "classes"), schedule)
    record |= experiment.about_space
    origin = {"config": experiment.config.name, "seed": config.seed, "data": experiment.identity}
    about = {"settings": plain(experiment.config), "provenance": provenance() | origin}
    write_json(workdir / "normality.json", record | about)
    return "done"


def draw(population: Population, key: jax.Array, num_images: int) -> tuple[np.ndarray, np.ndarray]:
    """x of so many members, all of them where there are fewer, and eps: [n, D] each, float64 on the host.

    Where x is random given the image, it is a draw.
    """
    n = min(num_images, population.num_members)
    index = jax.random.choice(named_key(key, "x"), population.num_members, (n,), replace=False)
    keys = keys_of(named_key(key, SPACE), index)
    x = np.concatenate([values for values, _ in batches(population, index, keys)])
    eps = np.asarray(jax.random.normal(named_key(key, "eps"), x.shape), np.float64)
    return x, eps


def batches(
    population: Population, index: Integer[jax.Array, " n"], keys: Key[jax.Array, " n"] | None = None
) -> Iterator[tuple[Float[np.ndarray, "b d"], dict[str, np.ndarray]]]:
    """x [b, D], float64 on the host, and the labels of members, batch by batch. Without keys x is its mean."""

    @jax.jit
    def of_members(access, index, keys):
        x = access.take(index, keys)
        return x.reshape(len(x), -1), access.labels(index)

    for start in range(0, len(index), BATCH):
        part = slice(start, start + BATCH)
        own = None if keys is None else keys[part]
        x, labels = jax.device_get(of_members(population.access, index[part], own))
        yield np.asarray(x, np.float64), labels


def noised_values(
    x: Float[np.ndarray, "n d"], eps: Float[np.ndarray, "n d"], gammas: Float[np.ndarray, " m"], i: int
) -> Float[np.ndarray, "n d"]:
    """z_t at noise level i; x itself where there is no noise."""
    if gammas[i] <= LEAST_NOISE:
        return x
    alpha, sigma = (float(value) for value in alpha_sigma(jnp.float32(gammas[i])))
    return alpha * x + sigma * eps


def spread_evenly(values: np.ndarray, number: int) -> np.ndarray:
    """At most `number` of the values, evenly spaced, in their order."""
    return values[np.unique(np.linspace(0, len(values) - 1, min(number, len(values))).round().astype(int))]


def by_variance(x: Float[np.ndarray, "n d"], number: int) -> list[int]:
    """`number` components from that of the largest variance to that of the smallest."""
    return spread_evenly(np.argsort(-x.var(axis=0), kind="stable"), number).tolist() if number else []


def histogram(samples: Callable[[int], np.ndarray], component: int, num_levels: int) -> dict[str, Any]:
    """{"edges", "counts"} of a component at each noise level, in the same bins."""
    z = np.stack([samples(i)[:, component] for i in range(num_levels)])
    edges = np.linspace(z.min(), z.max(), BINS + 1)
    return {"edges": edges.tolist(), "counts": [np.histogram(row, edges)[0].tolist() for row in z]}


def summarise(name: str, test: Tested, steps: np.ndarray) -> dict[str, Any]:
    """One test for the record, over the components at each timestep."""
    last = np.flatnonzero(test.rejected.any(axis=1))
    after = int(last[-1]) + 1 if len(last) else 0
    found = {
        "rejected": test.rejected.mean(axis=1).tolist(),
        "p_median": np.median(test.p, axis=1).tolist(),
        "p_smallest": test.p.min(axis=1).tolist(),
        "normal_from": int(steps[after]) if after < len(steps) else None,
    }
    if name in DISTANCES:
        found["distance_median"] = np.median(test.distance, axis=1).tolist()
        found["distance_largest"] = test.distance.max(axis=1).tolist()
    return found


def feature_speciation(population: Population, key: jax.Array, schedule: Schedule) -> dict[str, dict[str, Any]]:
    """For each feature the leading eigenvalue Λ of the covariance of its class means, and two timesteps.

    "timestep": abar = 1/Λ, as of speciation; "unit_snr_timestep": abar Λ = 1 - abar, where the classes are as strong
    as the noise. Each is None where it is not reached. The means are of at most 20,000 members, without replacement.
    """
    n = min(CLASS_IMAGES, population.num_members)
    index = jax.random.choice(key, population.num_members, (n,), replace=False)
    sums = {name: np.zeros((len(own.prior), math.prod(population.shape))) for name, own in population.features.items()}
    counts = {name: np.zeros(len(own.prior)) for name, own in population.features.items()}
    of_batches = batches(population, index)
    for _ in bar("normality: class means")(range(0, n, BATCH)):
        x, labels = next(of_batches)
        for name in sums:
            members = np.eye(len(counts[name]))[labels[name]]
            sums[name] += members.T @ x
            counts[name] += members.sum(axis=0)
    found = {}
    for name, own in counts.items():
        eigenvalue = between_classes(sums[name][own > 0] / own[own > 0, None], own[own > 0])
        published = timestep_of(schedule, 1 / eigenvalue if eigenvalue else math.inf)
        unit_snr = timestep_of(schedule, 1 / (1 + eigenvalue))
        found[name] = {"eigenvalue": eigenvalue, "timestep": published, "unit_snr_timestep": unit_snr}
    return found


say = partial(print, "normality:", flush=True)
