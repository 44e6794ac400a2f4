"""The job quality: how good decoded samples are by sampler, number of steps, their times, and the start of the chain.

quality.json has "samplings": {as written: {"sampler", "num_steps", "times", "start", "evaluations" of the network,
"first_timestep" (a time in [0, 1] where the schedule is no table), "not_a_sprite", "exactly_a_sprite", "frechet",
"modes": {histogram: {"kl_nats", "kl_expected_nats"}}}}, each score {"value", "standard_error"} over the evaluation
seeds, "num_seeds"; "codes", the same of decoded latents of test images; "edge", {"timestep", "logsnr"}, or None;
"num_images" of each; "frechet_images" of them, of which the Fréchet distance is, and its "real_vs_real_floor";
"reasons", why scores are missing.
"""

import pathlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.keys import keys_of, named_key, normal
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.progress import bar
from vdm_jax.base.provenance import provenance
from vdm_jax.base.statistics import mean_and_error
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.rows import covariance_of_rows
from vdm_jax.diffusion.samplers import sample
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.evals.batches import map_batches
from vdm_jax.evals.latents.baselines import GaussianMixture, fit_mixture, gaussian_of
from vdm_jax.evals.latents.samples import score_sets
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.functions import nearest_levels
from vdm_jax.experiments.common.space.encoded import EncodedSpace
from vdm_jax.experiments.latent_diffusion.build import LatentExperiment
from vdm_jax.experiments.latent_diffusion.latents import latents_of, make_decoder, seen_moments
from vdm_jax.experiments.latent_diffusion.samplings import (
    GAUSSIAN,
    MEASURED,
    MIXTURE,
    NOISE,
    Curves,
    Sampling,
    curves_of,
    edge_time,
    named_curves,
    samplings_of,
    times_of,
)
from vdm_jax.launch.settings import plain
from vdm_jax.models.diffusion import DiffusionModel

CODES = "codes"
Latents = Float[np.ndarray, "n ..."]


def quality(experiment: LatentExperiment, workdir: pathlib.Path) -> str:
    """Writes `quality.json`; returns "done". All samplings of a seed have the same noise. Raises `UserError`."""
    config, data, model, space = experiment.config, experiment.data, experiment.model, experiment.space
    settings, samplings = config.quality, samplings_of(config.quality.samplers)
    if not samplings:
        print("quality: config.quality.samplers is empty: nothing is sampled", flush=True)
        return "done"
    curves = curves_for(config, space)
    weights = load_weights(workdir, model, config)
    schedule = model.schedule(weights.params)
    times = {text: times_of(sampling, schedule, curves) for text, sampling in samplings.items()}
    key = jax.random.key(settings.seed)
    starts = make_starts(config, data, space, schedule, curves, samplings)
    print(f"quality: step {weights.step}, {weights.kind} weights, {len(samplings)} samplings", flush=True)
    decoder = make_decoder(space.space, config.evaluate.batch_size)

    def draw(num_images: int) -> dict[str, Integer[np.ndarray, "n h w c"]]:
        found = {}
        every = [(seed, text) for seed in range(settings.num_seeds) for text in samplings]
        for i in bar("quality: samples")(range(len(every))):
            seed, text = every[i]
            own = jax.random.fold_in(named_key(key, "chain"), seed)
            start = starts.get(samplings[text].start)
            x = draw_chains(
                model, weights.params, samplings[text], times[text], start, own, num_images, settings.batch_size
            )
            found[f"{text} {seed}"] = nearest_levels(decoder(x), data)
        for seed in range(settings.num_seeds):
            x = latents_of(space, data, "test", num_images, jax.random.fold_in(named_key(key, CODES), seed))
            found[f"{CODES} {seed}"] = nearest_levels(decoder(x), data)
        return found

    reading = {name: config.evaluate[name] for name in ("sprite_tolerance", "reader_images", "reader_steps")}
    scores, why = score_sets(data, draw, num_images=settings.num_images, **reading)
    rows = {
        name: over_seeds([scores[f"{name} {i}"] for i in range(settings.num_seeds)]) for name in (*samplings, CODES)
    }
    steps = schedule.num_steps or 1
    for text, at in times.items():
        rows[text] |= samplings[text]._asdict() | {"evaluations": len(at) - 1, "first_timestep": float(at[0] * steps)}
    record: dict[str, Any] = {CODES: rows.pop(CODES), "samplings": rows, "edge": None, "reasons": why}
    if curves is not None:
        record["edge"] = {"timestep": float(edge_time(schedule, curves) * steps), "logsnr": -curves.edge}
    one = scores[f"{next(iter(samplings))} 0"]
    record |= {
        "real_vs_real_floor": one["frechet"]["real_vs_real_floor"],
        "frechet_images": one["frechet"]["num_images"],
    }
    record |= {"num_images": (one["coverage"] or one["frechet"])["num_images"]}
    record |= {"num_seeds": settings.num_seeds, "space": space.about}
    record |= {"checkpoint_step": weights.step, "weights": weights.kind, "settings": plain(config)}
    origin = {"config": config.name, "seed": settings.seed, "data": data.fingerprint}
    write_json(workdir / "quality.json", record | {"provenance": provenance() | origin})
    return "done"


