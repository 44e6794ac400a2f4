"""The record quality.json: ways to sample, their scores, and the figure of these."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.measured import measured_text

SAMPLERS = {
    "ancestral": "ancestral",
    "ancestral_beta": "ancestral, variance beta",
    "ddim": "DDIM",
    "dpmpp_2m": "DPM-Solver++ 2M",
}
TIMES = {
    "time": "even in time",
    "logsnr": "even in log SNR",
    "cosine": "noise levels of a cosine schedule",
    "information": "equal information lost a step",
}
STARTS = {
    "noise": "N(0, I)",
    "gaussian": "a Gaussian at the edge of the features",
    "mixture": "a mixture of Gaussians there",
}
CODES = "latents of test images"
DASH = "—"


class SamplingScores(NamedTuple):
    """What was measured of one way to sample. scores: its row in the record."""

    sampler: str
    num_steps: int
    times: str
    start: str
    scores: Mapping[str, Any]

    @property
    def name(self) -> str:
        """In words, without the number of steps."""
        parts = [SAMPLERS.get(self.sampler, self.sampler)]
        parts += [TIMES.get(self.times, self.times)] * (self.times != "time")
        parts += [f"from {STARTS.get(self.start, self.start)}"] * (self.start != "noise")
        return ", ".join(parts)


def read_samplings(record: Mapping[str, Any]) -> list[SamplingScores]:
    """The ways to sample of quality.json in their order; [] without the record."""
    found = []
    for text, row in record.get("samplings", {}).items():
        sampler, steps, *rest = text.split(":")
        times, start = (*rest, *("time", "noise")[len(rest) :])
        found.append(SamplingScores(sampler, int(steps), times, start, row))
    return found


COLUMNS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "no sprite, share": lambda row: row.get("not_a_sprite"),
    "KL of kinds, nats": lambda row: row.get("modes", {}).get("kind", {}).get("kl_nats"),
    "Fréchet": lambda row: row.get("frechet"),
}


def score_cells(row: Mapping[str, Any]) -> list[str]:
    """A cell for each of `COLUMNS`: mean ± standard error over the evaluation seeds."""
    found = [read(row) for read in COLUMNS.values()]
    return [measured_text(each["value"], each["standard_error"]) if each else DASH for each in found]


def samplings_figure(found: list[SamplingScores], key: str, label: str) -> Figure:
    """A score against the number of network evaluations, a line for each way to sample."""
    drawn, axes = style.panel(title=label, xlabel="network evaluations", ylabel=label)
    lines: dict[str, list[SamplingScores]] = {}
    for one in found:
        if (one.scores.get(key) or {}).get("value") is not None:
            lines.setdefault(one.name, []).append(one)
    for number, (name, points) in enumerate(lines.items()):
        colour, dashes = style.line_look(number)
        x = np.array([one.scores["evaluations"] for one in points])
        y = np.array([one.scores[key]["value"] for one in points])
        error = np.array([one.scores[key]["standard_error"] or 0.0 for one in points])
        look = dict(color=colour, linestyle=dashes, linewidth=1.2, marker="o", markersize=3, capsize=2)
        axes.errorbar(x, y, error, **look, label=name)
    if not lines:
        style.say_empty(axes)
        return drawn
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    style.legend(axes)
    return drawn
