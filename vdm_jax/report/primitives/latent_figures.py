"""Figures of a latent space: eigenvalues, rate per dimension, covariance, usage of codes."""

import numpy as np
from jaxtyping import Real
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vdm_jax.report.primitives import style

MANY = 64  # latents beyond which a curve replaces bars, and of which a covariance is drawn


def eigenvalues(values: Real[np.ndarray, " d"]) -> Figure:
    """Eigenvalues of a covariance in descending order on a logarithmic axis; those that are not positive have no mark.
    A dashed line at 1."""
    drawn, axes = style.panel(title="Eigenvalues of the covariance", xlabel="rank", ylabel="eigenvalue")
    order = np.sort(np.asarray(values, np.float64))[::-1]
    positive = np.where(order > 0, order, np.nan)
    if not np.isfinite(positive).any():
        style.say_empty(axes)
        return drawn
    marker = "o" if len(order) <= MANY else None
    axes.axhline(1, color=style.GREY, linewidth=1, linestyle="--")
    axes.plot(np.arange(1, len(order) + 1), positive, color=style.BLUE, linewidth=1.6, marker=marker, markersize=3.5)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return drawn


def kl_per_dimension(nats: Real[np.ndarray, " d"]) -> Figure:
    """The rate of each latent, in descending order."""
    drawn, axes = style.panel(title="Rate of each latent", xlabel="rank", ylabel="nats")
    _descending(axes, np.asarray(nats, np.float64))
    return drawn


def code_usage(shares: Real[np.ndarray, " k"]) -> Figure:
    """The share of each code, in descending order. A dashed line at equal shares."""
    drawn, axes = style.panel(title="Usage of the codes", xlabel="rank", ylabel="share")
    axes.axhline(1 / len(shares), color=style.GREY, linewidth=1, linestyle="--")
    _descending(axes, np.asarray(shares, np.float64))
    return drawn


def _descending(axes, values: np.ndarray) -> None:
    order, ranks = np.sort(values)[::-1], np.arange(1, len(values) + 1)
    if len(values) <= MANY:
        axes.bar(ranks, order, color=style.BLUE, width=0.8)
    else:
        axes.fill_between(ranks, order, color=style.BLUE, alpha=0.25, linewidth=0)
        axes.plot(ranks, order, color=style.BLUE, linewidth=1.6)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def covariance(matrix: Real[np.ndarray, "d d"]) -> Figure:
    """A covariance as a matrix of colours: red above and blue below zero, of the latents with the largest variance, in
    descending order."""
    leading = np.argsort(-np.diag(matrix), kind="stable")[:MANY]
    shown = np.asarray(matrix, np.float64)[np.ix_(leading, leading)]
    drawn, axes = style.panel(title="Covariance of the means", xlabel="latent, by variance", ylabel="", size=(4.4, 3.6))
    most = max(float(np.abs(shown[np.isfinite(shown)]).max(initial=0.0)), np.finfo(np.float32).tiny)
    image = axes.imshow(shown, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
    axes.grid(False)
    for which in (axes.xaxis, axes.yaxis):
        which.set_major_locator(MaxNLocator(5, integer=True))
    bar = drawn.colorbar(image, ax=axes, pad=0.03, aspect=30)
    bar.ax.tick_params(labelsize=9, colors=style.QUIET)
    bar.outline.set_visible(False)
    return drawn
