"""Checkpoints of one training: how far the curves of chains are from the exact ones, against the validation bound."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.measured import measured_text, plain
from vdm_jax.report.primitives.workdir import Workdir, is_number

BACKWARD = "backward_accuracy"
MEAN, REAL = "mean of features", "real or generated"
EXPLAINED = (
    "Distances are means over timesteps: of |accuracy on z_t of chains - exact accuracy A(t)| for each feature, and of "
    "|accuracy - 0.5| for the classifier of chains and noised data. In brackets: in standard errors, of which a "
    "perfect model has 0.8 by chance. The bound and the loss are those of the training, of its validation images. "
    "Rank correlation: Spearman's, of the bound and each distance over the checkpoints."
)


class Checkpoint(NamedTuple):
    """Of a model by one sampler: {feature, `MEAN`, `REAL`: (distance, in standard errors)}."""

    model: str
    sampler: str
    step: int
    bound: float  # nats an image or vector of latents; NaN where the training has none
    loss: float
    distances: dict[str, tuple[float, float]]


def read_checkpoints(runs: Sequence[Workdir]) -> list[list[Checkpoint]]:
    """The checkpoints of each training and sampler of which there are two or more, by ascending step."""
    found: dict[tuple[str, str], dict[int, Checkpoint]] = {}
    for run in runs:
        for each in _of_run(run.chains):
            found.setdefault((each.model, each.sampler), {})[each.step] = each
    return [[each[step] for step in sorted(each)] for each in found.values() if len(each) > 1]


def _of_run(record: Mapping[str, Any]) -> list[Checkpoint]:
    """One for every sampler of the trained model; [] where the record is incomplete."""
    try:
        about, where = record["model"], record["settings"]["chains"]["model"]
        scores = about.get("validation", {})
        bound, loss = (scores.get(name) if is_number(scores.get(name)) else math.nan for name in ("bound", "loss"))
        return [
            Checkpoint(where, text, about["step"], bound, loss, _distances(found))
            for text, found in record["samplers"].items()
            if text.startswith("model-")
        ]
    except (KeyError, TypeError, AttributeError):
        return []


def _distances(sampler: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    by_feature = {name: feature["distances"][BACKWARD] for name, feature in sampler["features"].items()}
    parts = by_feature | {REAL: sampler["real_or_generated"]["distance"]}
    found = {name: (each["mean"], each["mean_standard_errors"]) for name, each in parts.items()}
    mean = np.mean([found[name] for name in by_feature], axis=0)
    return {name: found[name] for name in by_feature} | {MEAN: (float(mean[0]), float(mean[1])), REAL: found[REAL]}


def checkpoints_table(checkpoints: Sequence[Checkpoint]) -> str:
    """A row a checkpoint, and the rank correlation of the bound with every distance."""
    names = list(checkpoints[0].distances)
    rows = [["step", "bound, nats", "loss", *names], ["---"] * (3 + len(names))]
    for each in checkpoints:
        own = [f"{distance:.4f} ({errors:.1f})" for distance, errors in (each.distances[name] for name in names)]
        scores = ("—" if math.isnan(score) else measured_text(score) for score in (each.bound, each.loss))
        rows.append([plain(each.step), *scores, *own])
    bounds = [each.bound for each in checkpoints]
    correlations = [rank_correlation(bounds, [each.distances[name][0] for each in checkpoints]) for name in names]
    rows.append(["rank correlation", "", "", *("—" if math.isnan(each) else f"{each:.2f}" for each in correlations)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def rank_correlation(a: Sequence[float | int], b: Sequence[float | int]) -> float:
    """Spearman's, in [-1, 1]; NaN where a value is not finite, all of one are equal, or there are fewer than three."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(a) < 3 or not (np.isfinite(a).all() and np.isfinite(b).all()) or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    ranks = ((values[:, None] > values).sum(1) + (values[:, None] >= values).sum(1) for values in (a, b))
    return float(np.corrcoef(*ranks)[0, 1])


def checkpoints_figure(checkpoints: Sequence[Checkpoint]) -> Figure:
    """Distances against the bound, or against the step where there is none; black: their mean over features."""
    has_bound = all(math.isfinite(each.bound) for each in checkpoints)
    label = "validation bound, nats" if has_bound else "step"
    drawn, axes = style.panel(title=checkpoints[0].sampler, xlabel=label, ylabel="mean distance from the exact curve")
    x = np.array([each.bound if has_bound else each.step for each in checkpoints], np.float64)
    order = np.argsort(x)
    others = [name for name in checkpoints[0].distances if name != MEAN]
    for i, name in enumerate((*others, MEAN)):
        y = np.array([each.distances[name][0] for each in checkpoints], np.float64)
        look = dict(color=style.INK, linewidth=2.2) if name == MEAN else dict(color=style.line_look(i)[0])
        axes.plot(x[order], y[order], marker="o", markersize=3.5, label=name, **look)
    axes.set_ylim(bottom=0)
    style.legend(axes)
    return drawn
