"""The job mixture: two Gaussians of weights 0.2 and 0.8 in the plane, whose score is known at every noise level.

mixture.json has, each number {"value", "standard_error"} over seeds of the training:
"errors": {objective: {"weighted", "unweighted"}}: the squared error of the learned score over the mean square of the
true one, in the mean over the density and over the square [-R, R]². Objectives are compared with the score that they
aim at: of data without noise, at sigma, at the smallest level.
"levels": the same at each noise level of the network with levels.
"langevin": {chains: {"large", "started_large", "moved", "outside"}}: shares of chains.
"known": known answers beside what is measured (`known.py`).
"mixing": the share of chains in the larger mode by step, by the distance of the modes, all from the smaller one.
mixture.npz has the maps and the chains of the first seed.
"""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.files import write_json, write_npz
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.base.provenance import provenance
from vdm_jax.diffusion.prediction import Denoise
from vdm_jax.diffusion.samplers import make_times, sample
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.diffusion.score_matching.langevin import LangevinSampler, langevin
from vdm_jax.diffusion.score_matching.objectives import Score, geometric_sigmas, variance_exploding
from vdm_jax.evals.latents.baselines import GaussianMixture
from vdm_jax.experiments.common.samplers.compare import over_seeds
from vdm_jax.experiments.score.build import ScoreExperiment
from vdm_jax.experiments.score.checks import PARTS, numbers_of
from vdm_jax.experiments.score.known import known_answers
from vdm_jax.experiments.score.plane import (
    LEVELS,
    OBJECTIVES,
    denoiser,
    draw,
    learned_score,
    make_fit,
    make_network,
    score_of_mixture,
    two_gaussians,
    with_noise,
)
from vdm_jax.launch.settings import plain

MIXTURE, ARRAYS = "mixture.json", "mixture.npz"
EDGE = 3.0  # deviations by which the square is larger than the modes
FAR = 4.0  # deviations from both modes beyond which a chain is outside
SHOWN = 500  # chains of which starts and ends are stored
Points = Float[np.ndarray, "n 2"]


def study_mixture(experiment: ScoreExperiment, workdir: pathlib.Path) -> str:
    """Writes `mixture.npz` and `mixture.json`; returns "done"."""
    settings = experiment.config.mixture
    mixture = two_gaussians(settings.weight, (settings.centre, settings.centre))
    sigmas = geometric_sigmas(settings.sigma_max, settings.sigma_min, settings.num_levels)
    schedule, key = variance_exploding(sigmas), named_key(jax.random.key(settings.seed), "mixture")
    trained = train_scores(settings, mixture, schedule, key)
    axis = np.linspace(-1, 1, settings.num_points) * (settings.centre + EDGE)
    grid = jnp.asarray(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), jnp.float32)
    errors, levels, arrays = measure_errors(settings, mixture, schedule, sigmas, trained, grid)
    chains, ends = run_chains(settings, mixture, schedule, trained, named_key(key, "chains"))
    record = {
        "errors": errors,
        "levels": {"sigmas": sigmas.tolist()} | levels,
        "langevin": chains,
        "mixing": measure_mixing(settings, named_key(key, "mixing")),
        "known": known_answers(mixture, named_key(key, "known")),
        "num_chains": settings.num_chains,
        "num_seeds": settings.num_seeds,
        "weight_of_large": 1 - settings.weight,
        "settings": plain(experiment.config),
        "provenance": provenance() | {"config": experiment.config.name, "seed": settings.seed},
    }
    write_npz(workdir / ARRAYS, {"axis": axis} | arrays | ends)
    write_json(workdir / MIXTURE, record)
    return "done"


def train_scores(
    settings: ConfigDict, mixture: GaussianMixture, schedule: Schedule, key: Key[Array, ""]
) -> dict[str, list[Any]]:
    """The parameters of each objective and seed."""
    network = make_network(settings.width, settings.num_layers)
    fits = {name: make_fit(settings, mixture, network, schedule, name) for name in OBJECTIVES}
    every = [(name, seed) for name in OBJECTIVES for seed in range(settings.num_seeds)]
    found: dict[str, list[Any]] = {name: [] for name in OBJECTIVES}
    for i in bar("mixture: training")(range(len(every))):
        name, seed = every[i]
        found[name].append(jax.block_until_ready(fits[name](jax.random.fold_in(named_key(key, name), seed))))
    return found


