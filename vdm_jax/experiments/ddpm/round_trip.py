"""The job round_trip of a DDPM: images noised and brought back, the loss by timestep, starts and steps of the chain."""

import math
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Integer, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json, write_npz
from vdm_jax.base.images import levels_to_bytes, pixels_to_bytes, to_unit
from vdm_jax.base.keys import named_key
from vdm_jax.data.dataset import Dataset
from vdm_jax.evals.feature_net import compute_features
from vdm_jax.evals.frechet import frechet_report
from vdm_jax.evals.image_distances import feature_net_of
from vdm_jax.evals.image_metrics import compare_images
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import Weights, load_weights
from vdm_jax.experiments.common.evaluate import about
from vdm_jax.experiments.ddpm.by_timestep import TrainingSet, end_of_chain, loss_by_timestep, training_set_of
from vdm_jax.experiments.ddpm.chains import (
    Chain,
    from_optimum,
    from_start,
    gaussian_of_end,
    grid_times,
    paths,
    round_trips,
    times_of_beta,
)
from vdm_jax.models.diffusion import DiffusionModel
from vdm_jax.train.listing import saved_checkpoints

RECORD, GRIDS = "round_trip.json", "round_trip.npz"
LOSS_IMAGES = 1_000
Levels = Integer[np.ndarray, "n h w c"]


class Marks(NamedTuple):
    """Epochs at which images are drawn, by the steps of their checkpoints."""

    epochs: tuple[float, ...]
    steps: tuple[int, ...]


def times_of_text(text: str) -> tuple[float, ...]:
    """Ascending times in (0, 1]. Raises `UserError`."""
    found = _numbers("times", text)
    if not found or not all(0 < t <= 1 for t in found) or list(found) != sorted(set(found)):
        raise UserError(f"config.round_trip.times={text!r}; expected rising times above 0 and at most 1, as 0.1,0.5,1")
    return found


def marks_of(config: ConfigDict, num_train: int) -> Marks:
    """The checkpoints nearest to the epochs of `config.round_trip.epochs`. Raises `UserError` for one that is not
    trained or whose checkpoint is not kept."""
    train, epochs = config.train, _numbers("epochs", config.round_trip.epochs)
    every, steps = train.checkpoint_every, []
    for epoch in epochs:
        step = max(1, round(epoch * num_train / train.batch_size / every)) * every
        if step > train.num_steps or epoch <= 0:
            last = train.num_steps * train.batch_size / num_train
            raise UserError(f"config.round_trip.epochs has {epoch:g}; expected epochs above 0 and at most {last:.3g}")
        if (train.num_steps - step) // every >= train.keep_latest:
            needed = (train.num_steps - step) // every + 1
            told = f"config.train.keep_latest={train.keep_latest} does not keep the checkpoint of epoch {epoch:g}"
            raise UserError(f"{told}, step {step}; expected at least {needed}, or later epochs")
        steps.append(step)
    return Marks(epochs, tuple(steps))


def round_trip(experiment: Experiment, workdir: pathlib.Path) -> str:
    """Writes `round_trip.npz`, the drawn images, and last `round_trip.json`; returns "done". With
    `round_trip.num_images=0` it writes nothing."""
    if not experiment.config.round_trip.num_images:
        return "done"
    config, data, model = experiment.config, experiment.data, experiment.model
    settings, key = config.round_trip, jax.random.key(config.round_trip.seed)
    (workdir / RECORD).unlink(missing_ok=True)
    weights = load_weights(workdir, model, config)
    print(f"round_trip: step {weights.step}, {weights.kind} weights", flush=True)
    chain = _chain(config, model)
    marks = marks_of(config, len(data.train))
    arrays, drawn = draw_marks(experiment, workdir, weights, marks, chain, named_key(key, "drawn"))
    training_set = training_set_of(np.asarray(model.likelihood.to_x(data.train.levels)))
    test = data.test.first(settings.num_images).levels
    chosen = np.unique(np.linspace(1, model.noise.num_steps, settings.timesteps).round().astype(int))
    by_timestep = loss_by_timestep(
        model, weights.params, named_key(key, "losses"), test[:LOSS_IMAGES], training_set, chosen
    )
    curve = np.linspace(0, model.noise.num_steps, 101).round().astype(int)
    found = {
        "by_timestep": by_timestep,
        "end_of_chain": end_of_chain(model, test, training_set.moments),
        "images": compare_round_trips(experiment, weights.params, test, chain, named_key(key, "trips")),
        "marks": drawn | {"epochs": list(marks.epochs), "steps": list(marks.steps)},
        "schedule": {"timesteps": curve.tolist(), "abar": _abar(model.noise, curve)},
    }
    scores, reasons = compare_starts(experiment, weights.params, training_set, chain, named_key(key, "starts"))
    write_npz(workdir / GRIDS, arrays)
    origin = about(config, data.fingerprint, weights, model.describe_objective(), reasons)
    write_json(workdir / RECORD, found | {"starts": scores} | origin)
    return "done"


