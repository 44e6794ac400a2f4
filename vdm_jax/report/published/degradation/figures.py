"""Figures of results/degradation: degraded and restored images, generated ones, and errors of R over time."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.image_figures import rows_figure
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.degradation.tables import DEGRADATIONS, SETS, noise_of, settings
from vdm_jax.report.published.table import values

SHOWN = 12  # generated images a row


def _images(folder: Path, stem: str) -> dict[str, np.ndarray] | None:
    return Workdir(folder).arrays(f"images/{stem}.npz", "degraded", "restored", "prior", "times")


def strips(data: str, folder: Path) -> Figure:
    """One test image under every degradation, without noise and with it: z_t, and R(z_t, t) below."""
    rows, names, times = [], [], None
    for name in DEGRADATIONS:
        for word, told in (("", ""), ("-noise", ", σ₁=1")):
            arrays = _images(folder, f"{data}-{name}{word}")
            if arrays is not None:
                times = arrays["times"]
                rows += [arrays["degraded"][0], arrays["restored"][0]]
                names += [f"{name}{told}", "restored"]
    columns = [f"t = {t:.2f}" for t in times]
    return rows_figure(np.stack(rows), row_names=names, column_names=columns)


def generated(data: str, folder: Path) -> Figure:
    """Real images, and the first images that improved sampling makes from the mixture under every setting."""
    rows, names = [], []
    for stem, one in settings(folder, data).items():
        arrays = _images(folder, f"{data}-{stem}")
        if arrays is not None:
            rows.append(arrays["prior"][:SHOWN])
            names.append(f"{one.name}, σ₁={noise_of(one)}")
    real = Workdir(folder).arrays(f"images/{data}-real.npz", "real")
    if real is not None:
        rows, names = [real["real"][:SHOWN], *rows], ["real", *names]
    return rows_figure(np.stack(rows), row_names=names)


def restoration(folder: Path) -> Figure:
    """The error of R in one evaluation over t, digits: each degradation, without noise and with it; dashed: noise."""
    drawn, axes = style.panel(title="R in one evaluation", xlabel="t", ylabel="RMS a pixel", size=(6.0, 4.2))
    for stem, one in settings(folder, "digits").items():
        name, _, word = stem.partition("-")
        if word == "noise2":
            continue
        colour = style.LINE_COLOURS[list(DEGRADATIONS).index(name)]
        times = np.array(one.runs[0].evaluate["restoration"]["times"])
        curves = np.array([run.evaluate["restoration"]["restored"] for run in one.runs])
        label = name if not word else f"{name}, σ₁=1"
        axes.plot(times, curves.mean(0), color=colour, linestyle="--" if word else "-", label=label)
        axes.fill_between(times, curves.min(0), curves.max(0), color=colour, alpha=0.15, linewidth=0)
    axes.axhline(one.runs[0].evaluate["restoration"]["mean_image"], color=style.GREY, linewidth=1)
    axes.set_ylim(bottom=0)
    style.legend(axes)
    return drawn


def frechet(folder: Path) -> Figure:
    """Fréchet distances of the digits by method and start: one group for each degradation and noise."""
    drawn, axes = style.panel(
        title="Digits: distance to real images", xlabel="", ylabel="Fréchet distance", size=(8.0, 4.2)
    )
    found = settings(folder, "digits")
    for i, (title, name) in enumerate(SETS.items()):
        places, heights, errors = [], [], []
        for k, one in enumerate(found.values()):
            distance = values(one, "sets", name, "frechet", "distance")
            if distance is not None:
                places.append(k + (i - (len(SETS) - 1) / 2) * 0.12)
                heights.append(distance.mean())
                errors.append(distance.std(ddof=1) / np.sqrt(len(distance)) if len(distance) > 1 else 0.0)
        look = dict(linestyle="", marker="o", markersize=4, capsize=2, color=style.line_look(i)[0], label=title)
        axes.errorbar(places, heights, 2 * np.array(errors), **look)
    first = next(iter(found.values()))
    axes.axhline(
        values(first, "sets", SETS["improved, data"], "frechet", "real_vs_real_floor").mean(), color=style.GREY
    )
    axes.set_xticks(range(len(found)), [f"{one.name}\nσ₁={noise_of(one)}" for one in found.values()])
    axes.set_yscale("log")
    style.legend(axes)
    return drawn
