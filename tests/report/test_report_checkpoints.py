"""Checkpoints of one training: distances of curves against the bound, from records of chains."""

import json
import math

import pytest

from vdm_jax.report.compare.checkpoints import (
    MEAN,
    REAL,
    checkpoints_figure,
    checkpoints_table,
    rank_correlation,
    read_checkpoints,
)
from vdm_jax.report.primitives.workdir import Workdir


def chains(step, bound, distance, model="runs/a"):
    def of(mean):
        return {"mean": mean, "mean_standard_errors": 10 * mean, "largest": 1.0}

    features = {"x": {"distances": {"backward_accuracy": of(distance)}}}
    features |= {"y": {"distances": {"backward_accuracy": of(3 * distance)}}}
    sampler = {"features": features, "real_or_generated": {"distance": of(0.01)}}
    about = {"step": step, "validation": {} if bound is None else {"bound": bound, "loss": 0.25}}
    samplers = {"exact": sampler, "model-ancestral:100": sampler}
    return {"model": about, "settings": {"chains": {"model": model}}, "samplers": samplers}


def runs(tmp_path, records):
    for i, record in enumerate(records):
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / "chains.json").write_text(json.dumps(record))
    return [Workdir(tmp_path / str(i)) for i in range(len(records))]


def test_checkpoints_of_a_training_are_in_the_order_of_their_steps(tmp_path):
    records = [chains(2_000, 31.0, 0.02), chains(500, 34.0, 0.04), chains(1_000, 33.0, 0.03)]
    records += [chains(500, 1.0, 0.5, model="runs/b"), {"features": {}}]
    (found,) = read_checkpoints(runs(tmp_path, records))
    assert [each.step for each in found] == [500, 1_000, 2_000] and found[0].sampler == "model-ancestral:100"
    assert found[0].distances[MEAN] == pytest.approx((0.08, 0.8)) and found[0].distances[REAL] == (0.01, 0.1)
    lines = checkpoints_table(found).splitlines()
    assert lines[0] == "| step | bound, nats | loss | x | y | mean of features | real or generated |"
    assert lines[2].startswith("| 500 | 34 | 0.25 | 0.0400 (0.4) | 0.1200 (1.2) | 0.0800 (0.8) |")
    assert lines[-1] == "| rank correlation |  |  | 1.00 | 1.00 | 1.00 | — |"
    axes = checkpoints_figure(found).axes[0]
    assert axes.get_lines()[0].get_xdata().tolist() == [31, 33, 34]
    assert axes.get_lines()[0].get_ydata().tolist() == [0.02, 0.03, 0.04]


def test_without_a_bound_distances_are_over_steps(tmp_path):
    (found,) = read_checkpoints(runs(tmp_path, [chains(500, None, 0.04), chains(1_000, None, 0.02)]))
    assert math.isnan(found[0].bound) and "| 500 | — | — |" in checkpoints_table(found)
    assert checkpoints_figure(found).axes[0].get_lines()[0].get_xdata().tolist() == [500, 1_000]


def test_rank_correlations():
    assert rank_correlation([1, 2, 3, 4], [1, 8, 27, 64]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [5, 4, 3]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(math.sqrt(0.9))  # scipy.stats.spearmanr
    assert all(math.isnan(rank_correlation(*each)) for each in (([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3])))
