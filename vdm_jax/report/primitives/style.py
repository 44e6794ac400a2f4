"""The style of every figure: one palette, faint axes, one size of text. No pyplot, no global state."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Real
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, QUIET, RULE = "#26323b", "#6b7780", "#e4e8ea"
# Okabe and Ito's colours are distinct for every common colour blindness.
BLUE, VERMILLION, GREEN, ORANGE, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#9aa5ad"
LINE_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, GREY)
# Ten classes: no two are similar, for normal vision and without red or green cones. Markers distinguish them as well.
CLASS_COLOURS = (
    "#1F5FBF", "#E8601C", "#0B9E6B", "#F2B705", "#6A2C91", "#63B8F0", "#7A1010", "#F29BD0", "#1A1A1A", "#8F999F"
)  # fmt: skip
DASHES = ("-", "--", "-.", ":")  # for more lines than colours
CLASS_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LABEL_HEIGHT = 0.075  # of a name at the end of a line, as a share of the height of the frame
DPI = 200  # twice what a screen shows, so that text stays sharp on dense displays
PANEL = (4.4, 3.3)  # inches: legible when a phone shrinks it to its own width


def panel(
    *, title: str, xlabel: str, ylabel: str, size: tuple[float, float] = PANEL, title_pad: float = 6.0
) -> tuple[Figure, Axes]:
    """A figure of one panel. The title is at the left, `title_pad` points above the frame."""
    figure = Figure(figsize=size, dpi=DPI, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    frame(axes, title=title, xlabel=xlabel, ylabel=ylabel, title_pad=title_pad)
    return figure, axes


def frame(axes: Axes, *, title: str, xlabel: str, ylabel: str, title_pad: float = 6.0) -> None:
    """The look of one panel: title at the left, faint grid, no frame at the top and at the right."""
    axes.set_title(title, loc="left", fontsize=10.5, color=INK, fontweight="bold", pad=title_pad)
    axes.set_xlabel(xlabel, fontsize=9.5, color=INK)
    axes.set_ylabel(ylabel, fontsize=9.5, color=INK)
    axes.tick_params(which="both", labelsize=9, colors=QUIET, length=3, width=0.8)
    axes.grid(color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)


def line_look(i: int) -> tuple[str, str]:
    """(colour, dashes) of line i. Forty lines are distinct."""
    return CLASS_COLOURS[i % len(CLASS_COLOURS)], DASHES[i // len(CLASS_COLOURS) % len(DASHES)]


def marked_look(i: int) -> tuple[str, str | None]:
    """(colour, marker) of line i, where dashes have another meaning. Eighty lines are distinct; ten have no marker."""
    marker = i // len(CLASS_COLOURS) % (len(CLASS_MARKERS) + 1)
    return CLASS_COLOURS[i % len(CLASS_COLOURS)], (None, *CLASS_MARKERS)[marker]


def curve(
    axes: Axes, x: Real[np.ndarray, " n"], curves: Mapping[str, Any], key: str, *, colour: str, label: str
) -> None:
    """`curves[key]` as a line, with a band of ± 2 `curves[KEY_standard_error]`."""
    mean, error = (np.array(curves[name], np.float64) for name in (key, f"{key}_standard_error"))
    axes.plot(x, mean, color=colour, label=label)
    axes.fill_between(x, mean - 2 * error, mean + 2 * error, color=colour, alpha=0.15, linewidth=0)


def legend(axes: Axes) -> None:
    """A legend below the frame, where there are no data, if there is a labelled artist."""
    handles, names = axes.get_legend_handles_labels()
    if handles:
        longest = max(map(len, names))
        columns = max(1, min(len(names), int(14 * axes.figure.get_figwidth()) // (longest + 6)))
        look = dict(frameon=False, fontsize=9, labelcolor=INK, columnspacing=1.2, handletextpad=0.5)
        axes.figure.legend(handles, names, loc="outside lower center", ncols=columns, **look)


def label_ends(axes: Axes) -> None:
    """The name of each labelled line at its right end, beside the frame, in its colour. The frame is set before."""
    named = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    last = {line: y[np.isfinite(y)][-1:] for line in named for y in [np.asarray(line.get_ydata(), np.float64)]}
    lines = sorted((line for line in named if last[line].size), key=lambda line: last[line][0])
    low, high = axes.get_ylim()
    ends = np.array([(last[line][0] - low) / (high - low) for line in lines])
    for line, place in zip(lines, apart(np.clip(ends, 0, 1), LABEL_HEIGHT), strict=True):
        look = dict(color=line.get_color(), fontsize=9, va="center", annotation_clip=False)
        axes.annotate(str(line.get_label()), (1.015, place), xycoords="axes fraction", **look)


def apart(places: Real[np.ndarray, " n"], distance: float) -> Real[np.ndarray, " n"]:
    """Ascending places in [0, 1], moved to be at least `distance` apart; the highest is at most 1."""
    moved = np.array(places, np.float64)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + distance)
    moved[-1:] = np.minimum(moved[-1:], 1.0)
    for i in range(len(moved) - 2, -1, -1):
        moved[i] = min(moved[i], moved[i + 1] - distance)
    return moved


def say_empty(axes: Axes) -> None:
    """Writes "no finite value" into the frame."""
    axes.text(0.5, 0.5, "no finite value", transform=axes.transAxes, ha="center", va="center", color=QUIET, fontsize=10)


def finite_limits(*series: Real[np.ndarray, " _"], pad: float = 0.06) -> tuple[float, float] | None:
    """(low, high) around all finite values with a margin; None if there is no finite value."""
    values = np.concatenate([np.asarray(s, np.float64) for s in series]) if series else np.zeros(0)
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    margin = pad * (high - low) or pad * abs(high) or pad
    return low - margin, high + margin


def to_png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi, metadata={"Software": None})
    return buffer.getvalue()
