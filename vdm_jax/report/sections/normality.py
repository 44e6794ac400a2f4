"""Normality of components along the chain, and the speciation times beside the windows of features."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel, table
from vdm_jax.report.primitives.workdir import Workdir

NAMES = {  # of the tests, and what each asks
    "dagostino": ("D'Agostino", "skewness and kurtosis of a normal distribution"),
    "energy": ("energy distance", "the normal distribution of the sample's mean and variance"),
    "standard": ("energy distance to N(0, 1)", "N(0, 1), from which chains start"),
}
MOST_ROWS = 7  # timesteps of a figure of histograms
HEIGHT = 0.92  # of a histogram, in distances between two
LEAST_P = 1e-12  # smaller p-values are drawn there
COLOURS = (style.BLUE, style.VERMILLION, style.GREEN)


def normality_section(workdir: Workdir, gallery: Gallery) -> str:
    """Share of rejected components and median p-value by timestep, histograms with p-values, and a table."""
    record = workdir.normality
    try:
        timesteps, tests = np.array(record["timesteps"], np.float64), dict(record["tests"])
        drawn = {"normality_rejected": rejected_figure(tests, timesteps), "normality_p": p_figure(tests, timesteps)}
        for i, shown in enumerate(record["histograms"]):
            drawn[f"normality_histogram_{i}"] = histogram_figure(shown, timesteps)
        rows = [_row(name, test) for name, test in tests.items()]
        settings = record["settings"]["normality"]
        sizes = {name: int(record[name]) for name in ("num_images", "num_components", "num_varying", "num_values")}
        level, correction = float(settings["level"]), str(settings["correction"]).replace("_", "-").title()
    except (KeyError, TypeError, ValueError, IndexError):
        return missing("There is no readable normality.json yet", "normality")
    panels = [panel(gallery.save(name, picture), alt=name.replace("_", " ")) for name, picture in drawn.items()]
    count, level_text = sizes["num_components"] * len(timesteps), f"{level:g}"
    caption = (
        f"Tests of {sizes['num_components']:,} components of z_t, of the {sizes['num_varying']:,} of "
        f"{sizes['num_values']:,} that differ between images, over {sizes['num_images']:,} images with noise. A "
        f"component is rejected where its p-value is below {level_text} after the correction of {correction} for "
        f"{count:,} tests. p-values are shares of simulated normal samples. What is rejected depends on the number of "
        "images; the energy distance in the table does not. Histograms: components from the largest variance to the "
        "smallest, noise growing downwards, each beside the normal distribution of its mean and variance (line) and "
        "with the p-value of its energy distance. Single components may be normal where z_t as a whole is not."
    )
    head = ("test", "null hypothesis", "nothing rejected from timestep", "median distance at t = 0", "at the last")
    return figure(panels, caption) + table(head, rows, numbers=(2, 3, 4))


def rejected_figure(tests: Mapping[str, Any], timesteps: np.ndarray) -> Figure:
    """The share of components that each test rejects."""
    drawn, axes = style.panel(title="not normal", xlabel="timestep", ylabel="share of components rejected")
    for (name, test), colour in zip(tests.items(), COLOURS, strict=False):
        axes.plot(timesteps, np.array(test["rejected"], np.float64), color=colour, label=_name(name))
    axes.set_ylim(-0.03, 1.03)
    style.legend(axes)
    return drawn


def p_figure(tests: Mapping[str, Any], timesteps: np.ndarray) -> Figure:
    """The median p-value of the components by each test, not corrected."""
    drawn, axes = style.panel(title="median p-value", xlabel="timestep", ylabel="p-value, not corrected")
    for (name, test), colour in zip(tests.items(), COLOURS, strict=False):
        p = np.maximum(np.array(test["p_median"], np.float64), LEAST_P)
        axes.plot(timesteps, p, color=colour, label=_name(name))
    axes.set_yscale("log")
    axes.axhline(0.5, color=style.INK, linestyle="--", linewidth=0.8, label="normal data (0.5)")
    axes.set_ylim(LEAST_P, 2)
    style.legend(axes)
    return drawn


def histogram_figure(shown: Mapping[str, Any], timesteps: np.ndarray) -> Figure:
    """One component's histograms at up to seven timesteps, above each other."""
    edges, counts = np.array(shown["edges"], np.float64), np.array(shown["counts"], np.float64)
    middles, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    rows = np.unique(np.linspace(0, len(timesteps) - 1, MOST_ROWS).round().astype(int))
    title = f"component {', '.join(map(str, shown['component']))} (variance {shown['variance']:.3g})"
    drawn, axes = style.panel(title=title, xlabel="z_t", ylabel="timestep", size=(style.PANEL[0], 4.4))
    for place, i in enumerate(rows):
        density = counts[i] / max(counts[i].sum(), 1)
        mean = float(density @ middles)
        deviation = math.sqrt(max(float(density @ (middles - mean) ** 2), width**2 / 12))
        normal = width / (deviation * math.sqrt(2 * math.pi)) * np.exp(-0.5 * ((middles - mean) / deviation) ** 2)
        scale = HEIGHT / max(density.max(), normal.max())
        look = dict(zorder=place + 1)
        axes.fill_between(middles, place, place - scale * density, step="mid", color=style.BLUE, alpha=0.45, **look)
        axes.plot(middles, place - scale * normal, color=style.VERMILLION, linewidth=1.0, **look)
        text = dict(xycoords=("axes fraction", "data"), ha="right", fontsize=8, color=style.INK)
        axes.annotate(f"p {_p(shown['p']['energy'][i])}", (1.0, place - 0.3), **text)
    axes.set_yticks(range(len(rows)), [f"{timesteps[i]:.0f}" for i in rows])
    axes.set_ylim(len(rows) - 0.7, -HEIGHT - 0.1)
    axes.grid(visible=False)
    return drawn


