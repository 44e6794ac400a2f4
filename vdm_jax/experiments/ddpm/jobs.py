"""The jobs of a DDPM: what its training needs, what is measured of it, and what is drawn."""

import pathlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Integer, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.files import write_json
from vdm_jax.base.images import to_unit
from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.progress import bar
from vdm_jax.data.order import batch_indices
from vdm_jax.data.sprite_data import SpriteData
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.evals.coverage import measure_coverage
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.pictures import image_distances
from vdm_jax.experiments.common.sample import CHAIN_POINTS, GRID_COLUMNS, save, to_bytes
from vdm_jax.experiments.common.train import Training
from vdm_jax.experiments.vae_vdm.bound import in_units
from vdm_jax.experiments.vae_vdm.evaluate import about
from vdm_jax.models.ddpm import Ddpm
from vdm_jax.models.generate import generate
from vdm_jax.train.state import TrainState

Levels = Integer[np.ndarray, "n h w c"]
BOUND_KEYS = ("bpd", "bound_nats", "reconstruction_bpd", "prior_bpd", "diffusion_bpd")


def ddpm_training(experiment: Experiment, _num_devices: int) -> Training:
    """Batches of training images, rendered in the compiled step where the data are sprites."""
    config, data, model = experiment.config, experiment.data, experiment.model
    stored = data.train.stored
    key = named_key(jax.random.key(config.train.seed), "levels")

    def batch_fn(splits, step):
        rows = splits["train"][batch_indices(key, step, len(splits["train"]), config.train.batch_size)]
        return {"levels": data.levels_of(rows)}

    levels = data.validation.first(config.train.eval_images).levels
    return Training(
        loss_fn=model.loss_fn,
        data={"train": stored},
        batch_fn=batch_fn,
        num_images=len(stored),
        validate=partial(validate, model=model, config=config, levels=levels),
    )


def validate(state: TrainState, *, model: Ddpm, config: ConfigDict, levels: Levels) -> dict[str, float]:
    """Loss and bound of the averaged weights; the loss is the score by which a checkpoint is the best."""
    estimate = evaluate_bound(
        model.terms,
        state.ema_params,
        {"levels": levels},
        passes=config.train.eval_passes,
        batch_size=config.evaluate.batch_size,
        key=named_key(jax.random.key(config.train.seed), "validation"),
        place=across_devices,
    )
    means = {name: float(value) for name, value in estimate.mean.items()}
    return means | {"score": means["loss"]}


def evaluate_ddpm(experiment: Experiment, workdir: pathlib.Path) -> str:
    """Writes `evaluate.json`; returns "done". Loss and bound on test images; of sprites `coverage`, of labelled images
    the Fréchet distance."""
    config, data, model = experiment.config, experiment.data, experiment.model
    weights = load_weights(workdir, model, config)
    levels = data.test.first(config.evaluate.num_images).levels
    print(f"evaluate: step {weights.step}, {weights.kind} weights, {len(levels):,} test images", flush=True)
    key = jax.random.key(config.evaluate.seed)
    values, reasons = measure_loss(model, weights.params, levels, named_key(key, "bound"), config.evaluate)

    def draw(num_images: int) -> Levels:
        w = np.zeros((num_images, 0), np.float32)
        images = generate(
            model, weights.params, named_key(key, "prior"), w, config.sample, progress=bar("evaluate: samples")
        )
        return images.astype(levels.dtype)

    found, why = score_samples(experiment, len(levels), draw)
    reasons |= {name: reason for name, reason in why.items() if name in found}
    write_json(workdir / "evaluate.json", values | found | about(experiment, weights, model.objective(), reasons))
    return "done"


def score_samples(
    experiment: Experiment, num_test: int, draw: Callable[[int], Levels]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Scores of `draw(N)`, generated images, and the reasons of those that there are not."""
    config, data = experiment.config, experiment.data
    if isinstance(data, SpriteData):
        found, why = measure_coverage(config, data, draw)
        frechet = ("frechet", "frechet_by_n")
        reason = "of sprites the modes are counted instead"
        return found | dict.fromkeys(frechet), why | dict.fromkeys(frechet, reason)
    no_coverage = {"coverage": "modes are counted of sprites alone, whose every factor is known"}
    num_images = min(config.evaluate.frechet_images, num_test)
    if num_images < 2:
        why = f"evaluate.frechet_images={config.evaluate.frechet_images}: nothing was generated"
        keys = ("frechet", "frechet_by_n", "fid")
        return dict.fromkeys(("coverage", *keys)), no_coverage | dict.fromkeys(keys, why)
    found, why = image_distances(config.evaluate, data, {"prior": draw(num_images)}, num_images)
    return found | {"coverage": None}, why | no_coverage


def measure_loss(
    model: Ddpm, params: PyTree, levels: Levels, key: Key[jax.Array, ""], config: ConfigDict
) -> tuple[dict[str, Any], dict[str, str]]:
    """`loss`, and the bound with its terms in bits per dimension and nats; without a bound, why."""
    estimate = evaluate_bound(
        model.terms,
        params,
        {"levels": levels},
        passes=config.passes,
        batch_size=config.batch_size,
        key=key,
        progress=bar("evaluate: loss"),
        place=across_devices,
    )
    means, errors = dict(estimate.mean), dict(estimate.standard_error)
    values: dict[str, Any] = {"loss": float(means.pop("loss")), "loss_standard_error": float(errors.pop("loss"))}
    values |= {"num_dims": model.num_dims, "num_images": estimate.num_images, "passes": estimate.passes}
    if why := model.fixed_schedule.no_bound:
        return values | dict.fromkeys(BOUND_KEYS), dict.fromkeys(BOUND_KEYS, why)
    del means["bpd"], errors["bpd"]  # the bound in nats says the same
    return values | in_units(means, errors, model.num_dims), {}


def draw_ddpm(experiment: Experiment, params: PyTree, folder: pathlib.Path) -> None:
    """Saves `real` test images, `prior`, generated ones, and `path`, z_t on the way to some of these."""
    config, data, model = experiment.config.sample, experiment.data, experiment.model

    def save_grid(name: str, levels: Levels) -> None:
        images = to_bytes(to_unit(levels, data.num_levels))
        save(folder, name, images, GRID_COLUMNS, images=images)

    save_grid("real", data.test.first(config.num_images).levels)
    keep = tuple(np.unique(np.linspace(0, config.num_steps, CHAIN_POINTS).round().astype(int)).tolist())
    w = np.zeros((config.num_images, 0), np.float32)
    key = named_key(jax.random.key(config.seed), "prior")
    made, path, times = generate(model, params, key, w, config, keep=keep, progress=bar("sample: prior"))
    save_grid("prior", made)
    low, high = data.pixel_values[[0, -1]]
    path = to_bytes((path[: config.num_paths] - low) / (high - low))
    save(folder, "path", path, path.shape[1], path=path, times=times)
