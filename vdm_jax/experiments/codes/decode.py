"""The job decode: reconstructions from each code, and images between the codes of two images."""

import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from vdm_jax.base.files import write_json, write_npz
from vdm_jax.base.images import to_unit
from vdm_jax.base.keys import named_key
from vdm_jax.data.dataset import Dataset
from vdm_jax.evals.image_metrics import rmse, ssim, ssim_reason, standard_error
from vdm_jax.evals.latent_space import entry, share
from vdm_jax.evals.reading.neighbours import nearest
from vdm_jax.experiments.codes.build import CodesExperiment
from vdm_jax.experiments.codes.decoders import Between, Unit, linear_decoder, own_decoder
from vdm_jax.experiments.codes.runs import Levels

RECORD, ARRAYS = "decoded.json", "decoded.npz"
SHOWN_IMAGES, SHOWN_PAIRS = 10, 4
OWN, LINEAR = "own", "linear"


class Images(NamedTuple):
    """Test images, and the two ends of each path between test images of different classes where there are any. train:
    the images to which the distance of what lies between is measured."""

    test: Levels
    first: Levels
    last: Levels
    train: Levels


def decode(experiment: CodesExperiment, workdir: pathlib.Path) -> str:
    """Writes `decoded.npz` and `decoded.json`; returns "done".

    {"own": {run: {"reconstruction": `reconstruction`, "interpolation": entry}}, "linear": {code: the same of the best
    linear map from the code to pixels}, "references": {"test_images", "blends": entries}, "reasons", "settings",
    "provenance"}. The interpolation is the mean RMSE between inner points and their nearest training image; the
    references are that of test images, and of the same points between the pixels of the two images.
    """
    config, data = experiment.config, experiment.data
    images = images_of(data, config)
    key = named_key(jax.random.key(config.decode.seed), "noise")
    settings = {name: config.decode[name] for name in ("sampler", "num_steps", "grid")}
    found: dict[str, dict[str, Any]] = {OWN: {}, LINEAR: {}}
    arrays = {"source": _bytes(to_unit(images.test[:SHOWN_IMAGES], data.num_levels))}
    decoders: list[tuple[str, str, Between]] = [
        (OWN, run.name, own_decoder(run, data, settings, key)) for run in experiment.runs if run.has_code
    ]
    decoders += [(LINEAR, code.name, linear_decoder(code.means, images.train, data)) for code in experiment.codes]
    for kind, name, between in decoders:
        print(f"decode: {name}, {kind} decoder", flush=True)
        made = decoded(between, images.test)
        paths = between_ends(between, images.first, images.last, config.decode.steps)
        measured = off_data(paths[:, 1:-1], images.train, data)
        found[kind][name] = {"reconstruction": reconstruction(made, to_unit(images.test, data.num_levels))}
        found[kind][name]["interpolation"] = measured
        arrays |= {f"{kind} {name}": _bytes(made[:SHOWN_IMAGES]), f"{kind} {name} path": _bytes(paths[:SHOWN_PAIRS])}
    reasons = {} if min(data.shape[:2]) >= 11 else {"ssim": ssim_reason((0, *data.shape))}
    record = found | {"references": references(images, data, config.decode.steps), "reasons": reasons}
    write_npz(workdir / ARRAYS, arrays)
    write_json(workdir / RECORD, record | experiment.origin)
    return "done"


def images_of(data: Dataset, config: ConfigDict) -> Images:
    """The images of the job; pairs are drawn at random, of different classes where there are labels."""
    test = data.test.first(config.decode.num_images)
    first, last = pairs(test.labels, len(test), config.decode.pairs, config.decode.seed)
    levels = test.levels
    return Images(levels, levels[first], levels[last], data.train.first(config.measure.train_images).levels)


def pairs(
    labels: Int[np.ndarray, " n"] | None, number: int, num_pairs: int, seed: int
) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]:
    """The rows of both images of each pair: two different images, of different classes where there are two."""
    random = np.random.RandomState(seed)
    first = random.randint(0, number, num_pairs)
    several = labels is not None and len(np.unique(labels)) > 1
    last = []
    for row in first:
        others = labels != labels[row] if several else np.arange(number) != row
        last.append(int(random.choice(np.flatnonzero(others))))
    return first, np.array(last)


def decoded(between: Between, levels: Levels) -> Unit:
    """The reconstruction of each image."""
    return between(levels, levels, np.zeros(len(levels)), np.arange(len(levels)))


def between_ends(between: Between, first: Levels, last: Levels, steps: int) -> Float[np.ndarray, "p s h w c"]:
    """The images at `steps` even points from the code of the first to that of the last, both among them, from one
    noise."""
    number = len(first)
    shares = np.tile(np.linspace(0, 1, steps), number)
    ends = (np.repeat(part, steps, axis=0) for part in (first, last))
    return between(*ends, shares, np.repeat(np.arange(number), steps)).reshape(number, steps, *first.shape[1:])


def reconstruction(made: Unit, real: Unit) -> dict[str, Any]:
    """{"rmse", "ssim", "identified"}: pixels in [0, 1]; "identified" is the share of reconstructions whose nearest test
    image is the original."""
    errors = rmse(made, real)
    found = {"rmse": entry(float(errors.mean()), standard_error(errors), len(errors))}
    if min(real.shape[1:3]) >= 11:
        alike = ssim(made, real)
        found["ssim"] = entry(float(alike.mean()), standard_error(alike), len(alike))
    rows = nearest(*(part.reshape(len(part), -1) for part in (real, made)), 1)[:, 0]
    return found | {"identified": share((real[rows] == real).all(axis=(1, 2, 3)))}


def off_data(paths: Float[np.ndarray, "p s h w c"], train: Levels, data: Dataset) -> dict[str, Any]:
    """The mean RMSE of images between two others to the nearest training image, pixels in [0, 1]; the error is over
    pairs."""
    distance = distances(paths.reshape(-1, *paths.shape[2:]), train, data)
    by_pair = distance.reshape(paths.shape[:2]).mean(axis=1)
    return entry(float(by_pair.mean()), standard_error(by_pair), len(by_pair))


def distances(made: Unit, train: Levels, data: Dataset) -> Float[np.ndarray, " n"]:
    """The RMSE of each image to the nearest training image."""
    real = to_unit(train, data.num_levels).astype(np.float32)
    rows = nearest(*(part.reshape(len(part), -1) for part in (real, made)), 1)[:, 0]
    return rmse(made, real[rows])


def references(images: Images, data: Dataset, steps: int) -> dict[str, dict[str, Any]]:
    """What a code that knows the data is near, "test_images", and what one that blends pixels is near, "blends"."""
    real = distances(to_unit(images.test, data.num_levels).astype(np.float32), images.train, data)
    ends = (to_unit(part, data.num_levels)[:, None] for part in (images.first, images.last))
    weights = np.linspace(0, 1, steps)[1:-1].reshape(1, -1, 1, 1, 1)
    blend = sum(part * weight for part, weight in zip(ends, (1 - weights, weights), strict=True))
    test_images = entry(float(real.mean()), standard_error(real), len(real))
    return {"test_images": test_images, "blends": off_data(blend.astype(np.float32), images.train, data)}


def _bytes(images: Float[np.ndarray, "*n h w c"]) -> np.ndarray:
    return np.rint(255 * images).astype(np.uint8)