def _row(name: str, test: Mapping[str, Any]) -> list[str]:
    start = "none" if test["normal_from"] is None else f"{test['normal_from']}"
    distances = test.get("distance_median") or []
    ends = [f"{max(distances[i], 0):.2g}" for i in (0, -1)] if distances else ["", ""]
    return [escape(_name(name)), escape(NAMES.get(name, ("", ""))[1]), start, *ends]


def _name(test: str) -> str:
    return NAMES.get(test, (test, ""))[0]


def _p(p: float) -> str:
    return f"= {p:.2f}" if p >= 0.01 else f"= {p:.0e}" if p >= LEAST_P else f"< {LEAST_P:.0e}"


def speciation_section(workdir: Workdir, gallery: Gallery) -> str:
    """A figure and a table: when half of each feature's information remains, and what theory predicts."""
    exact, record = workdir.exact, workdir.normality
    try:
        features, predicted = dict(exact["features"]), dict(record["features"])
        rows = {name: _beside(features[name], predicted[name]) for name in predicted if name in features}
        time = (exact.get("speciation") or {}).get("timestep")
        cells = [[escape(name), *(_timestep(value) for value in row)] for name, row in rows.items()]
        end = float(exact["timesteps"][-1])
        picture = gallery.save("speciation", speciation_figure(rows, time, end))
    except (KeyError, TypeError, ValueError):
        lacking = [job for job, found in (("exact", exact), ("normality", record)) if not found]
        return missing("Theory cannot be compared with windows yet", ",".join(lacking) or "exact,normality")
    whole = "does not exist" if time is None else f"is at timestep {time:.0f}"
    caption = (
        "When half of a feature's information remains, by the exact curve, against the timestep that theory predicts "
        "from Λ, the leading eigenvalue of the covariance of the feature's class means: abar = 1/Λ is the published "
        "speciation time, a law for Λ far above 1; abar/(1 - abar) = 1/Λ is where the classes are as strong as the "
        f"noise. On the dashed line both agree. The speciation time of the data as a whole {whole}; it is the same for "
        "all features. A prediction that does not exist is not drawn."
    )
    head = ("feature", "50% remaining", "Λ", "abar = 1/Λ", "abar/(1 - abar) = 1/Λ")
    return figure([panel(picture, alt="speciation times")], caption) + table(head, cells, numbers=(1, 2, 3, 4))


def speciation_figure(rows: Mapping[str, Sequence[float | None]], time: float | None, end: float) -> Figure:
    """Timesteps with 50% remaining over predicted ones. rows: as of `_beside`. time: of the data as a whole."""
    drawn, axes = style.panel(title="half of the information", xlabel="predicted timestep", ylabel="timestep with 50%")
    for column, colour, marker, label in ((2, style.BLUE, "o", "abar = 1/Λ"), (3, style.VERMILLION, "s", "SNR = 1/Λ")):
        points = [(row[column], row[0], name) for name, row in rows.items() if None not in (row[column], row[0])]
        axes.plot([x for x, _, _ in points], [y for _, y, _ in points], marker, color=colour, label=label)
        for i, (x, y, name) in enumerate(sorted(points) if column == 3 else []):
            place = dict(textcoords="offset points", xytext=(4, 6 if i % 2 else -12))
            axes.annotate(name, (x, y), **place, fontsize=8, color=style.INK)
    if time is not None:
        axes.axvline(time, color=style.GREY, linestyle=":", label=f"whole data ({time:.0f})")
    axes.plot([0, end], [0, end], color=style.INK, linestyle="--", linewidth=0.8)
    axes.set_xlim(0, end)
    axes.set_ylim(0, end)
    style.legend(axes)
    return drawn


def _beside(feature: Mapping[str, Any], predicted: Mapping[str, Any]) -> tuple[float | None, ...]:
    """The timestep with 50%, Λ, and both predictions."""
    half = feature["windows"]["50%"]
    return half, float(predicted["eigenvalue"]), predicted["timestep"], predicted["unit_snr_timestep"]


def _timestep(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


NORMALITY = Section("normality", "Normality along the chain", normality_section)
SPECIATION = Section("speciation", "Speciation and the windows", speciation_section)
