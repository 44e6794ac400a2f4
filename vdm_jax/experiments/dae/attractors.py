"""The job `attractors`: where x' = x - eta (x - DAE(x)) ends, by DAE, noise level and kind of start."""

import pathlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from vdm_jax.base.files import write_json, write_npz
from vdm_jax.base.images import pixels_to_bytes
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.base.statistics import standard_error
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.evaluate import about
from vdm_jax.experiments.dae.basins import basins_of
from vdm_jax.experiments.dae.build import DaeExperiment
from vdm_jax.experiments.dae.checks import numbers_of, sizes_of
from vdm_jax.experiments.dae.denoisers import Known, Pixels, images_of, known_daes, noisy, optimal_by_size, unit_of
from vdm_jax.models.attractors import (
    Ends,
    distinct,
    merging_sigmas,
    nearest_image,
    on_the_line,
    settle,
    two_point_attractor,
)
from vdm_jax.models.dae import Dae, apply_dae, fit_linear, linear_dae, optimal_dae

RECORD, ARRAYS = "attractors.json", "attractors.npz"
SHOWN = 8  # starts of a kind whose ends are drawn
LONGEST = 5_000  # steps between two points, which slow down where they merge
Settle = Callable[[Dae, Pixels, float], Ends]


def attractors(experiment: DaeExperiment, workdir: pathlib.Path) -> str:
    """Writes `attractors.json` and the images in `attractors.npz`; returns "done".

    test_on_image: the share of test images, as they are, within `on_data` of an image of the subset.
    """
    config, data, model = experiment.config, experiment.data, experiment.model
    own, key = config.attractors, jax.random.key(config.attractors.seed)
    weights = load_weights(workdir, model, config)
    train, test = images_of(experiment)
    daes = optimal_by_size(data, config.subset, [size for size in sizes_of(own.sizes) if size < len(train)])
    daes |= {f"{name} {len(train)}": known for name, known in known_daes(model, weights.params, train).items()}
    run = partial(settle_all, own)
    sigmas, found, arrays = numbers_of(own.sigmas, "attractors.sigmas"), {}, {}
    for _, (name, known) in zip(bar("attractors")(range(len(daes))), daes.items(), strict=True):
        starts = make_starts(known.images, test, own.num_starts, key)
        rows, ends = ends_by_sigma(known, starts, sigmas, run, own.on_data * unit_of(data), own.tolerance)
        found[name] = {"num_images": len(known.images), "starts": rows}
        found[name]["merging_sigmas"] = merging_sigmas(known.images.reshape(len(known.images), -1))
        arrays |= {f"{name}: {part}": pixels_to_bytes(images, data.pixel_values) for part, images in ends.items()}
    shown = basins_of(daes, train[:3], own, run, data)
    record = {
        "sigmas": sigmas,
        "daes": found,
        "daes_of_subset": len(train),
        "two_points": two_points(train, own),
        "test_on_image": float((nearest_image(*map(flat, (train, test)))[1] < own.on_data * unit_of(data)).mean()),
        "svd": svd_diffusion(train, test, own, run, unit_of(data)),
        "basin_sigmas": numbers_of(own.basin_sigmas, "attractors.basin_sigmas"),
    }
    (workdir / RECORD).unlink(missing_ok=True)
    write_npz(workdir / ARRAYS, arrays | shown)
    origin = about(config, data.fingerprint, weights, model.describe_objective(), {})
    write_json(workdir / RECORD, record | origin)
    return "done"


def settle_all(own: ConfigDict, dae: Dae, starts: Pixels, sigma: float) -> Ends:
    """`settle` of any number of starts, in batches of one size. own: `config.attractors`."""
    size, found = min(own.batch_size, len(starts)), []
    for first in range(0, len(starts), size):
        index = np.minimum(np.arange(first, first + size), len(starts) - 1)
        settings = {"eta": own.eta, "tolerance": own.tolerance, "max_steps": own.max_steps}
        found.append(settle(dae, starts[index], sigma, **settings))
    x, residual = (np.concatenate([getattr(part, name) for part in found]) for name in ("x", "residual"))
    return Ends(x[: len(starts)], residual[: len(starts)], max(part.num_steps for part in found))


def make_starts(known: Pixels, test: Pixels, number: int, key: Any) -> Callable[[float], dict[str, Pixels]]:
    """`starts(sigma)`: images that the DAE knows and test images, both with noise of deviation sigma, and Gaussian
    noise with the mean image and the variance of such images. Fewer known images are taken several times."""
    chosen = known[np.arange(number) % len(known)]
    scale = float(np.sqrt(known.var(0).mean()))

    def starts(sigma: float) -> dict[str, Pixels]:
        mean = np.broadcast_to(known.mean(0), chosen.shape)
        return {
            "training": noisy(named_key(key, "training"), chosen, sigma),
            "test": noisy(named_key(key, "test"), test[np.arange(number) % len(test)], sigma),
            "noise": noisy(named_key(key, "noise"), mean, float(np.hypot(scale, sigma))),
        }

    return starts


