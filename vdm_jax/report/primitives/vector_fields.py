"""Maps over a square of the plane: a density with arrows of its score, an error in colours, and points."""

import numpy as np
from jaxtyping import Real
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vdm_jax.report.primitives.style import BLUE, INK, QUIET, VERMILLION, panel

ARROWS = 20  # along each side, about
SQUARE = (3.4, 3.4)  # inches
WITH_BAR = (4.3, 3.4)


def field_figure(
    axis: Real[np.ndarray, " p"], density: Real[np.ndarray, " n"], score: Real[np.ndarray, "n 2"], *, title: str
) -> Figure:
    """The density of p² points in colour, and arrows in the direction of the score whose length is the root of its."""
    figure, axes = _square(axis, title)
    side = len(axis)
    axes.pcolormesh(axis, axis, density.reshape(side, side), cmap="Blues", shading="nearest", rasterized=True)
    every = max(1, side // ARROWS)
    arrows = score.reshape(side, side, 2)[::every, ::every]
    length = np.linalg.norm(arrows, axis=-1, keepdims=True)
    arrows = arrows / np.sqrt(np.maximum(length, 1e-9))
    look = dict(color=INK, width=0.004, headwidth=4, angles="xy")
    axes.quiver(axis[::every], axis[::every], arrows[..., 0], arrows[..., 1], **look)
    return figure


def error_map(
    axis: Real[np.ndarray, " p"],
    error: Real[np.ndarray, " n"],
    density: Real[np.ndarray, " n"],
    *,
    title: str,
    limits: tuple[float, float],
) -> Figure:
    """log10 of an error at p² points in colours between `limits`, with lines of equal density."""
    figure, axes = _square(axis, title, WITH_BAR)
    side = len(axis)
    logs = np.log10(np.maximum(error, 10.0 ** limits[0])).reshape(side, side)
    mesh = axes.pcolormesh(
        axis, axis, logs, cmap="cividis", vmin=limits[0], vmax=limits[1], shading="nearest", rasterized=True
    )
    peak = float(density.max())
    axes.contour(
        axis, axis, density.reshape(side, side), levels=[0.01 * peak, 0.3 * peak], colors="white", linewidths=0.8
    )
    bar = figure.colorbar(mesh, ax=axes, pad=0.03, aspect=30)
    bar.set_label("log₁₀ of the squared error", fontsize=9, color=INK)
    bar.ax.tick_params(labelsize=8.5, colors=QUIET)
    bar.outline.set_visible(False)
    return figure


def points_figure(
    axis: Real[np.ndarray, " p"],
    density: Real[np.ndarray, " n"],
    points: Real[np.ndarray, "m 2"],
    large: Real[np.ndarray, " m"],
    *,
    title: str,
) -> Figure:
    """Points over the density; `large` is 1 for those of the larger mode."""
    figure, axes = _square(axis, title)
    side = len(axis)
    axes.pcolormesh(
        axis, axis, density.reshape(side, side), cmap="Greys", shading="nearest", rasterized=True, alpha=0.7
    )
    colours = np.where(np.asarray(large, bool), BLUE, VERMILLION)
    axes.scatter(points[:, 0], points[:, 1], s=5, c=colours, linewidths=0)
    return figure


def _square(axis: np.ndarray, title: str, size: tuple[float, float] = SQUARE) -> tuple[Figure, Axes]:
    figure, axes = panel(title=title, xlabel="x₁", ylabel="x₂", size=size)
    axes.set_xlim(axis[0], axis[-1])
    axes.set_ylim(axis[0], axis[-1])
    axes.set_aspect("equal")
    axes.grid(False)
    return figure, axes
