"""Scores of several sets of generated images by one and the same networks: mode coverage and Fréchet distances."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Integer

from vdm_jax.data.dataset import Dataset
from vdm_jax.data.sprite_data import SpriteData, rendered
from vdm_jax.evals.coverage import coverage_of, make_reader
from vdm_jax.evals.feature_net import compute_features
from vdm_jax.evals.feature_reader import reader_features
from vdm_jax.evals.frechet import frechet_report
from vdm_jax.evals.image_distances import feature_net_of
from vdm_jax.evals.representations import NO_LABELS

REFERENCE_IMAGES = 10_000  # training images, at most, of the Fréchet distance of sprites
SCORES = ("coverage", "frechet")
NO_GRID = "modes are counted of sprites alone, whose every factor is known"
TOO_FEW = "nothing was generated: of sprites config.evaluate.coverage_images, of other data frechet_images is below 2"

Levels = Integer[np.ndarray, "n h w c"]
Sets = Mapping[str, Levels]
Scores = tuple[dict[str, dict[str, Any]], dict[str, str]]


def score_sets(
    data: Dataset,
    draw: Callable[[int], Sets],
    *,
    num_images: int,
    sprite_tolerance: float = 0.0,
    reader_images: int = 0,
    reader_steps: int = 0,
) -> Scores:
    """The scores of each set of `draw(num_images)` by its name, {"coverage", "frechet"}, and why some are None.

    Of sprites the coverage of the modes (`coverage_of`) and the Fréchet distance by the features of the network that
    reads them, with the settings of `measure_coverage`. Of other data the Fréchet distance by a classifier of the
    labels. "frechet" is as in `frechet_report`.
    """
    if num_images < 2:
        return {}, dict.fromkeys(SCORES, TOO_FEW)
    if data.grid is not None:
        return _of_sprites(data, draw(num_images), sprite_tolerance, reader_images, reader_steps), {}
    if data.train.labels is None:
        return {}, {"coverage": NO_GRID, "frechet": f"{NO_LABELS} to train a feature network on"}
    return _of_labelled(data, draw(min(num_images, len(data.test)))), {"coverage": NO_GRID}


def _of_sprites(
    data: SpriteData, sets: Sets, sprite_tolerance: float, reader_images: int, reader_steps: int
) -> dict[str, dict[str, Any]]:
    reader, held_out = make_reader(data, reader_images, reader_steps)
    real = [data.test.stored, data.train.stored[:REFERENCE_IMAGES]]
    test, train = (reader_features(reader, rendered(data, index)) for index in (real[0][: _largest(sets)], real[1]))
    return {
        name: {
            "coverage": coverage_of(data, made, reader, held_out, sprite_tolerance),
            "frechet": frechet_report(reader_features(reader, made), test, train, reader.network),
        }
        for name, made in sets.items()
    }


def _of_labelled(data: Dataset, sets: Sets) -> dict[str, dict[str, Any]]:
    net = feature_net_of(data)
    train, test = (compute_features(net, levels) for levels in (data.train.levels, data.test.levels[: _largest(sets)]))
    return {
        name: {"coverage": None, "frechet": frechet_report(compute_features(net, made), test, train, net.network)}
        for name, made in sets.items()
    }


def _largest(sets: Sets) -> int:
    return max(map(len, sets.values()))