def ends_by_sigma(
    known: Known,
    starts: Callable[[float], dict[str, Pixels]],
    sigmas: list[float],
    run: Settle,
    on_data: float,
    tolerance: float,
) -> tuple[dict[str, list[dict[str, float | int] | None]], dict[str, Float[np.ndarray, "s k h w c"]]]:
    """({kind of start: what `describe_ends` says, by sigma}, the first ends of each kind [S, shown, H, W, C], and the
    starts at the first sigma). None at a sigma that the DAE is not made for."""
    rows: dict[str, list] = {}
    images: dict[str, list] = {}
    for sigma in sigmas:
        begun = starts(sigma)
        if not known.takes(sigma):
            for kind in begun:
                rows.setdefault(kind, []).append(None)
                images.setdefault(kind, []).append(np.zeros_like(begun[kind][:SHOWN]))
            continue
        ends = run(known.dae, np.concatenate(list(begun.values())), sigma)
        number = len(begun["training"])
        for i, kind in enumerate(begun):
            part = slice(i * number, (i + 1) * number)
            mine = Ends(ends.x[part], ends.residual[part], ends.num_steps)
            rows.setdefault(kind, []).append(describe_ends(known.images, begun[kind], mine, kind, on_data, tolerance))
            images.setdefault(kind, []).append(mine.x[:SHOWN])
    return rows, {kind: np.stack(each) for kind, each in images.items()}


def describe_ends(
    known: Pixels, starts: Pixels, ends: Ends, kind: str, on_data: float, tolerance: float
) -> dict[str, float | int]:
    """Shares of the starts, and means over them. Errors of shares follow from their number.

    on_image: that end within `on_data` of a known image. own: at the very image that noise was added to. closest: at
    the image nearest to the start. at_mean: within `on_data` of the mean image. num_ends: ends that differ by more than
    `on_data`. distance: of the end to the nearest known image, root mean square in the model's pixels. converged: that
    have come to rest.
    """
    data, begun, x = (flat(images) for images in (known, starts, ends.x))
    index, distance = nearest_image(data, x)
    near = distance < on_data
    found = {
        "on_image": near,
        "closest": near & (index == nearest_image(data, begun)[0]),
        "at_mean": np.sqrt(((x - data.mean(0)[None]) ** 2).mean(1)) < on_data,
        "converged": ends.converged(tolerance),
        "distance": distance,
    }
    if kind == "training":
        found["own"] = near & alike(data, index, np.arange(len(x)) % len(data))
    shares = {name: float(np.mean(values)) for name, values in found.items()}
    error = {"distance_standard_error": standard_error(distance)}
    counts = {"num_ends": len(np.unique(distinct(x, on_data))), "num_starts": len(x), "num_steps": ends.num_steps}
    return shares | error | counts


def flat(images: Pixels) -> Float[np.ndarray, "n d"]:
    """[N, D]."""
    return images.reshape(len(images), -1)


def alike(data: Float[np.ndarray, "n d"], a: Int[np.ndarray, " b"], b: Int[np.ndarray, " b"]) -> np.ndarray:
    """Whether two images are equal; several members of a data set may be."""
    return (a == b) | (data[a] == data[b]).all(1)


def two_points(train: Pixels, own: ConfigDict) -> dict[str, Any]:
    """The attractor of two training images on the line through them, by sigma as a share of half their distance a:
    predicted, a tanh(a x*/sigma²), and found by iteration, both as shares of a."""
    pair = train[:2].reshape(2, -1)
    dae, ratios, found = optimal_dae(pair), numbers_of(own.two_point_sigmas, "attractors.two_point_sigmas"), []
    a = float(np.linalg.norm(pair[0] - pair[1])) / 2
    run = partial(settle, dae, eta=1.0, tolerance=min(own.tolerance, 1e-5), max_steps=LONGEST)
    for ratio in ratios:
        found.append(on_the_line(pair, lambda x, sigma=ratio * a: run(x, sigma).x)[1] / a)
    return {
        "sigma_over_a": ratios,
        "predicted": [two_point_attractor(1.0, ratio) for ratio in ratios],
        "found": found,
        "a": a,
    }


def svd_diffusion(
    train: Pixels, test: Pixels, own: ConfigDict, run: Settle, unit: float
) -> dict[str, float | int | None]:
    """Where starts at test images end under the projection on leading components, the linear DAE at sigma = 0.

    moved: the distance of the ends to the projection of the starts, which is where they should be. to_image: to the
    nearest training image. on_image: the share at a training image. num_ends of num_starts: ends that differ.
    """
    fit = fit_linear(train, own.components)
    dae, starts = linear_dae(fit), test[np.arange(own.num_starts) % len(test)]
    ends = run(dae, starts, 0.0).x.reshape(len(starts), -1)
    projected = np.asarray(apply_dae(dae, starts, 0.0)).reshape(len(starts), -1)
    _, distance = nearest_image(train.reshape(len(train), -1), ends)
    return {
        "components": len(fit.variances),
        "moved": float(np.sqrt(((ends - projected) ** 2).mean())),
        "to_image": float(distance.mean()),
        "on_image": float((distance < own.on_data * unit).mean()),
        "num_ends": len(np.unique(distinct(ends, 1e-2 * unit))),
        "num_starts": len(np.unique(starts.reshape(len(starts), -1), axis=0)),
    }


def attractors_summary(values: dict[str, Any]) -> str:
    """A line for each DAE: the share of noised training images that return to their own, by sigma."""
    sigmas, lines = values["sigmas"], []
    lines.append("sigma       " + " ".join(f"{sigma:>6g}" for sigma in sigmas) + "  of noised training images, at own")
    for name, row in values["daes"].items():
        shares = [each and each["own"] for each in row["starts"]["training"]]
        lines.append(f"{name:<15}" + " ".join("     —" if share is None else f"{share:6.2f}" for share in shares))
    return "\n".join(lines)
