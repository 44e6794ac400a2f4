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
# Paul Tol's "muted" set and black, for up to ten classes. Markers distinguish the classes as well.
CLASS_COLOURS = (
    "#332288", "#CC6677", "#117733", "#DDAA33", "#44AA99", "#882255", "#88CCEE", "#999933", "#AA4499", "#222222"
)  # fmt: skip
DASHES = ("-", "--", "-.", ":")  # for more lines than colours
CLASS_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DPI = 200  # twice what a screen shows, so that text stays sharp on dense displays
PANEL = (4.4, 3.3)  # inches: legible when a phone shrinks it to its own width


def panel(
    *, title: str, xlabel: str, ylabel: str, size: tuple[float, float] = PANEL, title_pad: float = 6.0
) -> tuple[Figure, Axes]:
    """A figure of one panel. The title is at the left, `title_pad` points above the frame."""
    figure = Figure(figsize=size, dpi=DPI, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
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
    return figure, axes


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


def legend(axes: Axes, **kwargs: object) -> None:
    """A legend without a box, if there is a labelled artist."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=9, labelcolor=INK, **kwargs)


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
