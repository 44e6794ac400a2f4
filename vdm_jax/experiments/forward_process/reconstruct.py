"""The job `reconstruct`: how well images are recovered from z_t, by timestep, own and foreign ones, beside the exact
information that z_t has about the training images."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.images import to_pixels
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.base.statistics import mean_and_error
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.forward.recovery import Errors, Recovery, first_above, make_recovery, share_left
from vdm_jax.diffusion.posterior import Feature, Posterior, finite_posterior, score
from vdm_jax.diffusion.samplers import make_times
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.diffusion.timesteps import LEAST_NOISE, gammas_at, timesteps
from vdm_jax.experiments.common.build import fixed_table, load_if_found
from vdm_jax.experiments.forward_process.build import ForwardExperiment
from vdm_jax.experiments.forward_process.foreign import SHUFFLED, Images, as_own, shuffled
from vdm_jax.experiments.forward_process.origin import origin
from vdm_jax.probing.windows import noise_of, windows_of

RECORD = "reconstruct.json"
MOST_MEMBERS = 4_096  # training images, at most, with a probability each: [queries, members]
OWN = "test images"  # what foreign images are compared with
KNOWN = "training images"


def reconstruct(experiment: ForwardExperiment, workdir: pathlib.Path) -> str:
    """Writes `reconstruct.json`; returns "done".

    {"timesteps", "starts" (of chains), "abar", "sets": {name: {"num_images", "denoised", "unfiltered",
    "exact_denoised", "exact_sampled": `of_errors` over the timesteps, "sampled" over the starts}}, "information":
    {"class", "image", "bound": {"share": […], "total_nats", "windows"}}, "boundaries": {foreign: {"denoised",
    "sampled": t or None}}, "model"}. "class" and "image" are exact, of the training images; "image" is left out where
    there are more than `MOST_MEMBERS`. "bound" are the nats of the model's own bound on test images.
    """
    config, data, model = experiment.config.reconstruct, experiment.data, experiment.model
    if model is None:  # the job is idle
        return "done"
    table = fixed_table(ConfigDict(model.about["diffusion"]))
    times = make_times(table, config.num_sampling_steps)
    starts, steps = grids(table, np.asarray(times), config)
    recovery = make_recovery(table, times, model.x_range)
    key = named_key(jax.random.key(config.seed), "reconstruct")
    posterior, features = posterior_of(data)
    found: dict[str, Any] = {}
    sets = images_of(experiment, config.num_images)
    for i in bar("reconstruct")(range(len(sets))):
        name, x = list(sets.items())[i]
        one_step = [
            recovery.denoise(key, model.denoise, x, t) for t in jnp.asarray(steps / table.num_steps, jnp.float32)
        ]
        chains = [recovery.sample(key, model.denoise, x, first) for first in first_of(np.asarray(times), starts, table)]
        exact, classes = exactly(recovery, key, posterior, x, steps / table.num_steps)
        found[name] = {
            "num_images": len(x),
            "denoised": of_errors([each.denoised for each in one_step]),
            "unfiltered": of_errors([each.unfiltered for each in one_step]),
            "sampled": of_errors(chains),
            **{f"exact_{part}": of_errors(each) for part, each in exact.items()},
        }
        if name == KNOWN:
            information = remaining(features, classes)
        if name == OWN:
            error = np.array([float(each.noise_error.mean()) for each in one_step])
    gammas = gammas_at(table, steps)
    left = share_left(error, gammas)
    information["bound"] = {"share": left, "total_nats": 0.5 * float(np.trapezoid(error, gammas))}
    noise = noise_of(steps, gammas)
    record = {
        "timesteps": steps.tolist(),
        "starts": starts.tolist(),
        "num_steps": table.num_steps,
        "abar": noise.abar.tolist(),
        "sets": found,
        "information": {
            name: each | {"share": np.asarray(each["share"]).tolist(), "windows": windows_of(noise, each["share"])}
            for name, each in information.items()
        },
        "boundaries": boundaries(found, steps, starts, config.tolerance),
        "model": model.about,
    }
    write_json(workdir / RECORD, record | origin(experiment, config.seed))
    return "done"


def grids(
    table: Schedule, times: Float[np.ndarray, " n"], config: ConfigDict
) -> tuple[Int[np.ndarray, " s"], Int[np.ndarray, " m"]]:
    """Ascending timesteps: of the starts, points of the chains' grid, closer to each other where t is small; and all at
    which an image is denoised: noisy ones, even in time and in log SNR, and the starts."""
    grid = np.sort(np.round(times * table.num_steps).astype(int)[:-1])
    starts = grid[np.unique(np.round(np.linspace(0, 1, config.num_starts) ** 1.5 * (len(grid) - 1)).astype(int))]
    steps = np.union1d(starts, timesteps(config.num_timesteps, table))
    gammas = gammas_at(table, np.arange(1, table.num_steps + 1))
    even = np.linspace(gammas[0], gammas[-1], config.num_timesteps)
    steps = np.union1d(steps, 1 + np.searchsorted(gammas, even[:-1], side="left"))
    return starts, steps[gammas_at(table, steps) > LEAST_NOISE]


def first_of(times: Float[np.ndarray, " n"], starts: Int[np.ndarray, " s"], table: Schedule) -> list[Any]:
    """The index in the grid of the chains of each start."""
    grid = np.round(times * table.num_steps).astype(int)
    return [jnp.int32(int(np.flatnonzero(grid == start)[0])) for start in starts]


def images_of(experiment: ForwardExperiment, num_images: int) -> dict[str, Images]:
    """Pixels of training and test images, of foreign ones, and of test images whose pixels are shuffled."""
    data = experiment.data
    own, known = (
        np.asarray(to_pixels(split.first(num_images).levels, data.pixel_values)) for split in (data.test, data.train)
    )
    foreign = {name: as_own(each, data, num_images) for name, each in experiment.foreign.items()}
    return {KNOWN: known, OWN: own, **foreign, SHUFFLED: shuffled(own, experiment.config.reconstruct.seed)}


def check_before_training(config: ConfigDict) -> None:
    """`Job.ready`: `check_known` of the data that a model is trained on first, where they are found."""
    if config.model.train and not config.model.workdir and (data := load_if_found(config)) is not None:
        check_known(data)


def check_built(experiment: ForwardExperiment, _: pathlib.Path) -> None:
    """`Job.check`: `check_known` where there is a model."""
    if experiment.model is not None:
        check_known(experiment.data)


def check_known(data: Dataset) -> None:
    """Raises `UserError` for training images that are too many for a posterior of each and have no labels."""
    if data.train.labels is None and len(data.train) > MOST_MEMBERS:
        told = f"{data.name!r} has {len(data.train):,} training images without labels"
        expected = f"the job reconstruct takes labelled images, or at most {MOST_MEMBERS:,}"
        raise UserError(f"{told}; {expected}: leave it out of --jobs, or choose other data")


def posterior_of(data: Dataset) -> tuple[Posterior, dict[str, Feature]]:
    """The exact posterior of the training images, of their class where they have labels, and of the image itself.

    Raises `UserError` as `check_known`.
    """
    check_known(data)
    num = len(data.train)
    labels: dict[str, np.ndarray] = {}
    if data.train.labels is not None:
        labels["class"] = np.asarray(data.train.labels)
    if num <= MOST_MEMBERS:
        labels["image"] = np.arange(num)
    features = {name: Feature(np.bincount(each) / num) for name, each in labels.items()}
    return finite_posterior(np.asarray(to_pixels(data.train.levels, data.pixel_values)), labels, features), features


def exactly(
    recovery: Recovery, key: Any, posterior: Posterior, x: Images, times: Float[np.ndarray, " m"]
) -> tuple[dict[str, list[Errors]], list[dict[str, Any]]]:
    """The errors of the exact posterior of the training images by time, and the posterior of each feature."""
    found = [recovery.exact(key, posterior, x, t) for t in jnp.asarray(times, jnp.float32)]
    return {part: [each[part] for each, _ in found] for part in found[0][0]}, [classes for _, classes in found]


def remaining(features: dict[str, Feature], classes: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The share of each feature's entropy that z_t tells, 1 - H(c | z_t)/H(c), by time."""
    found = {}
    for name, feature in features.items():
        left = np.array([float(score(feature, each[name]).entropy.mean()) for each in classes])
        found[name] = {"share": 1 - left / feature.entropy, "total_nats": feature.entropy}
    return found


def of_errors(found: list[Errors]) -> dict[str, list[float]]:
    """{"mae", "mae_standard_error", "mse", "mse_standard_error"} over images, lists over times."""
    record = {}
    for name in Errors._fields:
        over = mean_and_error(np.stack([np.asarray(getattr(each, name), np.float64) for each in found], 1), "images")
        record |= {name: over.mean.tolist(), f"{name}_standard_error": over.error.tolist()}
    return record


def boundaries(
    found: dict[str, Any], steps: Int[np.ndarray, " m"], starts: Int[np.ndarray, " s"], tolerance: float
) -> dict[str, dict[str, int | None]]:
    """The first timesteps at which foreign images are recovered worse than own test images by more than `tolerance`."""
    grids, own = {"denoised": steps, "sampled": starts}, found[OWN]
    record: dict[str, dict[str, int | None]] = {}
    for name in (name for name in found if name not in (KNOWN, OWN)):
        record[name] = {}
        for part, grid in grids.items():
            first = first_above(np.array(own[part]["mae"]), np.array(found[name][part]["mae"]), tolerance)
            record[name][part] = None if first is None else int(grid[first])
    return record
