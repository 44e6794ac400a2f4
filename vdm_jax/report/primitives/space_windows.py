"""The windows of every feature in many spaces, at each scale: one figure, and the means over seeds that it shows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vdm_jax.base.statistics import mean_and_error
from vdm_jax.report.primitives import style

LEVELS = ("95%", "50%", "5%")
SCALES = {"none": "as it stands", "global": "mean variance 1", "component": "each latent variance 1"}
TIMESTEP, LOGSNR = "timestep", "log SNR, noise to the right"
SUFFIX = {TIMESTEP: "", LOGSNR: "_logsnr"}  # of the keys of a record
OF_ALL, OF_HELD = "windows", "held_windows"  # shares of all that can be known, and of what the space holds
SHOWN = 10.0  # largest |log SNR| of the figure
BAR, ROW, HEAD = 0.7, 0.19, 0.75  # share of a space's height; inches of a space and of a panel besides
Window = Mapping[str, "Time"]


class Time(NamedTuple):
    """Where a share is reached.

    Attributes:
        at: mean over the runs that reach it.
        error: its standard error; None where that is not known.
        reached: number of these runs.
        runs: number of all.
    """

    at: float
    error: float | None
    reached: int = 1
    runs: int = 1

    @property
    def by_all(self) -> bool:
        """Whether every run reaches the share."""
        return self.reached == self.runs


def mean_window(features: Sequence[Mapping[str, Any]], key: str, axis: str) -> dict[str, Time | None]:
    """The window of a feature over runs that differ only in their seeds; None for a share that no run ever reaches.

    The error is that over seeds, for a single run that of its record.
    """
    name = f"{key}{SUFFIX[axis]}"
    found: dict[str, Time | None] = {}
    for level in LEVELS:
        times = [(each.get(name) or {}).get(level) for each in features]
        reached = np.array([time for time in times if time is not None], np.float64)
        if not reached.size:
            found[level] = None
        elif len(times) == 1:
            found[level] = Time(times[0], (features[0].get(f"{name}_standard_error") or {}).get(level))
        else:
            over = mean_and_error(reached, "seeds")
            error = None if reached.size == 1 else float(over.error)
            found[level] = Time(float(over.mean), error, reached.size, len(times))
    return found


def windows_figure(
    spaces: Mapping[str, Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]],
    axis: str,
    *,
    key: str = OF_ALL,
    end: float = 1000.0,
) -> Figure:
    """One row of panels for each feature, one column for each scale; in a panel a bar for each space.

    spaces: name -> scale -> feature -> its parts of `table.json`, one a seed. axis: `TIMESTEP` or `LOGSNR`. key:
    `OF_ALL` or `OF_HELD`. end: the last timestep.
    """
    scales = [scale for scale in SCALES if any(scale in found for found in spaces.values())]
    features = list(
        dict.fromkeys(name for found in spaces.values() for scale in scales for name in found.get(scale, {}))
    )
    height = len(features) * (HEAD + ROW * len(spaces)) + 0.4
    drawn = Figure(figsize=(2.2 + 3.3 * len(scales), height), dpi=style.DPI, layout="constrained", facecolor="white")
    panels = drawn.subplots(len(features), len(scales), squeeze=False, sharex=True, sharey=True)
    for i, feature in enumerate(features):
        for j, scale in enumerate(scales):
            title = f"{feature}, {SCALES[scale]}"
            style.frame(panels[i, j], title=title, xlabel=axis if i == len(features) - 1 else "", ylabel="")
            panels[i, j].grid(visible=False, axis="y")
            for place, found in enumerate(spaces.values()):
                if parts := found.get(scale, {}).get(feature):
                    look = style.CLASS_COLOURS[i % len(style.CLASS_COLOURS)]
                    draw_window(panels[i, j], mean_window(parts, key, axis), float(place), look, _ends(axis, end))
    first = panels[0, 0]
    first.set_yticks(range(len(spaces)), list(spaces))
    first.set_ylim(len(spaces) - 0.4, -0.6)  # the first space on top
    first.set_xlim(*_ends(axis, end))
    first.xaxis.set_major_locator(MaxNLocator(5, integer=True, prune="both"))
    return drawn


def draw_window(
    axes: Axes, window: Mapping[str, Time | None], place: float, colour: str, ends: tuple[float, float]
) -> None:
    """A bar from 95% to 5%, white at 50%, with whiskers of one standard error; from or to the edge of the panel where
    some run never reaches a share; a cross at the left edge where that is so of every share."""
    first, half, last = (time if time is not None and time.by_all else None for time in map(window.get, LEVELS))
    if first is None and half is None and last is None:
        axes.plot(ends[0], place, marker="x", color=style.QUIET, markersize=4, clip_on=False)
        return
    left, right = (end if time is None else time.at for time, end in zip((first, last), ends, strict=True))
    axes.barh(place, right - left, BAR, left, color=colour, alpha=0.85)
    if half is not None:
        axes.plot([half.at] * 2, [place - BAR / 2, place + BAR / 2], color="white", linewidth=1.6)
    for time in (first, half, last):
        if time is not None and time.error is not None and math.isfinite(time.error):
            axes.errorbar(time.at, place, xerr=time.error, color=style.INK, linewidth=1.0, capsize=1.5)


def _ends(axis: str, end: float) -> tuple[float, float]:
    """The edges of the panels, from no noise to noise."""
    return (0.0, end) if axis == TIMESTEP else (SHOWN, -SHOWN)
