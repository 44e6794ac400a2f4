"""results/spaces: samplers, numbers of steps, their times and starts of the chain, in the space of a VAE.

The record is diffusion/vae-16-linear-0/quality.json.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.measured import measured_text
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.table import DASH, table

RUN = "diffusion/vae-16-linear-0"
SAMPLERS = {"ancestral": "ancestral", "ddim": "DDIM", "dpmpp_2m": "DPM-Solver++ 2M"}
TIMES = {
    "time": "even in time, the linear schedule",
    "cosine": "noise levels of a cosine schedule",
    "information": "equal information lost a step",
}
STARTS = {
    "noise": "N(0, I) at t = T",
    "gaussian": "a Gaussian at the edge of the features",
    "mixture": "a mixture of Gaussians there",
}


def read(folder: Path) -> dict[tuple[str, int, str, str], Mapping[str, Any]]:
    """(sampler, steps, times, start) -> its scores."""
    found = {}
    for text, row in Workdir(folder / RUN).quality.get("samplings", {}).items():
        sampler, steps, *rest = text.split(":")
        times, start = (*rest, *("time", "noise")[len(rest) :])
        found[sampler, int(steps), times, start] = row
    return found


SCORES: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "no sprite, share": lambda row: row.get("not_a_sprite"),
    "KL of kinds, nats": lambda row: row.get("modes", {}).get("kind", {}).get("kl_nats"),
    "Fréchet": lambda row: row["frechet"],
}


def _scores() -> dict[str, Callable[[Any], str]]:
    """Columns of the last element of a row."""
    return {title: lambda row, score=score: _cell(score(row[-1])) for title, score in SCORES.items()}


def _cell(found: Mapping[str, float | None] | None) -> str:
    return DASH if not found or found["value"] is None else measured_text(found["value"], found["standard_error"])


def samplers(folder: Path) -> str:
    """Each sampler by the number of steps, and the decoded latents of test images."""
    rows: list[tuple[str, str, Mapping[str, Any]]] = [
        (SAMPLERS[sampler], str(steps), row)
        for (sampler, steps, times, start), row in read(folder).items()
        if (times, start) == ("time", "noise")
    ]
    rows.append(("latents of test images", DASH, Workdir(folder / RUN).quality["codes"]))
    return table(rows, {"sampler": lambda row: row[0], "steps": lambda row: row[1]} | _scores())


def times(folder: Path) -> str:
    """Ancestral sampling by where its steps are."""
    found = read(folder)
    rows = [
        (title, steps, found[key])
        for steps in (20, 50, 100)
        for name, title in TIMES.items()
        if (key := ("ancestral", steps, name, "noise")) in found
    ]
    return table(rows, {"steps": lambda row: str(row[1]), "times": lambda row: row[0]} | _scores())


def starts(folder: Path) -> str:
    """Ancestral sampling by where the chain starts."""
    found = read(folder)
    rows = [
        (title, row)
        for steps in (50, 100)
        for name, title in STARTS.items()
        if (row := found.get(("ancestral", steps, "time", name)))
    ]
    columns = {
        "start": lambda row: row[0],
        "its timestep": lambda row: f"{row[1]['first_timestep']:.0f}",
        "network evaluations": lambda row: str(row[1]["evaluations"]),
    }
    return table(rows, columns | _scores())


def samplers_figure(folder: Path) -> Figure:
    """The share that is no sprite against the number of network evaluations, by sampler and times."""
    drawn, axes = style.panel(title="no sprite", xlabel="network evaluations", ylabel="share of samples")
    lines: dict[str, list[tuple[int, Mapping[str, float]]]] = {}
    for (sampler, _, when, start), row in read(folder).items():
        if start == "noise" and "not_a_sprite" in row:
            name = SAMPLERS[sampler] + ("" if when == "time" else f", {TIMES[when]}")
            lines.setdefault(name, []).append((row["evaluations"], row["not_a_sprite"]))
    for number, (name, points) in enumerate(lines.items()):
        colour, dashes = style.line_look(number)
        x, y = np.array([point[0] for point in points]), np.array([point[1]["value"] for point in points])
        error = np.array([point[1]["standard_error"] or 0.0 for point in points])
        axes.errorbar(x, y, error, color=colour, linestyle=dashes, capsize=2, linewidth=1.2, label=name)
    axes.set_xscale("log")
    style.legend(axes)
    return drawn
