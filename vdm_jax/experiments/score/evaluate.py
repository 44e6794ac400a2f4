"""The evaluation job of a score model: loss and bound on test images, the error by noise level, scores of samples."""

import pathlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.objective import integrand_by_logsnr
from vdm_jax.diffusion.score_matching.objectives import sigma_of
from vdm_jax.evals.latents.samples import score_sets
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.evaluate import about, compare_with_entropy, measure_loss, sampling, save, say
from vdm_jax.experiments.common.samplers.compare import coverage_settings
from vdm_jax.experiments.score.build import ScoreExperiment
from vdm_jax.models.generate import generate
from vdm_jax.models.score import ScoreModel

MOST_LEVELS = 24  # noise levels, at most, of which the error is measured
MOST_IMAGES = 1_000  # test images, at most, of the error by level


def evaluate_score(experiment: ScoreExperiment, workdir: pathlib.Path) -> str:
    """Writes `evaluate.json`; returns "done". `by_level` has the squared error of sigma times the score, which is that
    of eps_hat, at each noise level, beside that of the best linear score. Samples: `coverage` of sprites, `frechet` of
    labelled images."""
    config, data, model = experiment.config, experiment.data, experiment.model
    weights = load_weights(workdir, model, config)
    levels = data.test.first(config.evaluate.num_images).levels
    say(f"step {weights.step}, {weights.kind} weights, {len(levels):,} test images")
    key = jax.random.key(config.evaluate.seed)
    values, reasons = measure_loss(model, weights.params, levels, named_key(key, "bound"), config.evaluate)
    entropy, unknown = compare_with_entropy(values, data)
    values["by_level"] = measure_by_level(model, weights.params, data, levels[:MOST_IMAGES], named_key(key, "levels"))

    def draw(num_images: int) -> dict[str, Integer[np.ndarray, "n h w c"]]:
        settings = sampling(config.sample) | {"progress": bar("evaluate: samples"), "dtype": levels.dtype}
        return {"prior": generate(model, weights.params, named_key(key, "prior"), num_images, **settings)}

    found, why = score_sets(data, draw, num_images=num_scored(config.evaluate, data), **coverage_settings(config, data))
    scores = found.get("prior", {"coverage": None, "frechet": None})
    if scores["coverage"]:
        scores["coverage"] |= {"sampler": config.sample.sampler, "num_sampling_steps": config.sample.num_steps}
    record = about(config, data.fingerprint, weights, model.describe_objective(), reasons | unknown | why)
    save(workdir, values | entropy | scores | record, {})
    return "done"


def num_scored(evaluate: ConfigDict, data: Dataset) -> int:
    """The number of generated images that are scored: of sprites for their coverage, of others for the distance."""
    return evaluate.coverage_images if data.grid is not None else evaluate.frechet_images


def measure_by_level(
    model: ScoreModel, params: PyTree, data: Dataset, levels: Integer[np.ndarray, "n h w c"], key: Key[Array, ""]
) -> dict[str, list[float]]:
    """{"sigma", "error", "error_standard_error", "linear"} at noise levels from the smallest to the largest: the error
    ||eps - eps_hat||²/D of test images, and that of the best linear eps_hat of the training images."""
    num_levels = model.fixed_schedule.num_steps
    entries = np.unique(np.linspace(1, num_levels, min(MOST_LEVELS, num_levels)).round())
    gammas = model.fixed_schedule.gamma(jnp.asarray(entries / num_levels, jnp.float32))
    errors = 2 * np.asarray(_errors(model, params, key, jnp.asarray(levels), gammas), np.float64) / model.num_dims
    variances = np.asarray(data.pixel_values)[data.train.first(10 * MOST_IMAGES).levels].reshape(-1, model.num_dims)
    spectrum = np.clip(np.linalg.eigvalsh(np.cov(variances.astype(np.float64), rowvar=False)), 0, None)
    sigma = np.asarray(sigma_of(gammas), np.float64)
    return {
        "sigma": sigma.tolist(),
        "error": errors.mean(1).tolist(),
        "error_standard_error": (errors.std(1, ddof=1) / np.sqrt(errors.shape[1])).tolist(),
        "linear": (spectrum[None] / (spectrum[None] + sigma[:, None] ** 2)).mean(1).tolist(),
    }


@partial(jax.jit, static_argnums=0)
def _errors(
    model: ScoreModel,
    params: PyTree,
    key: Key[Array, ""],
    levels: Integer[Array, "n h w c"],
    gammas: Float[Array, " m"],
) -> Float[Array, "m n"]:
    """½||eps - eps_hat||² of each image at each level."""
    return integrand_by_logsnr(key, model.to_x(levels), model.denoise(params), model.schedule(params), gammas)[1]
