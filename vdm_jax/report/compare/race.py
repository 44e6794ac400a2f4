"""A race of ways to train probes: the share of probes at the exact curve over seconds of training."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from vdm_jax.report.primitives import style


def race_figure(ways: Mapping[str, Any], within: float) -> Figure:
    """The share of all probes within a distance of the exact curve over seconds of training, one line for each seed.

    ways: name -> record of a way, whose "course" lists "seconds" and "share_there" of each seed.
    """
    drawn, axes = style.panel(
        title=f"probes within {within:g} of the exact curve",
        xlabel="seconds of training",
        ylabel="share of all probes",
        size=(7.8, 3.3),
    )
    for (name, way), colour in zip(ways.items(), style.LINE_COLOURS, strict=False):
        for i, course in enumerate(way["course"]):
            seconds, share = [0.0, *course["seconds"]], [0.0, *course["share_there"]]
            axes.step(seconds, share, where="post", color=colour, linewidth=1.2)
            axes.plot(seconds[-1:], share[-1:], "o", color=colour, markersize=5, label=None if i else name)
    axes.set_ylim(-0.03, 1.03)
    drawn.legend(loc="outside right upper", frameon=False, fontsize=9, labelcolor=style.INK)
    return drawn