def check_curves(config: ConfigDict) -> None:
    """`Job.ready`: raises `UserError` where samplings need exact curves and the folder that is named has none."""
    if needs_curves(config):
        named_curves(config.quality.exact)


def check_quality(experiment: LatentExperiment, _: pathlib.Path) -> None:
    """`Job.check`: raises `UserError` where images cannot be scored, or the curves that samplings need cannot be
    used."""
    config, data = experiment.config, experiment.data
    if not samplings_of(config.quality.samplers):
        return
    if data.grid is None and data.train.labels is None:
        why = "config.quality.samplers: samples are scored by features of a network that is trained on labels"
        raise UserError(f"{why}, and {data.name!r} has none; set --config.quality.samplers=''")
    curves_for(config, experiment.space)


def curves_for(config: ConfigDict, space: EncodedSpace) -> Curves | None:
    """The exact curves that samplings of the config need; None where none does. Raises `UserError` where they are
    missing, or are those of another space."""
    if not needs_curves(config):
        return None
    workdir = config.quality.exact
    exact = named_curves(workdir)
    about = exact.get("space") or {}
    if about.get("fingerprint") != space.fingerprint:
        why = f"config.quality.exact={workdir} has curves of another space, or of another scale of it"
        raise UserError(f"{why}; {MEASURED}")
    if about.get("sampled") != space.sampled:
        there = f"config.quality.exact={workdir} has space.sampled={about.get('sampled')}, this run {space.sampled}"
        raise UserError(f"{there}; {MEASURED} and config.space.sampled")
    try:
        return curves_of(exact)
    except UserError as error:
        raise UserError(f"config.quality.exact={workdir}: {error}") from error


def needs_curves(config: ConfigDict) -> bool:
    """Whether exact curves decide where a sampling of the config goes."""
    return any(sampling.needs_curves for sampling in samplings_of(config.quality.samplers).values())


def is_of_curves(config: ConfigDict, record: Mapping[str, Any]) -> bool:
    """Whether a record is of the exact curves that the config names now, where its samplings need some. They are
    estimates: others have another edge."""
    try:
        if not needs_curves(config):
            return True
        edge = curves_of(named_curves(config.quality.exact)).edge
    except UserError:
        return False
    return (record.get("edge") or {}).get("logsnr") == -edge