def scores_at(
    settings: ConfigDict, schedule: Schedule, trained: dict[str, list[Any]], objective: str, sigma: float
) -> list[Score]:
    """The learned scores of an objective at a level, one for each seed."""
    network = make_network(settings.width, settings.num_layers)
    return [learned_score(network, params, objective, schedule, sigma) for params in trained[objective]]


def measure_errors(
    settings: ConfigDict,
    mixture: GaussianMixture,
    schedule: Schedule,
    sigmas: Float[np.ndarray, " l"],
    trained: dict[str, list[Any]],
    grid: Float[Array, "n 2"],
) -> tuple[dict[str, Any], dict[str, list], dict[str, np.ndarray]]:
    """Errors of each objective, errors by level of the network with levels, and the maps of the first seed."""
    aims = {"exact": 0.0, "sliced": 0.0, "denoising": settings.sigma, LEVELS: float(sigmas[-1])}
    errors, arrays = {}, {}
    for name, sigma in aims.items():
        noisy = with_noise(mixture, sigma)
        true, density = np.asarray(score_of_mixture(noisy)(grid)), np.exp(np.asarray(noisy.log_prob(grid)))
        learned = [np.asarray(score(grid)) for score in scores_at(settings, schedule, trained, name, sigma)]
        errors[name] = {"sigma": sigma} | relative_errors(learned, true, density)
        arrays |= {f"score_{name}": learned[0], f"true_{name}": true, f"density_{name}": density}
    by_level: dict[str, list] = {"weighted": [], "unweighted": []}
    for sigma in sigmas.tolist():
        noisy = with_noise(mixture, sigma)
        true, density = np.asarray(score_of_mixture(noisy)(grid)), np.exp(np.asarray(noisy.log_prob(grid)))
        learned = [np.asarray(score(grid)) for score in scores_at(settings, schedule, trained, LEVELS, sigma)]
        for weighting, value in relative_errors(learned, true, density).items():
            by_level[weighting].append(value)
    return errors, by_level, arrays


def relative_errors(
    learned: list[Points], true: Points, density: Float[np.ndarray, " n"]
) -> dict[str, dict[str, float | None]]:
    """Σ w ||s_hat - s||²/Σ w ||s||² over the points of a grid, w the density ("weighted") or 1 ("unweighted")."""
    norm = np.sum(np.float64(true) ** 2, axis=1)
    found = {}
    for name, weights in (("weighted", np.float64(density)), ("unweighted", np.ones(len(true)))):
        off = [np.sum(weights * np.sum((np.float64(each) - true) ** 2, axis=1)) for each in learned]
        found[name] = over_seeds([each / np.sum(weights * norm) for each in off])
    return found


