"""Settings in the plane of rate and distortion."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Real
from matplotlib.figure import Figure

from vdm_jax.report.primitives.figures import iso_lines
from vdm_jax.report.primitives.style import CLASS_COLOURS, CLASS_MARKERS, INK, finite_limits, panel, say_empty

ROWS_A_COLUMN = 20  # of the legend


def rate_distortion_plane(
    names: Sequence[str],
    rate: Real[np.ndarray, " n"],
    distortion: Real[np.ndarray, " n"],
    rate_error: Real[np.ndarray, " n"],
    distortion_error: Real[np.ndarray, " n"],
    *,
    errors: str,
) -> Figure:
    """A marker for each setting at its rate R and distortion D, over lines of equal D + R, in nats per image.

    Bars are ± one error; NaN has no bar. `errors` is the title of the legend and names the errors.
    """
    size = (6.6 + 1.6 * ((len(names) - 1) // ROWS_A_COLUMN), max(4.1, 1.2 + 0.17 * min(len(names), ROWS_A_COLUMN)))
    across_label, up_label = "rate R, nats / image", "distortion D, nats / image"
    figure, axes = panel(title="Rate and distortion", xlabel=across_label, ylabel=up_label, size=size, title_pad=18.0)
    rate_error, distortion_error = np.nan_to_num(rate_error), np.nan_to_num(distortion_error)
    across = finite_limits(rate - rate_error, rate + rate_error, pad=0.08)
    up = finite_limits(distortion - distortion_error, distortion + distortion_error, pad=0.08)
    if across is None or up is None:
        say_empty(axes)
        return figure
    for i, name in enumerate(names):
        mark = dict(color=CLASS_COLOURS[i % len(CLASS_COLOURS)], marker=CLASS_MARKERS[i % len(CLASS_MARKERS)])
        hollow = dict(markersize=6.5, markerfacecolor="none", markeredgewidth=1.4)  # markers behind stay visible
        bars = dict(xerr=rate_error[i], yerr=distortion_error[i], elinewidth=1.0)
        axes.errorbar(rate[i], distortion[i], **bars, **mark, **hollow, linestyle="", label=name)
    axes.set_xlim(across)
    axes.set_ylim(up)
    iso_lines(axes, across, up)
    handles, labels = axes.get_legend_handles_labels()
    columns = -(-len(names) // ROWS_A_COLUMN)
    look = dict(frameon=False, fontsize=8, labelcolor=INK, title_fontsize=8, alignment="left")
    figure.legend(handles, labels, loc="outside right upper", ncols=columns, title=errors, **look)
    return figure
