"""What a code costs the bound and what it saves: differences between settings, with intervals over seeds or images."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vdm_jax.base.statistics import Difference, paired_difference
from vdm_jax.report.compare.code_worth import CURVES
from vdm_jax.report.compare.paired import IMAGES
from vdm_jax.report.compare.study import Setting
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.figures import area
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.table import difference_over_seeds, values

ROW = 0.3  # height of a row of the figure in inches


class Saving(NamedTuple):
    """½ [E||eps - eps_hat(z)||² - E||eps - eps_hat(z, w)||²] over log SNR, nats per unit of log SNR."""

    logsnr: Float[np.ndarray, " m"]
    curve: Difference
    area: Difference


def bound_over_images(ours: Workdir, theirs: Workdir) -> Difference:
    """D + R of `ours` minus `theirs`, nats, paired over the test images of two single runs."""
    a, b = (run.arrays(IMAGES, "bound_nats") for run in (ours, theirs))
    if a is None or b is None or ours.evaluate["provenance"]["data"] != theirs.evaluate["provenance"]["data"]:
        raise ValueError(f"{ours.path} and {theirs.path} have no common test images")
    return paired_difference(*(each["bound_nats"].astype(np.float64) for each in (a, b)), "images")


def saving_over_seeds(ours: Setting, without: Setting) -> Saving:
    """What the code of `ours` saves, paired seed by seed."""
    curves = [[run.arrays(CURVES, "logsnr", "own") for run in one.runs] for one in (without, ours)]
    return _saving(curves[0][0]["logsnr"], *(np.stack([run["own"] for run in runs]) for runs in curves), "seeds")


def saving_over_images(ours: Workdir, without: Workdir) -> Saving:
    """What the code of `ours` saves, paired over the test images of the curves of two single runs."""
    logsnr = ours.arrays(CURVES, "logsnr")["logsnr"]
    return _saving(logsnr, *(run.arrays(IMAGES, "own")["own"] for run in (without, ours)), "images")


def _saving(logsnr: np.ndarray, without: np.ndarray, ours: np.ndarray, over: str) -> Saving:
    order = np.argsort(logsnr)
    logsnr, without, ours = logsnr[order], without[:, order].astype(np.float64), ours[:, order].astype(np.float64)
    areas = [np.array([area(logsnr, row) for row in rows]) for rows in (without, ours)]
    return Saving(logsnr, paired_difference(without, ours, over), paired_difference(*areas, over))


def cost_figure(rows: Sequence[tuple[str, Difference, Sequence[float]]], *, title: str, against: str) -> Figure:
    """D + R of each setting above a baseline, nats, with 95% t intervals; dots are single pairs.

    rows: (name, difference, values of single pairs), from top to bottom.
    """
    size = (6.2, 1.1 + ROW * len(rows))
    label = f"D + R above {against}, nats an image"
    drawn, axes = style.panel(title=title, xlabel=label, ylabel="", size=size)
    axes.axvline(0, color=style.GREY, linewidth=1.0)
    for row, (_, found, single) in enumerate(rows):
        if found.interval is not None:
            half = (float(found.interval[1]) - float(found.interval[0])) / 2
            axes.errorbar(float(found.mean), row, xerr=half, color=style.BLUE, capsize=3, linewidth=1.4)
        axes.plot(single, [row] * len(single), ".", color=style.GREY, markersize=5, zorder=2)
        axes.plot(float(found.mean), row, "o", color=style.BLUE, markersize=5, zorder=3)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.tick_params(axis="y", labelcolor=style.INK, length=0)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    return drawn


def cost_rows(settings: Mapping[str, Setting], stems: Sequence[str], baseline: str):
    """Rows of `cost_figure`, paired seed by seed, the cheapest first. Names carry the rate R."""
    rows = []
    for stem in stems:
        one = settings[stem]
        found = difference_over_seeds(one, settings[baseline], "bound_nats")
        single = values(one, "bound_nats") - values(settings[baseline], "bound_nats")
        rows.append((f"{one.name}, R = {values(one, 'encoder_kl_nats').mean():.1f}", found, list(single)))
    return sorted(rows, key=lambda row: float(row[1].mean))


def saving_figure(savings: Mapping[str, Saving], *, title: str, against: str) -> Figure:
    """Savings over log SNR with pointwise 95% t intervals. `savings`: name -> saving."""
    ylabel = f"saved beside {against}, nats / log SNR"
    drawn, axes = style.panel(title=title, xlabel="log SNR", ylabel=ylabel, size=(7.0, 3.9))
    axes.axhline(0, color=style.GREY, linewidth=1.0)
    for i, (name, saving) in enumerate(savings.items()):
        interval_band(axes, saving.logsnr, saving.curve, *style.line_look(i), name)
    drawn.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8.5, labelcolor=style.INK)
    return drawn


def interval_band(axes: Axes, x: np.ndarray, found: Difference, colour: str, dashes: str, name: str) -> None:
    """A line with a band from the low to the high end of its interval."""
    if found.interval is not None:
        axes.fill_between(x, *found.interval, color=colour, alpha=0.15, linewidth=0)
    axes.plot(x, found.mean, color=colour, linestyle=dashes, linewidth=1.8, label=name)
