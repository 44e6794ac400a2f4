"""results/spaces: samplers, numbers of steps, their times and starts of the chain, in the space of a VAE.

The record is diffusion/vae-16-linear-0/quality.json.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from vdm_jax.report.primitives.samplings import (
    CODES,
    COLUMNS,
    DASH,
    SAMPLERS,
    STARTS,
    TIMES,
    SamplingScores,
    read_samplings,
    samplings_figure,
    score_cells,
)
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.table import table

RUN = "diffusion/vae-16-linear-0"


def _read(folder: Path, wanted: Callable[[SamplingScores], bool]) -> list[SamplingScores]:
    return [one for one in read_samplings(Workdir(folder / RUN).quality) if wanted(one)]


def _table(rows: Sequence[tuple[list[str], Mapping[str, Any]]], head: Sequence[str]) -> str:
    """The cells of each row, and after them its scores."""
    whole = [[*cells, *score_cells(scores)] for cells, scores in rows]
    return table(whole, {title: lambda row, i=i: row[i] for i, title in enumerate([*head, *COLUMNS])})


def samplers(folder: Path) -> str:
    """Each sampler by the number of steps, and the decoded latents of test images."""
    found = _read(folder, lambda one: (one.times, one.start) == ("time", "noise"))
    rows = [([SAMPLERS[one.sampler], str(one.num_steps)], one.scores) for one in found]
    codes = Workdir(folder / RUN).quality.get("codes", {})
    return _table([*rows, ([CODES, DASH], codes)], ("sampler", "steps"))


def times(folder: Path) -> str:
    """Ancestral sampling by where its steps are."""
    found = _read(folder, lambda one: (one.sampler, one.start) == ("ancestral", "noise") and one.num_steps > 10)
    found = sorted(found, key=lambda one: one.num_steps)
    return _table([([str(one.num_steps), TIMES[one.times]], one.scores) for one in found], ("steps", "times"))


def starts(folder: Path) -> str:
    """Ancestral sampling by where the chain starts."""
    found = _read(folder, lambda one: (one.sampler, one.times) == ("ancestral", "time") and one.num_steps >= 50)
    found = sorted(found, key=lambda one: one.num_steps)
    rows = [
        ([STARTS[one.start], f"{one.scores['first_timestep']:.0f}", str(one.scores["evaluations"])], one.scores)
        for one in found
    ]
    return _table(rows, ("start", "its timestep", "network evaluations"))


def no_sprite(folder: Path) -> Figure:
    """The share that is no sprite against network evaluations, for starts from noise."""
    return samplings_figure(_read(folder, lambda one: one.start == "noise"), "not_a_sprite", "no sprite, share")
