"""Probes trained on chains: which chains are learned from, and the ensemble that learns from them."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int, Integer
from ml_collections import ConfigDict

from vdm_jax.data.sprites import SpriteGrid
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.experiments.probes.training import KNOWN, PROBE, in_parts, make_ensemble, train_ensemble
from vdm_jax.probing.chunks import Arrays
from vdm_jax.probing.curves import summarise_known, summarise_scores
from vdm_jax.probing.ensemble import Ensemble
from vdm_jax.probing.feeds import make_pool_feed
from vdm_jax.probing.heads import make_heads

BY_ROW = "by_row"  # part of a chunk


class Rows(NamedTuple):
    """Which of a pool's chains are learned from, watched, and scored."""

    train: Int[np.ndarray, " n"]
    validation: Int[np.ndarray, " v"]
    test: Int[np.ndarray, " t"]


def split_rows(config: ConfigDict) -> Rows:
    """The chains in turn: to learn from, to watch, and to score."""
    ends = np.cumsum([config.num_chains, config.num_validation, config.num_test])
    return Rows(*np.split(np.arange(ends[-1]), ends[:-1]))


def train_on_rows(
    config: ConfigDict,
    grid: SpriteGrid,
    features: dict[str, Feature],
    labels: dict[str, Int[np.ndarray, " n"]],
    levels: dict[str, np.ndarray],
    asked: np.ndarray,
    rows: Rows,
    folder: pathlib.Path,
) -> tuple[Ensemble, Arrays]:
    """(ensemble, arrays): probes trained on rows of `levels["z"]`, [M, N, …], whose labels are known; their curves."""
    feeds = (make_pool_feed(labels, part) for part in rows[:2])
    ensemble = make_ensemble(config, grid, make_heads(features, config.targets), *feeds)
    measure = make_measure(ensemble, features, labels, rows.test)
    return ensemble, train_ensemble(config, ensemble, measure, asked, levels, folder)


def make_measure(
    ensemble: Ensemble,
    features: dict[str, Feature],
    labels: dict[str, Int[np.ndarray, " n"]],
    rows: Integer[np.ndarray, " t"],
) -> Callable[..., Arrays]:
    """-> `measure(params, keys, levels)`: the curves of the probes on these rows, whose labels are known, and what each
    row scores, [M, S, R]."""
    batches, score = ensemble.row_batches(rows), ensemble.row_scores(labels, rows)

    def measure(params, keys, levels):
        arrays: Arrays = {}
        images = np.broadcast_to(batches, (len(keys), *batches.shape))
        for name, scores in jax.device_get(score(params, keys, levels)).items():
            probe, known = (summary(features[name], scores, images) for summary in (summarise_scores, summarise_known))
            by_row = {key: values.swapaxes(1, 2).reshape(*values.shape[::2], -1) for key, values in scores.items()}
            arrays |= in_parts(name, {PROBE: probe, KNOWN: known, BY_ROW: by_row})
        return arrays

    return measure
