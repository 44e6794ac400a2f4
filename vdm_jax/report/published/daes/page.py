"""results/dae: denoising autoencoders, their attractors and their Jacobians, beside the claims of the slides."""

from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.image_figures import rows_figure
from vdm_jax.report.published.daes import tables
from vdm_jax.report.published.daes.records import (
    FEW,
    MANY,
    RESTED,
    SIZES,
    SOME,
    SPRITES,
    Runs,
    at_rest,
    digits,
    ends,
    error,
    spectrum,
    sprites,
    standard_error,
)
from vdm_jax.report.published.page import Page
from vdm_jax.report.sections.daes.attractors import basins_figure, two_points_figure
from vdm_jax.report.sections.daes.errors import PLACES


def panels(titles: list[str], xlabel: str, ylabels: list[str], height: float = 4.0) -> tuple[Figure, list[Axes]]:
    """A row of panels, of one legend."""
    drawn = Figure(figsize=(4.4 * len(titles), height), dpi=style.DPI, layout="constrained", facecolor="white")
    found = list(drawn.subplots(1, len(titles), squeeze=False)[0])
    for axes, title, ylabel in zip(found, titles, ylabels, strict=True):
        style.frame(axes, title=title, xlabel=xlabel, ylabel=ylabel)
        axes.set_xscale("log")
    return drawn, found


def line(axes: Axes, x, values: list[np.ndarray], look: str, **settings) -> None:
    """Means over runs with bars of ± one standard error."""
    means, errors = [each.mean() for each in values], [standard_error(each) for each in values]
    axes.errorbar(x, means, errors, fmt=look, capsize=2, markersize=3, linewidth=1.4, **settings)


def attractors(folder: Path) -> Figure:
    """The share of noised training images that return to their own, by sigma, a line for each training set."""
    drawn, found = panels(["optimal DAE", "trained DAE"], "σ", ["returns to its own image", ""])
    for axes, dae in zip(found, ("optimal", "trained"), strict=True):
        for i, size in enumerate(SIZES):
            runs = digits(folder, size)
            sigmas = runs[0].record("attractors")["sigmas"]
            values = [ends(runs, dae, "training", "own", sigma) for sigma in sigmas]
            colour = style.line_look(i)[0]
            line(axes, sigmas, values, "o-", color=colour, label=f"{size:,} images")
            moving = [k for k, sigma in enumerate(sigmas) if at_rest(runs, dae, "training", sigma) < RESTED]
            means = [float(values[k].mean()) for k in moving]
            axes.plot([sigmas[k] for k in moving], means, "o", color=colour, mfc="white", markersize=6, zorder=3)
        axes.set_ylim(-0.03, 1.03)
    style.legend(found[0])
    return drawn


def memorising(folder: Path) -> Figure:
    """Errors on test and training images by the size of the training set, of the trained and of the optimal DAE."""
    drawn, found = panels(["trained DAE", "optimal DAE"], "training images", ["squared error / variance", ""])
    for axes, dae in zip(found, ("trained", "optimal"), strict=True):
        for i, sigma in enumerate((0.2, 0.4, 0.8, 1.6)):
            for of, look in (("test", "o-"), ("train", "o--")):
                values = [error(digits(folder, size), dae, of, sigma) for size in SIZES]
                label = f"σ = {sigma:g}" if of == "test" else None
                line(axes, SIZES, values, look, color=style.line_look(i)[0], label=label)
        axes.set_yscale("log")
        axes.set_ylim(1e-4, 2)
    style.legend(found[0])
    return drawn


def basins_of_digits(folder: Path) -> Figure:
    """Basins in one plane, of the trained and the optimal DAE of three training sets, each part of the next."""
    runs = [digits(folder, size)[0] for size in (FEW, SOME, MANY)]
    arrays = {name: each for run in runs for name, each in run.arrays("attractors.npz").items()}
    return basins_figure(arrays, runs[0].record("attractors")["basin_sigmas"])


def basins_of_sprites(folder: Path) -> Figure:
    """Basins of sprites."""
    run = sprites(folder)[0]
    return basins_figure(run.arrays("attractors.npz"), run.record("attractors")["basin_sigmas"])


def ends_figure(name: str, dae: str, folder: Path) -> Figure:
    """Images at which noise ends, a row for each sigma."""
    run = (sprites(folder) if name == "sprites" else digits(folder, int(name)))[0]
    images = run.arrays("attractors.npz")[f"{dae} {run.evaluate['num_known']}: noise"]
    return rows_figure(images, row_names=[f"σ = {sigma:g}" for sigma in run.record("attractors")["sigmas"]])


def ranks(folder: Path) -> Figure:
    """Directions that the trained DAE keeps by sigma, at several places."""
    shown: list[tuple[str, Runs, str]] = [
        (f"{dae}, {size:,} digits", digits(folder, size), dae) for dae, size in (("trained", FEW), ("trained", MANY))
    ]
    shown.append((f"optimal, {MANY:,} digits", digits(folder, MANY), "optimal"))
    drawn, found = panels([title for title, _, _ in shown], "σ", ["directions kept (s ≥ ½) of 64", "", ""])
    for axes, (_, runs, dae) in zip(found, shown, strict=True):
        sigmas = runs[0].record("jacobians")["sigmas"]
        for place, colour in PLACES.items():
            values = [spectrum(runs, dae, place, "kept", sigma) for sigma in sigmas]
            line(axes, sigmas, values, "o-", color=colour, label=place)
    style.legend(found[0])
    return drawn


def two_points(folder: Path) -> Figure:
    """Two digits against a tanh."""
    return two_points_figure(digits(folder, MANY)[0].record("attractors")["two_points"])


PAGE = Page(
    "dae",
    tables={
        "claims": tables.claims,
        "sizes": tables.sizes,
        "merging": tables.merging,
        "two-points": tables.two_points,
        "linear": tables.linear,
        "jacobians": tables.jacobians_digits,
        "sprites": tables.of_sprites,
        "jacobians-sprites": tables.jacobians_sprites,
    },
    figures={
        "figures/attractors.png": attractors,
        "figures/memorising.png": memorising,
        "figures/basins_digits.png": basins_of_digits,
        "figures/basins_sprites.png": basins_of_sprites,
        "figures/two_points.png": two_points,
        "figures/ranks.png": ranks,
        f"figures/ends_optimal_{MANY}.png": partial(ends_figure, str(MANY), "optimal"),
        f"figures/ends_trained_{FEW}.png": partial(ends_figure, str(FEW), "trained"),
        f"figures/ends_trained_{MANY}.png": partial(ends_figure, str(MANY), "trained"),
        f"figures/ends_trained_sprites_{SPRITES}.png": partial(ends_figure, "sprites", "trained"),
    },
)
