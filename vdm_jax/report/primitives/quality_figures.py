"""Scores of decoded samples against network evaluations, a line for each way to sample: of quality.json."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.measured import entry
from vdm_jax.report.primitives.workdir import Place

KL = "kl_nats"
SCORES: dict[str, Place] = {  # title -> place in a row of quality.json
    "no sprite": ("not_a_sprite",),
    "KL of kinds, nats": ("modes", "kind", KL),
    "KL of kinds and places, nats": ("modes", "kind and place", KL),
    "Fréchet distance": ("frechet",),
}
Row = Mapping[str, Any]


def lines_of(rows: Sequence[Row], by: Sequence[str]) -> dict[str, list[Row]]:
    """The rows in groups of equal values of `by`, by these values in words, each by ascending evaluations."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(", ".join(str(row[key]) for key in by), []).append(row)
    return {name: sorted(group, key=lambda row: row["evaluations"]) for name, group in found.items()}


def chosen(rows: Sequence[Row], varied: str) -> list[Row]:
    """The rows that say what `varied`, "times" or "start", does: of the samplers that have two of its values, with the
    other of the two as it usually is."""
    fixed = {"times": ("start", "noise"), "start": ("times", "time")}[varied]
    own = [row for row in rows if row[fixed[0]] == fixed[1]]
    values = {name: {row[varied] for row in group} for name, group in lines_of(own, ("sampler",)).items()}
    return [row for row in own if len(values[str(row["sampler"])]) > 1]


def shown_scores(rows: Sequence[Row]) -> dict[str, Place]:
    """The scores that one of the rows has."""
    return {title: place for title, place in SCORES.items() if any(entry(row, *place)[0] is not None for row in rows)}


def best_of(place: Place, rows: Sequence[Row], codes: Row) -> tuple[float | None, str]:
    """What a perfect model has, and its name: decoded latents of test images; of a KL, whose expectation depends on the
    number of images, as many images of the data."""
    if place[-1] != KL:
        return entry(codes, *place)[0], "latents of test images"
    return next((entry(row, *place[:-1], "kl_expected_nats")[0] for row in rows), None), "as many images of the data"


def score_figure(title: str, lines: Mapping[str, Sequence[Row]], codes: Row) -> Figure:
    """One score against the evaluations of the network, ± 2 standard errors; dashed: `best_of`."""
    drawn, axes = style.panel(title=title, xlabel="network evaluations", ylabel=title)
    place, ticks = SCORES[title], set()
    for i, (name, rows) in enumerate(lines.items()):
        found = [(row["evaluations"], *entry(row, *place)[:2]) for row in rows]
        points = np.array([(n, np.nan if v is None else v, e or 0.0) for n, v, e in found], np.float64)
        colour, marker = style.line_look(i)[0], style.CLASS_MARKERS[i % len(style.CLASS_MARKERS)]
        axes.errorbar(
            *points[:, :2].T, yerr=2 * points[:, 2], color=colour, marker=marker, markersize=4, capsize=2, label=name
        )
        ticks |= set(points[:, 0])
    best, name = best_of(place, [row for group in lines.values() for row in group], codes)
    if best is not None:
        axes.axhline(best, color=style.INK, linewidth=1.2, linestyle="--", label=name)
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    kept = [tick for tick in sorted(ticks) if not any(tick < other <= 1.25 * tick for other in ticks)]
    axes.set_xticks(kept, [f"{tick:.0f}" for tick in kept])
    axes.set_ylim(bottom=0)
    style.legend(axes)
    return drawn
