"""The job `jacobians`: in how many directions a DAE keeps a change of x, at images and away from them."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vdm_jax.base.files import write_json, write_npz
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.base.statistics import standard_error
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.evaluate import about
from vdm_jax.experiments.dae.build import DaeExperiment
from vdm_jax.experiments.dae.checks import numbers_of
from vdm_jax.experiments.dae.denoisers import LINEAR, OPTIMAL, Known, Pixels, images_of, known_daes, noisy
from vdm_jax.models.dae import fit_linear, jacobian, linear_spectrum, optimal_spectrum

RECORD, ARRAYS = "jacobians.json", "jacobians.npz"
KEPT = 0.5  # a direction is kept where its singular value is at least this: its variance is at least sigma²


def jacobians(experiment: DaeExperiment, workdir: pathlib.Path) -> str:
    """Writes `jacobians.json` and the mean singular values in `jacobians.npz`; returns "done"."""
    config, model = experiment.config, experiment.model
    own, key = config.jacobians, jax.random.key(config.jacobians.seed)
    weights = load_weights(workdir, model, config)
    train, test = images_of(experiment)
    daes, sigmas = known_daes(model, weights.params, train), numbers_of(own.sigmas, "jacobians.sigmas")
    record: dict[str, Any] = {name: {} for name in daes}
    arrays = {}
    for _, sigma in zip(bar("jacobians")(range(len(sigmas))), sigmas, strict=True):
        for place, points in make_places(train, test, own.num_points, sigma, key).items():
            for name, known in daes.items():
                found = spectra(name, known, points, sigma) if known.takes(sigma) else None
                record[name].setdefault(place, []).append(None if found is None else describe_spectra(*found))
                if found is not None:
                    arrays[f"{name}: {place}: {sigma:g}"] = found[0].mean(0)
    values = {
        "sigmas": sigmas,
        "daes": record,
        "num_points": min(own.num_points, len(train)),
        "num_dims": train[0].size,
    }
    (workdir / RECORD).unlink(missing_ok=True)
    write_npz(workdir / ARRAYS, arrays)
    origin = about(config, experiment.data.fingerprint, weights, model.describe_objective(), {})
    write_json(workdir / RECORD, values | origin)
    return "done"


def make_places(train: Pixels, test: Pixels, number: int, sigma: float, key: Any) -> dict[str, Pixels]:
    """`number` points of each kind: training images, these plus noise of deviation sigma, test images, points midway
    between two training images, and Gaussian noise with the mean image and the variance of noisy images."""
    at = train[:number]
    mean = np.broadcast_to(train.mean(0), at.shape)
    deviation = float(np.hypot(np.sqrt(train.var(0).mean()), sigma))
    return {
        "training image": at,
        "noised training image": noisy(named_key(key, "training"), at, sigma),
        "test image": test[: len(at)],
        "between two": (at + np.roll(train, -1, axis=0)[: len(at)]) / 2,
        "noise": noisy(named_key(key, "noise"), mean, deviation),
    }


def spectra(
    name: str, known: Known, points: Pixels, sigma: float
) -> tuple[Float[np.ndarray, "p d"], Float[np.ndarray, " p"]]:
    """(singular values of the Jacobian at each point, descending; how far it is from symmetric, ||J - Jᵀ||/||J + Jᵀ||).

    The Jacobians of the optimal and of the linear DAE are known, and symmetric.
    """
    num_dims = points[0].size
    if name == LINEAR:
        kept = np.asarray(linear_spectrum(fit_linear(known.images), sigma))
        values = np.pad(kept, (0, num_dims - len(kept)))
        return np.broadcast_to(values, (len(points), num_dims)), np.zeros(len(points))
    if name == OPTIMAL:
        rows = known.images.reshape(len(known.images), -1)
        return np.stack([optimal_spectrum(rows, x.ravel(), sigma) for x in points]), np.zeros(len(points))
    values, skew = [], []
    for x in points:
        found = jacobian(known.dae, jnp.asarray(x), jnp.float32(sigma), chunk=min(128, num_dims))
        values.append(np.linalg.svd(found, compute_uv=False))
        skew.append(float(np.linalg.norm(found - found.T) / np.linalg.norm(found + found.T)))
    return np.stack(values), np.array(skew)


def describe_spectra(values: Float[np.ndarray, "p d"], skew: Float[np.ndarray, " p"]) -> dict[str, float | None]:
    """Means over points, with standard errors, None of a single one. kept: directions with a singular value of at least
    `KEPT`. rank: (Σ s)²/Σ s², the number of equal singular values with such sums. largest: the largest one. skew: as in
    `spectra`."""
    total = values.sum(1)
    found = {
        "kept": (values >= KEPT).sum(1),
        "rank": total**2 / np.maximum((values**2).sum(1), np.finfo(np.float32).tiny),
        "sum": total,
        "largest": values[:, 0],
        "skew": skew,
    }
    means = {name: float(np.mean(each)) for name, each in found.items()}
    return means | {f"{name}_standard_error": standard_error(each) for name, each in found.items()}