def run_chains(
    settings: ConfigDict,
    mixture: GaussianMixture,
    schedule: Schedule,
    trained: dict[str, list[Any]],
    key: Key[Array, ""],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Langevin dynamics from a uniform start in the square and from the data, and annealed, by the true score and by
    the learned ones (the first seed's for the stored chains): where they end."""
    number, edge = settings.num_chains, settings.centre + EDGE
    uniform = jax.random.uniform(named_key(key, "start"), (number, 2), minval=-edge, maxval=edge)
    data = draw(mixture, named_key(key, "data"), number)
    network = make_network(settings.width, settings.num_layers)
    x, own = jnp.concatenate([uniform, data]), named_key(key, "plain")
    length = {"num_steps": settings.langevin_steps, "step_size": settings.step_size}
    z_1, annealed = jax.random.normal(named_key(key, "z_1"), (number, 2)), named_key(key, "annealed")
    times = make_times(schedule, schedule.num_steps)
    method = LangevinSampler("", settings.annealed_steps, settings.ratio)

    def end(score: Score) -> Float[Array, "n 2"]:
        return langevin(own, score, x, **length)[0]

    def end_annealed(denoise: Denoise) -> Float[Array, "n 2"]:
        return sample(annealed, denoise, schedule, z_1, times, method)

    plain_ends = {
        "true": end(score_of_mixture(mixture))[None],
        "learned": _each(lambda params: end(learned_score(network, params, "exact", schedule, 0.0)), trained["exact"]),
    }
    annealed_ends = {
        "true": end_annealed(lambda z, t: mixture.denoise(z, schedule.gamma(t)))[None],
        "learned": _each(lambda params: end_annealed(denoiser(network, params, schedule)), trained[LEVELS]),
    }
    found, arrays = {}, {"start": np.asarray(uniform)[:SHOWN], "data": np.asarray(data)[:SHOWN]}
    for name, ends in plain_ends.items():
        parts = ("uniform", uniform, ends[:, :number]), ("data", data, ends[:, number:])
        for start, began, ended in parts:
            found[f"{name} score from {start}"] = where_chains_end(mixture, began, list(np.asarray(ended)))
            arrays[f"end_{name}_{start}"] = np.asarray(ended[0])[:SHOWN]
        ended = np.asarray(annealed_ends[name])
        found[f"{name} score, annealed"] = where_chains_end(mixture, None, list(ended))
        arrays[f"end_{name}_annealed"] = ended[0][:SHOWN]
    return found, arrays


def _each(make: Callable[[PyTree], Float[Array, "n 2"]], params: list[PyTree]) -> Float[Array, "s n 2"]:
    """`make(params)` of the parameters of each seed, with the same noise."""
    return jax.vmap(make)(jax.tree.map(lambda *leaves: jnp.stack(leaves), *params))


def where_chains_end(
    mixture: GaussianMixture, starts: Float[Array, "n 2"] | None, ends: list[Points]
) -> dict[str, dict[str, float | None] | None]:
    """Shares of chains, over the seeds of the score: "large", those that end nearer to the larger mode;
    "started_large"; "moved", nearer to another mode than they started; "outside", further than `FAR` from both."""
    means = np.asarray(mixture.mean)

    def nearest(x: Points) -> tuple[np.ndarray, np.ndarray]:
        distances = np.linalg.norm(np.asarray(x)[:, None] - means[None], axis=-1)
        return distances.argmin(1), distances.min(1)

    modes = [nearest(each) for each in ends]
    began = None if starts is None else nearest(np.asarray(starts))[0]
    return {
        "large": _share([mode == 1 for mode, _ in modes]),
        "started_large": None if began is None else _share([began == 1]),
        "moved": None if began is None else _share([mode != began for mode, _ in modes]),
        "outside": _share([distance > FAR for _, distance in modes]),
    }


def _share(chains: list[np.ndarray]) -> dict[str, float | None]:
    """A share of chains: of several seeds with the error over these, of one with the binomial error."""
    if len(chains) > 1:
        return over_seeds([float(each.mean()) for each in chains])
    share = float(chains[0].mean())
    return {"value": share, "standard_error": float(np.sqrt(share * (1 - share) / len(chains[0])))}


def measure_mixing(settings: ConfigDict, key: Key[Array, ""]) -> dict[str, Any]:
    """The share of chains in the larger mode after each part of Langevin dynamics with the true score, all started in
    the smaller mode, for modes at several distances. In equilibrium it is `at_rest`, which is below the weight
    where modes overlap."""
    separations = numbers_of("config.mixture.separations", settings.separations)
    number, length = settings.num_chains, {"num_steps": settings.langevin_steps, "step_size": settings.step_size}
    mixture = two_gaussians(settings.weight, (1.0, 0.0))

    def share(key: Key[Array, ""], half: Float[Array, ""]) -> Float[Array, " k"]:
        apart = mixture._replace(mean=half * mixture.mean)
        start = apart.mean[:1] + jax.random.normal(named_key(key, "start"), (number, 2))
        kept = langevin(key, score_of_mixture(apart), start, **length, num_kept=PARTS)
        return jnp.mean(kept[:, :, 0] > 0, axis=1)

    halves = jnp.asarray(separations, jnp.float32) / 2
    keys = jnp.stack([named_key(key, f"{separation:g}") for separation in separations])
    beyond = np.asarray(jax.scipy.stats.norm.cdf(halves), np.float64)
    at_rest = ((1 - settings.weight) * beyond + settings.weight * (1 - beyond)).tolist()
    rows = np.asarray(jax.vmap(share)(keys, halves)).tolist()
    steps = (np.arange(1, PARTS + 1) * settings.langevin_steps // PARTS).tolist()
    return {"separations": separations, "steps": steps, "share": rows, "at_rest": at_rest}


def mixture_summary(record: dict[str, Any]) -> str:
    """What a launch ends with: errors of the scores, and where chains end."""
    lines = []
    for name, row in record["errors"].items():
        weighted, unweighted = (row[each]["value"] for each in ("weighted", "unweighted"))
        lines.append(f"{OBJECTIVES[name]:<24} error {weighted:.3g} by density, {unweighted:.3g} over the square")
    for name, row in record["langevin"].items():
        large, moved = row["large"], row["moved"]
        text = f"{large['value']:.3f} end in the mode of weight {record['weight_of_large']:g}"
        lines.append(f"{name:<26} {text}" + (f", {moved['value']:.3f} changed the mode" if moved else ""))
    return "\n".join(lines)
