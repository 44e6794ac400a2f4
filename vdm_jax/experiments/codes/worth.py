"""The job worth: at which log SNR each code helps its denoiser, beside the most that any code could help.

½ [mmse - mmse | w], in nats per unit of log SNR: mmse is the error of the best denoiser without a code. On the training
images, a finite data set, that is exact: E[eps | z_t] by the posterior over them. A code that names the image leaves no
error, so that the mmse itself is the ceiling, and its area over all log SNR is ln N. A code that names the class alone
leaves the error of the exact denoiser given the class; the difference has the entropy of the class as its area.

For E(x, t) the area is no information, because the codes of different t differ: the best one-bit code of each t may
take off more than ln 2.
"""

import pathlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, Key, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.keys import fold_in, named_key
from vdm_jax.data.dataset import Dataset, Split
from vdm_jax.diffusion.objective import integrand_by_logsnr
from vdm_jax.diffusion.posterior import denoiser_within
from vdm_jax.diffusion.schedules import Schedule, make_schedule, times_of_gamma
from vdm_jax.evals.image_metrics import standard_error
from vdm_jax.evals.latent_space import entry
from vdm_jax.experiments.codes.build import CodesExperiment
from vdm_jax.experiments.codes.codes import pixels_of
from vdm_jax.experiments.codes.runs import TrainedRun
from vdm_jax.experiments.common.codes import conditions
from vdm_jax.experiments.common.factors import factors_of, labels_of
from vdm_jax.models.diffusion import DiffusionModel

RECORD = "worth.json"
BATCH = 50  # images at a time
MOST_NUMBERS = 2e8  # in the training images, for exact curves
LOW, HIGH = -10.0, 10.0  # log SNR, where no run has a schedule
Errors = Callable[[Key[Array, ""], Integer[np.ndarray, " b"]], Array]
Curves = Float[np.ndarray, "n m"]  # of each image: ½||eps - eps_hat||² at each log SNR, nats


def worth(experiment: CodesExperiment, workdir: pathlib.Path) -> str:
    """Writes `worth.json`; returns "done".

    {"logsnr": [M], "ceiling": curve, "within": {factor: curve}, "runs": {name: {"of_time": whether the code is E(x, t),
    "error_train", "error_test", "help": curves}}, "reference": name of the run without a code or None,
    "against_reference": {name: curve}, "num_train", "num_distinct": training images that differ, None without a
    ceiling, "reasons", "settings", "provenance"}. A curve is {"mean": [M], "standard_error": [M], "area": entry}, over
    images. "help" is the ceiling less the error with the code on the same training images and noise,
    "against_reference" the error of the
    reference less that with the code on the same test images and noise. A denoiser that was trained in a band of log
    SNR has None outside of it, and its areas are over the band.
    """
    config, data = experiment.config.worth, experiment.data
    runs = [run for run in experiment.runs if isinstance(run.model, DiffusionModel)]
    schedule, gammas = levels_of_noise({run.name: run.model.schedule(run.params) for run in runs}, config.points)
    key = named_key(jax.random.key(config.seed), "worth")
    splits = {name: getattr(data, name).first(config.num_images) for name in ("train", "test")}
    exact, reasons = exact_curves(data, splits["train"], schedule, gammas, key, config.passes)
    found: dict[str, dict[str, Curves]] = {}
    for run in runs:
        print(f"worth: {run.name}", flush=True)
        found[run.name] = {name: run_curves(run, split, gammas, key, config.passes) for name, split in splits.items()}
    logsnr, trained = -gammas, {run.name: trained_at(run.model, gammas) for run in runs}
    reference = next((run.name for run in runs if not run.has_code and not run.model.num_labels), None)
    of_time = {run.name: run.of_time for run in runs}
    with_code = [run.name for run in runs if run.has_code]
    if reference is None:
        reasons["against_reference"] = "there is no run without a code"
    ceiling = exact.get("")
    of_runs = {
        name: {"of_time": of_time[name]}
        | {f"error_{split}": curve_of(values, logsnr, trained[name]) for split, values in parts.items()}
        | ({} if ceiling is None else {"help": curve_of(ceiling - parts["train"], logsnr, trained[name])})
        for name, parts in found.items()
    }
    record = {
        "logsnr": logsnr.tolist(),
        "ceiling": None if ceiling is None else curve_of(ceiling, logsnr),
        "within": {name: curve_of(ceiling - values, logsnr) for name, values in exact.items() if name},
        "runs": of_runs,
        "reference": reference,
        "against_reference": {
            name: curve_of(found[reference]["test"] - found[name]["test"], logsnr, trained[name])
            for name in (with_code if reference else ())
        },
        "num_train": len(data.train),
        "num_distinct": None if ceiling is None else num_distinct(data),
        "reasons": reasons,
    }
    write_json(workdir / RECORD, record | experiment.origin)
    return "done"


def num_distinct(data: Dataset) -> int:
    """How many training images differ."""
    return len(np.unique(data.train.levels.reshape(len(data.train), -1), axis=0))


def levels_of_noise(schedules: Mapping[str, Schedule], points: int) -> tuple[Schedule, Float[np.ndarray, " m"]]:
    """A schedule over the noise levels that all runs have, and M of them, the least noise first. Raises `UserError`
    where there are none. schedules: that of each run, by its name.

    M = `points`. Where a run has a table, they are entries of the first such table, which may be fewer.
    """
    levels = [_levels(own) for own in schedules.values()] or [np.array([-HIGH, -LOW])]
    low, high = max(own[0] for own in levels), min(own[-1] for own in levels)
    if not low < high:
        raise UserError(f"the runs {list(schedules)} have no noise level in common; measure them apart")
    gammas = np.linspace(low, high, points, dtype=np.float32)
    if tables := [own for own in schedules.values() if own.num_steps]:
        gammas = np.unique(tables[0].gamma(times_of_gamma(tables[0], jnp.asarray(gammas))))
    return make_schedule("linear", gamma_min=float(low), gamma_max=float(high)), gammas


