"""The Fréchet distances against the number of images N, and their limits for N to infinity."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives.markup import Gallery, figure, missing, not_applicable, panel
from vdm_jax.report.primitives.measured import measured_text
from vdm_jax.report.primitives.style import BLUE, GREY, INK, VERMILLION, finite_limits, say_empty
from vdm_jax.report.primitives.style import panel as axes_panel
from vdm_jax.report.primitives.workdir import Workdir

TITLES = {
    "fid": "FID",
    "frechet": "Fréchet distance, classifier",
    "frechet_other_weights": "Fréchet distance, InceptionV3",
}
BELOW_ZERO = "negative: not distinguishable from 0"
SETS = {
    "prior": ("generated", BLUE, "o"),
    "aggregate": ("generated, w or labels of test images", VERMILLION, "s"),
    "real": ("real, held out", GREY, "D"),
}


def frechet_section(workdir: Workdir, gallery: Gallery) -> str:
    """A panel for each feature network: the distance of each set at fractions of N, and its limit."""
    by_n = workdir.evaluate.get("frechet_by_n")
    if not isinstance(by_n, dict):
        why = workdir.reason("frechet_by_n")
        return not_applicable(f"There is none: {why}.") if why else missing("There are no distances yet", "evaluate")
    panels, limits = [], []
    for network, found in by_n.items():
        title = TITLES.get(network, network)
        drawn = distance_by_n(found["num_images"], found["curves"], found["fitted"], title=title)
        panels.append(panel(gallery.save(f"{network}_by_n", drawn), alt=f"{title} against N"))
        limits.append(f"{title}: {_limits(found)}")
    return figure(
        panels,
        "Distance to training images against the number N of images, on an axis of 1/N (bars: ± 2 standard errors over "
        "disjoint sets; the number of training images is proportional to N). Fewer images give a larger distance. The "
        f"limit at 1/N = 0 is the value of a parabola through the filled points. {'. '.join(limits)}.",
    )


def _limits(found: Mapping[str, Any]) -> str:
    if found.get("why"):
        return f"not extrapolated, {found['why']}"
    curves = found["curves"].items()
    values = ((name, curve["extrapolated"], curve["extrapolated_standard_error"]) for name, curve in curves)
    limits = ", ".join(
        f"{measured_text(value, error)} ({SETS[name][0]}{'' if value >= 0 else '; ' + BELOW_ZERO})"
        for name, value, error in values
    )
    return f"without the effect of N {limits}"


def distance_by_n(
    num_images: Sequence[int], curves: Mapping[str, Mapping[str, Any]], fitted: Sequence[bool], *, title: str
) -> Figure:
    """The distances of each set over 1/n ± 2 standard errors, and the fit down to 0. Open markers are not in the fit.

    `curves`: name -> `distance`, `standard_error`, `fit`, `extrapolated`, `extrapolated_standard_error`, of the record
    `frechet_by_n`.
    """
    drawing, axes = axes_panel(title=title, xlabel="number of images N", ylabel="distance", size=(4.4, 3.6))
    inverse, kept = 1 / np.array(num_images, np.float64), np.array(fitted, bool)
    for name, curve in curves.items():
        label, colour, marker = SETS.get(name, (name, INK, "^"))
        distance = np.array(curve["distance"], np.float64)
        error = np.array([0.0 if e is None else 2 * e for e in curve["standard_error"]])
        style = dict(color=colour, marker=marker, markersize=5, linestyle="", capsize=2, linewidth=1.2)
        axes.errorbar(inverse[kept], distance[kept], error[kept], **style, label=label if kept.any() else None)
        open_label = None if kept.any() else label
        axes.errorbar(inverse[~kept], distance[~kept], error[~kept], **style, markerfacecolor="white", label=open_label)
        if curve["fit"] is not None:
            x = np.linspace(0, inverse[kept].max(), 50)
            axes.plot(x, np.polynomial.polynomial.polyval(x, curve["fit"]), color=colour, linewidth=1.2, zorder=1)
            at_zero = dict(color=colour, marker="*", markersize=11, capsize=2, clip_on=False)
            axes.errorbar([0], [curve["extrapolated"]], [2 * curve["extrapolated_standard_error"]], **at_zero)
    if finite_limits(*(np.array(curve["distance"], np.float64) for curve in curves.values())) is None:
        say_empty(axes)
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.set_xlim(0, 1.06 * inverse.max())
    axes.set_xticks([0, *inverse], ["∞", *(f"{n:,}" for n in num_images)])
    drawing.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9, labelcolor=INK)
    return drawing


FRECHET = Section("frechet", "Fréchet distance against N", frechet_section)