def draw_marks(
    experiment: Experiment,
    workdir: pathlib.Path,
    weights: Weights,
    marks: Marks,
    chain: Chain,
    key: Key[Array, ""],
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Images of M sets of weights, those of the marks and the chosen ones, all from the same noise, as bytes.

    Returns arrays: real [n, …]; degraded [K, n, …], noised to the K times; back [M, K, n, …], sampled back from these;
    path [M, K, n, …], z_t at these times on the way back from T; prior [M, n, …], generated; and of one image strip_z
    and strip_x, z_t of the noising process and of the way back. Then what each set is.
    """
    config, data, model = experiment.config, experiment.data, experiment.model
    settings = config.round_trip
    levels = data.test.first(settings.num_shown).levels
    places = [int(np.argmin(np.abs(chain.times[:-1] - t))) for t in times_of_text(settings.times)]
    strip = tuple(np.unique(np.linspace(0, len(chain.times) - 1, 10).round().astype(int)).tolist())
    keep = tuple(sorted({*places, *strip}))

    def to_bytes(z):
        return pixels_to_bytes(z, model.likelihood.pixel_values)

    steps, sets, present = [], [], {saved.step for saved in saved_checkpoints(workdir / "checkpoints")}
    for step in (*marks.steps, None):
        if step is not None and step not in present:
            print(f"round_trip: there is no checkpoint of step {step}; its images are left out", flush=True)
            continue
        own = weights if step is None else _weights_of(workdir, model, config, step)
        there, back = paths(model, own.params, named_key(key, "path"), levels, chain, keep)
        trips = [
            round_trips(model, own.params, named_key(key, "path"), levels, chain, float(chain.times[k])) for k in places
        ]
        made = from_start(model, own.params, named_key(key, "prior"), len(levels), chain)
        at = [keep.index(k) for k in places]
        back_to = levels_to_bytes(np.stack(trips), data.num_levels)
        generated = levels_to_bytes(made, data.num_levels)
        sets.append({"back": back_to, "path": to_bytes(back[at]), "prior": generated})
        steps.append(own.step)
    arrays = {name: np.stack([images[name] for images in sets]) for name in ("back", "path", "prior")}
    of_strip = [keep.index(k) for k in strip]
    arrays |= {"real": levels_to_bytes(levels, data.num_levels), "degraded": to_bytes(there[at])}
    arrays |= {"strip_z": to_bytes(there[of_strip, 0]), "strip_x": to_bytes(back[of_strip, 0])}
    arrays |= {"times": chain.times[places], "strip_times": chain.times[list(strip)]}
    per_epoch = len(data.train) / config.train.batch_size
    return arrays, {"drawn_steps": steps, "drawn_epochs": [step / per_epoch for step in steps]}


def compare_round_trips(
    experiment: Experiment, params: PyTree, levels: Levels, chain: Chain, key: Key[Array, ""]
) -> dict[str, Any]:
    """RMSE, PSNR and SSIM of images noised to T and sampled back, and of two baselines.

    respaced: by the chain of `config.sample`; respaced_few and full: the first `num_full` images by it and by every
    step. another: an image of another index in place of the own one; mean: the mean training image.
    """
    data, model, settings = experiment.data, experiment.model, experiment.config.round_trip
    unit = to_unit(levels, data.num_levels)
    rows = {"respaced": to_unit(round_trips(model, params, key, levels, chain), data.num_levels)}
    number = min(settings.num_full, len(levels))
    found = {"respaced": compare_images(rows["respaced"], unit) | {"num_steps": len(chain.times) - 1}}
    if number:
        full = chain._replace(times=grid_times(model.noise, model.noise.num_steps, "time"))
        made = to_unit(round_trips(model, params, key, levels[:number], full), data.num_levels)
        found["respaced_few"] = compare_images(rows["respaced"][:number], unit[:number])
        found["full"] = compare_images(made, unit[:number]) | {"num_steps": len(full.times) - 1}
    mean = to_unit(data.train.levels, data.num_levels).mean(0, keepdims=True)
    found["another"] = compare_images(np.roll(unit, 1, axis=0), unit)
    found["mean"] = compare_images(np.broadcast_to(mean, unit.shape), unit)
    return found


def compare_starts(
    experiment: Experiment, params: PyTree, training_set: TrainingSet, chain: Chain, key: Key[Array, ""]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Fréchet distances of generated images by START-STEPS, and the reason where there are none.

    START: "normal", N(0, I); "gaussian", the Gaussian with the moments of z_T; "data", z_T of training images;
    "optimum", N(0, I) with the exact posterior of the training set in place of the network: what the steps alone cost.
    STEPS: "grid", those of `config.sample`; "beta", steps as large as those of a table of constant beta = step_beta.
    """
    data, model, settings = experiment.data, experiment.model, experiment.config.round_trip
    number = min(settings.frechet_images, len(data.train))
    if number < 2:
        return {}, {"starts": f"round_trip.frechet_images={settings.frechet_images}: nothing was generated"}
    score = _make_score(data, number)
    gaussian = gaussian_of_end(*training_set.moments, model.noise)
    chosen = np.random.default_rng(settings.seed).permutation(len(data.train))[:number]
    levels, chains = data.train.levels[chosen], {"grid": chain}
    chains["beta"] = chain._replace(times=times_of_beta(model.noise, settings.step_beta))
    found = {}
    for steps, own in chains.items():
        images = {
            "normal": from_start(model, params, key, number, own),
            "gaussian": from_start(model, params, key, number, own, gaussian),
            "data": round_trips(model, params, key, levels, own),
            "optimum": from_optimum(model, training_set.posterior, key, number, own),
        }
        for start, made in images.items():
            unit = to_unit(made, data.num_levels)
            row = {"num_steps": len(own.times) - 1, "num_images": number, "pixel_mean": float(unit.mean())}
            found[f"{start}-{steps}"] = row | {"pixel_deviation": float(unit.std())} | score(made)
    return found, {} if data.train.labels is not None else {"starts": "there are no labels to train features on"}


def _make_score(data: Dataset, number: int):
    """`score(levels)` -> the Fréchet distance to the training images and its floor; {} for data without labels."""
    if data.train.labels is None:
        return lambda levels: {}
    net = feature_net_of(data)
    real, held_out = (compute_features(net, levels) for levels in (data.train.levels, data.test.levels[:number]))
    return lambda levels: {"frechet": frechet_report(compute_features(net, levels), held_out, real, net.network)}


def _chain(config: ConfigDict, model: DiffusionModel) -> Chain:
    times = grid_times(model.noise, config.sample.num_steps, config.sample.grid)
    x_range = model.x_range if config.sample.clip else None
    return Chain(config.sample.sampler, times, x_range, config.round_trip.batch_size)


def _weights_of(workdir: pathlib.Path, model: DiffusionModel, config: ConfigDict, step: int) -> Weights:
    named = ConfigDict({"evaluate": {"checkpoint": str(step), "weights": config.evaluate.weights}})
    return load_weights(workdir, model, named)


def _abar(schedule, timesteps: np.ndarray) -> list[float]:
    gammas = np.asarray(schedule.gamma(jax.numpy.asarray(timesteps) / schedule.num_steps), np.float64)
    return (1 / (1 + np.exp(gammas))).tolist()


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(each) for each in text.split(",") if each.strip())
    except ValueError:
        found = (math.nan,)
    if not all(map(math.isfinite, found)):
        raise UserError(f"config.round_trip.{name}={text!r}; expected numbers with commas between them")
    return found