def _levels(schedule: Schedule) -> Float[np.ndarray, " k"]:
    """The least and the most noise of a schedule; of a table all entries with noise."""
    if not schedule.num_steps:
        return np.asarray(schedule.gamma(jnp.array([0.0, 1.0])))
    entries = np.asarray(schedule.gamma(jnp.arange(1, schedule.num_steps + 1) / schedule.num_steps))
    return entries[np.isfinite(entries)]


def exact_curves(
    data: Dataset,
    split: Split,
    schedule: Schedule,
    gammas: Float[np.ndarray, " m"],
    key: Key[Array, ""],
    passes: int,
) -> tuple[dict[str, Curves], dict[str, str]]:
    """Errors of the exact denoiser of the training images at images of `split`, which are among them: "" of one
    without a code, and FACTOR of one given the factor of the image; the reason where there are none."""
    members = data.train
    if len(members) * data.num_dims > MOST_NUMBERS:
        why = f"{len(members):,} training images are too many for an exact denoiser"
        return {}, {"ceiling": why}
    rows = jnp.asarray(pixels_of(data, members.levels))
    known: dict[str, tuple[np.ndarray, np.ndarray] | None] = {"": None}
    if factors_of(data):
        known |= dict(zip(*_labels(data, split, members), strict=True))
    x = pixels_of(data, split.levels).reshape(len(split), *data.shape)
    found = {}
    for name, labels in known.items():
        print(f"worth: the exact denoiser{f', given {name}' if name else ''}", flush=True)

        def errors(key, rows_of_batch, labels=labels):
            own = None if labels is None else jnp.asarray(labels[0][rows_of_batch])
            allowed = None if labels is None else own[:, None] == jnp.asarray(labels[1])[None]
            return _exact_errors(rows, allowed, schedule, key, jnp.asarray(x[rows_of_batch]), jnp.asarray(gammas))

        found[name] = average(errors, len(split), key, passes)
    return found, {}


def _labels(data: Dataset, split: Split, members: Split) -> tuple[list[str], list[tuple[np.ndarray, np.ndarray]]]:
    """The factors, and the classes of the images of a split and of all members."""
    own, every = labels_of(data, split), labels_of(data, members)
    return list(own), [(np.asarray(own[name]), np.asarray(every[name])) for name in own]


def run_curves(
    run: TrainedRun, split: Split, gammas: Float[np.ndarray, " m"], key: Key[Array, ""], passes: int
) -> Curves:
    """The errors of the denoiser of a run under the code of each image, on the noise of `exact_curves`."""
    model = run.model
    moments = run.moments(split.levels) if model.has_moments else None
    read = conditions(model, named_key(key, "codes"), split.levels, moments, split.labels)

    def errors(key, rows):
        w = jax.tree.map(lambda leaf: jnp.asarray(leaf[rows]), read)
        return _model_errors(model, run.params, key, jnp.asarray(split.levels[rows]), w, jnp.asarray(gammas))

    return average(errors, len(split), key, passes)


def average(errors: Errors, number: int, key: Key[Array, ""], passes: int) -> Curves:
    """The mean over passes of `errors(key, rows [B]) -> [B, M]` of images 0 … N-1. The noise is a function of the key,
    the pass and the place of the batch alone. The last batch is filled up with copies."""
    total = []
    for start in range(0, number, BATCH):
        rows = np.minimum(np.arange(start, start + BATCH), number - 1)
        each = [np.asarray(errors(fold_in(fold_in(key, p), start), rows), np.float64) for p in range(passes)]
        total.append(np.mean(each, axis=0)[: number - start])
    return np.concatenate(total)


@partial(jax.jit, static_argnums=2)
def _exact_errors(rows, allowed, schedule: Schedule, key, x, gammas) -> Float[Array, "b m"]:
    if allowed is None:
        allowed = jnp.ones((len(x), len(rows)), bool)
    return integrand_by_logsnr(key, x, denoiser_within(rows, allowed, schedule), schedule, gammas)[1].T


@partial(jax.jit, static_argnums=0)
def _model_errors(model: DiffusionModel, params: PyTree, key, levels, w: PyTree, gammas) -> Float[Array, "b m"]:
    schedule = model.schedule(params)
    return integrand_by_logsnr(key, model.to_x(levels), model.denoise(params, w), schedule, gammas)[1].T


def trained_at(model: DiffusionModel, gammas: Float[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
    """The noise levels at which a denoiser was trained: those of its band, where it has one."""
    band = getattr(model, "band", None)
    return np.ones(len(gammas), bool) if band is None else np.asarray(band.holds(jnp.asarray(gammas)))


def curve_of(
    values: Curves, logsnr: Float[np.ndarray, " m"], known: Bool[np.ndarray, " m"] | None = None
) -> dict[str, Any]:
    """The mean over images with its standard error, None where it is not known, and the area over the log SNR where it
    is, nats."""
    known = np.ones(len(logsnr), bool) if known is None else known
    order = np.flatnonzero(known)[np.argsort(logsnr[known])]
    areas = np.trapezoid(values[:, order], np.asarray(logsnr, np.float64)[order], axis=1)
    area = entry(float(areas.mean()), standard_error(areas), len(areas))
    means = [float(values[:, m].mean()) if known[m] else None for m in range(len(logsnr))]
    errors = [standard_error(values[:, m]) if known[m] else None for m in range(len(logsnr))]
    return {"mean": means, "standard_error": errors, "area": area}