def make_starts(
    config: ConfigDict,
    data: Dataset,
    space: EncodedSpace,
    schedule: Schedule,
    curves: Curves | None,
    samplings: Mapping[str, Sampling],
) -> dict[str, GaussianMixture]:
    """By `Sampling.start` the distributions of z_t at the edge that samplings begin with, of training latents."""
    wanted = {sampling.start for sampling in samplings.values()} - {NOISE}
    if not wanted:
        return {}
    alpha, sigma = alpha_sigma(schedule.gamma(jnp.float32(edge_time(schedule, curves))))
    found = {}
    if GAUSSIAN in wanted:
        mean, covariance = covariance_of_rows(*seen_moments(space, "train"))
        of_noise = float(sigma) ** 2 * np.eye(len(mean))
        found[GAUSSIAN] = gaussian_of(float(alpha) * mean, float(alpha) ** 2 * covariance + of_noise)
    if MIXTURE in wanted:
        key = named_key(jax.random.key(config.quality.seed), "fitted")
        x = latents_of(space, data, "train", config.evaluate.fitted_images, key)
        eps = np.asarray(jax.random.normal(named_key(key, "eps"), x.shape))
        z = (float(alpha) * x + float(sigma) * eps).reshape(len(x), -1)
        found[MIXTURE] = fit_mixture(z, config.evaluate.mixture_components, config.quality.seed)
    return found


def draw_chains(
    model: DiffusionModel,
    params: PyTree,
    sampling: Sampling,
    times: Float[np.ndarray, " m"],
    start: GaussianMixture | None,
    key: Key[Array, ""],
    number: int,
    batch_size: int,
) -> Latents:
    """x [N, *shape] of N chains over `times`, from `start` or from N(0, I)."""

    def batch(index):
        keys = keys_of(key, jnp.asarray(index))
        z = _draw_start(tuple(model.shape), start, keys)
        return _draw_chain(model, sampling.sampler, params, keys, z, jnp.asarray(times))

    return map_batches(batch, np.arange(number), batch_size, place=across_devices)


@partial(jax.jit, static_argnums=0)
def _draw_start(shape: tuple[int, ...], start: GaussianMixture | None, keys: Key[Array, " b"]) -> Float[Array, "b ..."]:
    own = named_key(keys, "z_1")
    return normal(own, (len(keys), *shape)) if start is None else start.draw(own, shape)


@partial(jax.jit, static_argnums=(0, 1))
def _draw_chain(
    model: DiffusionModel,
    sampler: str,
    params: PyTree,
    keys: Key[Array, " b"],
    z: Float[Array, "b ..."],
    times: Float[Array, " n"],
) -> Float[Array, "b ..."]:
    schedule = model.schedule(params)
    z_0 = sample(keys, model.denoise(params), schedule, z, times, sampler)
    return model.likelihood.decode(z_0, schedule.gamma(times[-1]))


def over_seeds(scores: list[dict[str, Any]]) -> dict[str, Any]:
    """Each score as {"value", "standard_error"} over the evaluation seeds."""
    found: dict[str, Any] = {"frechet": _measured([score["frechet"]["distance"] for score in scores])}
    coverages = [score["coverage"] for score in scores]
    if coverages[0] is None:
        return found
    for name in ("not_a_sprite", "exactly_a_sprite"):
        found[name] = _measured([coverage[name] for coverage in coverages])
    histograms = [coverage["readers"]["exact"]["histograms"] for coverage in coverages]
    found["modes"] = {
        name: {key: _measured([each[name][key] for each in histograms]) for key in ("kl_nats", "kl_expected_nats")}
        for name in histograms[0]
    }
    return found


def _measured(values: list[float | None]) -> dict[str, float | None]:
    known = np.array([value for value in values if value is not None], np.float64)
    if len(known) < len(values):
        return {"value": None, "standard_error": None}
    if len(known) == 1:
        return {"value": float(known[0]), "standard_error": None}
    found = mean_and_error(known, "seeds")
    return {"value": float(found.mean), "standard_error": float(found.error)}


def quality_summary(record: Mapping[str, Any]) -> str:
    """What a launch ends with: a line for each sampling."""
    lines = []
    for text, row in record["samplings"].items():
        parts = [f"{row['evaluations']} evaluations"]
        scores = {"Fréchet": row["frechet"], "no sprite": row.get("not_a_sprite", {})}
        parts += [f"{name} {score['value']:.3g}" for name, score in scores.items() if score.get("value") is not None]
        lines.append(f"{text:<32} {', '.join(parts)}")
    return "\n".join(lines)
