"""The job `closeness`: when n noised copies of a picture look like noise, by schedule, size of the picture and n."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vdm_jax.base.files import write_json
from vdm_jax.base.images import even_pixel_values, resized_levels
from vdm_jax.base.keys import fold_in, named_key
from vdm_jax.base.progress import bar
from vdm_jax.diffusion.forward.closeness import (
    closeness,
    expected_of_images,
    expected_of_pixels,
    first_at_floor,
    floor_of_images,
    floor_of_pixels,
)
from vdm_jax.diffusion.timesteps import gammas_at, timesteps
from vdm_jax.experiments.forward_process.build import LARGEST, ForwardExperiment, numbers_of
from vdm_jax.experiments.forward_process.origin import origin
from vdm_jax.experiments.forward_process.picture import LEVELS, reduced

RECORD = "closeness.json"
PARTS = ("images", "pixels", "signed")


def measure_closeness(experiment: ForwardExperiment, workdir: pathlib.Path) -> str:
    """Writes `closeness.json`; returns "done".

    {"timesteps": {schedule: […]}, "cells": [{"schedule", "size", "count", "num_values", "variance", "floors", "images",
    "images_standard_error", …, "expected_images", "expected_pixels", "at_floor": {"images": t, "pixels": t}}]}. The
    time at the floor is that of the expected metric at all timesteps 0 … T.
    """
    config = experiment.config.closeness
    sizes = numbers_of(config.sizes, "closeness.sizes", 2, LARGEST)
    counts = numbers_of(config.counts, "closeness.counts", 2, 1_000)
    key = named_key(jax.random.key(config.seed), "closeness")
    steps = {name: timesteps(config.num_timesteps, table) for name, table in experiment.tables.items()}
    cells: list[dict[str, Any]] = []
    for i in bar("closeness")(range(len(sizes))):
        size, x = sizes[i], pixels_of(experiment.picture, sizes[i])
        noise = [draw(fold_in(key, repeat), counts[-1], x.size) for repeat in range(config.repeats)]
        for name, table in experiment.tables.items():
            every = gammas_at(table, np.arange(table.num_steps + 1))
            at = gammas_at(table, steps[name])
            for count in counts:
                copies = [eps[:count] for eps in noise]
                about = {"schedule": name, "size": size, "count": count}
                cells.append(about | cell(x, copies, at, every, config.pixels, config.tolerance))
    record = {"timesteps": {name: own.tolist() for name, own in steps.items()}, "cells": cells}
    write_json(workdir / RECORD, record | origin(experiment, config.seed))
    return "done"


def pixels_of(picture: np.ndarray, size: int) -> Float[np.ndarray, " d"]:
    """The picture at size x size, bicubic, as the values of pixels in ±(1 - 1/256). Large ones are first averaged to
    four times the size."""
    levels = resized_levels(reduced(picture, max(4 * size, 64)), size)
    return even_pixel_values(LEVELS)[levels].ravel().astype(np.float64)


def draw(key: Any, count: int, num_values: int) -> Float[np.ndarray, "n d"]:
    """Noise of `count` copies; fewer copies are the first of them."""
    return np.asarray(jax.random.normal(key, (count, num_values), jnp.float32), np.float64)


def cell(
    x: Float[np.ndarray, " d"],
    noise: list[Float[np.ndarray, "n d"]],
    gammas: Float[np.ndarray, " m"],
    every: Float[np.ndarray, " T"],
    most_pixels: int,
    tolerance: float,
) -> dict[str, Any]:
    """The metrics at `gammas`, means and standard errors over draws, beside their expectations and floors.

    most_pixels: of the reading with pixels as variables, evenly chosen. every: gammas of all timesteps.
    """
    count, d = len(noise[0]), x.size
    chosen = np.unique(np.linspace(0, d - 1, min(d, most_pixels)).round().astype(int))
    found = np.array([[_metrics(x, eps, gamma, chosen) for gamma in gammas] for eps in noise])
    own: dict[str, Any] = {"num_values": d, "num_pixels": len(chosen), "variance": float(x.var(ddof=1))}
    for i, part in enumerate(PARTS):
        own[part] = found[..., i].mean(0).tolist()
        spread = found[..., i].std(0, ddof=1) / np.sqrt(len(noise)) if len(noise) > 1 else np.full(len(gammas), np.nan)
        own[f"{part}_standard_error"] = [None if np.isnan(each) else float(each) for each in spread]
    abar = {"": 1 / (1 + np.exp(gammas)), "every": 1 / (1 + np.exp(every))}
    images = {name: expected_of_images(each, own["variance"], count, d) for name, each in abar.items()}
    pixels = {name: expected_of_pixels(each, count, len(chosen)) for name, each in abar.items()}
    own["floors"] = {"images": floor_of_images(count, d), "pixels": floor_of_pixels(count, len(chosen))}
    own["at_floor"] = {
        "images": first_at_floor(images["every"], own["floors"]["images"], tolerance),
        "pixels": first_at_floor(pixels["every"], own["floors"]["pixels"], tolerance),
    }
    own["expected_images"], own["expected_pixels"] = images[""].tolist(), pixels[""].tolist()
    own["expected_signed"] = (abar[""] * own["variance"]).tolist()
    return own


def _metrics(
    x: Float[np.ndarray, " d"], eps: Float[np.ndarray, "n d"], gamma: float, chosen: np.ndarray
) -> tuple[float, float, float]:
    """(images, pixels of the chosen ones, signed) at one noise level."""
    z = np.sqrt(1 / (1 + np.exp(gamma))) * x + np.sqrt(1 / (1 + np.exp(-gamma))) * eps
    whole = closeness(z, of_pixels=len(chosen) == x.size)
    return whole.images, whole.pixels if len(chosen) == x.size else closeness(z[:, chosen]).pixels, whole.signed
