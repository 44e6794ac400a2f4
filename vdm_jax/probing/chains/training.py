"""Probes trained on chains: how the chains are split, and how probes are scored on each of them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int, Integer

from vdm_jax.diffusion.posterior import Feature
from vdm_jax.probing.chunks import Results
from vdm_jax.probing.curves import summarise_known, summarise_scores
from vdm_jax.probing.ensemble import Ensemble
from vdm_jax.probing.training import BY_ROW, KNOWN, PROBE


class Rows(NamedTuple):
    """The chains of a pool to train on, to validate on, and to test on."""

    train: Int[np.ndarray, " n"]
    validation: Int[np.ndarray, " v"]
    test: Int[np.ndarray, " t"]


def split_rows(num_train: int, num_validation: int, num_test: int) -> Rows:
    """Consecutive chains: to train on, to validate on, and to test on."""
    ends = np.cumsum([num_train, num_validation, num_test])
    return Rows(*np.split(np.arange(ends[-1]), ends[:-1]))


def make_measure(
    ensemble: Ensemble,
    features: Mapping[str, Feature],
    labels: dict[str, Int[np.ndarray, " n"]],
    rows: Integer[np.ndarray, " t"],
) -> Callable[..., Results]:
    """Returns `measure(params, keys, conditions)`: the curves of the probes on these rows, whose labels are known, and
    the scores of each row, [M, S, R]."""
    batches, score = ensemble.row_batches(rows), ensemble.row_scores(labels, rows)

    def measure(params, keys, conditions):
        results: Results = {PROBE: {}, KNOWN: {}, BY_ROW: {}}
        images = np.broadcast_to(batches, (len(keys), *batches.shape))
        for name, scores in jax.device_get(score(params, keys, conditions)).items():
            results[PROBE][name] = summarise_scores(features[name], scores, images)
            results[KNOWN][name] = summarise_known(features[name], scores, images)
            by_row = {key: values.swapaxes(1, 2).reshape(*values.shape[::2], -1) for key, values in scores.items()}
            results[BY_ROW][name] = by_row
        return results

    return measure
