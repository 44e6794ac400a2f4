"""Curves, bars and scatter plots: functions of arrays that return a matplotlib `Figure`, also for notebooks."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Integer, Real
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from vdm_jax.report.primitives.style import (
    BLUE,
    CLASS_COLOURS,
    CLASS_MARKERS,
    GREEN,
    GREY,
    INK,
    ORANGE,
    QUIET,
    VERMILLION,
    finite_limits,
    legend,
    panel,
    say_empty,
)

SETTLED = 0.2  # values in this first share of the training may lie outside the frame
CODE_STYLES = {
    "own w": (BLUE, "-"),
    "w of other images": (VERMILLION, "--"),
    "w from the prior": (GREEN, "-."),
    "eps_hat": (BLUE, "-"),
}
MeanAndError = tuple[np.ndarray, np.ndarray]


def training_curve(
    train_steps: Real[np.ndarray, " n"],
    train: Real[np.ndarray, " n"],
    validation_steps: Real[np.ndarray, " m"],
    validation: Real[np.ndarray, " m"],
    *,
    title: str,
    target: float | None = None,
    num_dims: int | None = None,
) -> Figure:
    """One quantity over training steps, for train and validation, in nats per image.

    The frame fits the values after the first fifth of the steps. `target` adds a horizontal line, `num_dims` an axis
    in bits per dimension at the right.
    """
    figure, axes = panel(title=title, xlabel="step", ylabel="nats / image", size=(3.7, 2.9))
    if len(train):
        axes.plot(train_steps, train, color=GREY, linewidth=1.1, label="train")
    marker = "o" if len(validation) <= 60 else None
    if len(validation):
        dots = dict(marker=marker, markersize=3.5)
        axes.plot(validation_steps, validation, color=BLUE, linewidth=1.8, **dots, label="validation")
    last = max([float(s[-1]) for s in (train_steps, validation_steps) if len(s)], default=0.0)
    settled = [v[s >= SETTLED * last] for s, v in ((train_steps, train), (validation_steps, validation))]
    if target is not None:
        axes.axhline(target, color=VERMILLION, linewidth=1.2, linestyle="--", label=f"target {target:g}")
        settled.append(np.array([target]))
    limits = finite_limits(*settled)
    if limits is None:
        say_empty(axes)
    else:
        axes.set_ylim(limits)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if num_dims:
        unit = num_dims * np.log(2)
        right = axes.secondary_yaxis("right", functions=(lambda nats: nats / unit, lambda bits: bits * unit))
        right.set_ylabel("bits / dim", fontsize=9.5, color=INK)
        right.tick_params(labelsize=9, colors=QUIET, length=3)
        right.spines["right"].set_visible(False)
    legend(axes)
    return figure


def rate_distortion(
    steps: Real[np.ndarray, " n"], rate: Real[np.ndarray, " n"], distortion: Real[np.ndarray, " n"]
) -> Figure:
    """The path of (rate R, distortion D) over training, coloured by step, over lines of equal D + R, in nats per image.

    The frame fits the path after the first fifth of the steps.
    """
    title = "Rate and distortion over training"
    across_label, up_label = "rate R, nats / image", "distortion D, nats / image"
    figure, axes = panel(title=title, xlabel=across_label, ylabel=up_label, size=(5.8, 4.1), title_pad=18.0)
    axes.plot(rate, distortion, color=GREY, linewidth=1.0, zorder=2, label="path")
    points = axes.scatter(rate, distortion, c=steps, cmap="cividis", s=22, zorder=3)
    bar = figure.colorbar(points, ax=axes, pad=0.03, aspect=30)
    bar.set_label("step", fontsize=9.5, color=INK)
    bar.ax.tick_params(labelsize=9, colors=QUIET)
    bar.outline.set_visible(False)
    settled = steps >= SETTLED * (steps[-1] if len(steps) else 0)
    across, up = finite_limits(rate[settled], pad=0.12), finite_limits(distortion[settled], pad=0.12)
    if across is None or up is None:
        say_empty(axes)
        return figure
    axes.set_xlim(across)
    axes.set_ylim(up)
    iso_lines(axes, across, up)
    last = np.flatnonzero(np.isfinite(rate) & np.isfinite(distortion))[-1:]
    star = dict(marker="*", markersize=15, color=VERMILLION, markeredgecolor="white", linestyle="")
    axes.plot(rate[last], distortion[last], **star, zorder=4, label="last")
    return figure


def iso_lines(axes: Axes, across: tuple[float, float], up: tuple[float, float]) -> None:
    """Lines of equal D + R through the frame, with their values at the right or at the top."""
    text = dict(textcoords="offset points", fontsize=8, color=QUIET, annotation_clip=False)
    for level in MaxNLocator(8).tick_values(across[0] + up[0], across[1] + up[1]):
        axes.plot(across, [level - across[0], level - across[1]], color=QUIET, linewidth=0.8, linestyle=":", zorder=1)
        at_right, at_top = level - across[1], level - up[1]
        if up[0] <= at_right <= up[1]:
            axes.annotate(f"{level:g}", (across[1], at_right), xytext=(4, 0), va="center", **text)
        elif across[0] <= at_top <= across[1]:
            axes.annotate(f"{level:g}", (at_top, up[1]), xytext=(0, 3), ha="center", **text)
    axes.annotate("D + R", (across[1], up[1]), xytext=(4, 10), **text)


def bound_by_logsnr(logsnr: Real[np.ndarray, " m"], curves: Mapping[str, MeanAndError]) -> Figure:
    """½ E||eps - eps_hat||² against log SNR ± 2 standard errors. Its area is the diffusion term of the bound.

    `curves`: name -> (mean [M], standard error [M]), nats per unit of log SNR.
    """
    figure, axes = panel(title="Diffusion term by log SNR", xlabel="log SNR", ylabel="½ E‖ε − ε̂‖²,  nats / log SNR")
    order = np.argsort(logsnr)
    for name, (mean, error) in curves.items():
        colour, dashes = CODE_STYLES.get(name, (ORANGE, "-"))
        band(axes, logsnr[order], mean[order], error[order], colour, dashes, name)
    if finite_limits(*(mean for mean, _ in curves.values())) is None:
        say_empty(axes)
    legend(axes)
    return figure


def code_gain(logsnr: Real[np.ndarray, " m"], costs: Mapping[str, MeanAndError]) -> Figure:
    """The cost of a wrong code, ½ [E||eps - eps_hat(other w)||² - E||eps - eps_hat(own w)||²], against log SNR.

    `costs`: name -> (mean difference [M], standard error [M]), nats per unit of log SNR; bands are ± 2 standard errors.
    """
    figure, axes = panel(title="Cost of another code", xlabel="log SNR", ylabel="difference,  nats / log SNR")
    order = np.argsort(logsnr)
    axes.axhline(0, color=GREY, linewidth=1.0)
    for name, (mean, error) in costs.items():
        colour, dashes = CODE_STYLES.get(name, (ORANGE, "-"))
        band(axes, logsnr[order], mean[order], error[order], colour, dashes, f"{name} − own w")
    if finite_limits(*(mean for mean, _ in costs.values())) is None:
        say_empty(axes)
    legend(axes)
    return figure


def band(axes: Axes, x: np.ndarray, mean: np.ndarray, error: np.ndarray, colour: str, dashes: str, name: str) -> None:
    """A line with a band of ± 2 errors."""
    axes.fill_between(x, mean - 2 * error, mean + 2 * error, color=colour, alpha=0.18, linewidth=0)
    axes.plot(x, mean, color=colour, linestyle=dashes, linewidth=1.8, label=name)


def area(logsnr: Real[np.ndarray, " m"], values: Real[np.ndarray, " m"]) -> float:
    """∫ values d(log SNR) by the trapezoidal rule, for a rising or falling grid."""
    order = np.argsort(logsnr)
    return float(np.trapezoid(np.asarray(values, np.float64)[order], np.asarray(logsnr, np.float64)[order]))


def scatter_by_label(
    points: Real[np.ndarray, "n 2"],
    labels: Integer[np.ndarray, " n"] | None,
    *,
    title: str,
    label_names: Sequence[str] = (),
) -> Figure:
    """Two coordinates of the code of each image, coloured by label. Names are at the median of their points, in
    the colour of the label."""
    figure, axes = panel(title=title, xlabel="", ylabel="", size=(4.6, 4.4))
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    size = float(np.clip(6000 / max(len(points), 1), 2, 18))
    if labels is None:
        axes.scatter(points[:, 0], points[:, 1], s=size, color=BLUE, alpha=0.7, linewidth=0)
        return figure
    halo = [withStroke(linewidth=3, foreground="white")]
    present, names = np.unique(labels), []
    for i, label in enumerate(present):
        mine = points[labels == label]
        colour, marker = CLASS_COLOURS[i % len(CLASS_COLOURS)], CLASS_MARKERS[i % len(CLASS_MARKERS)]
        name = str(label_names[label]) if 0 <= label < len(label_names) else str(label)
        axes.scatter(mine[:, 0], mine[:, 1], s=size, color=colour, marker=marker, alpha=0.8, linewidth=0, label=name)
        middle = np.nanmedian(mine, axis=0) if np.isfinite(mine).any() else np.zeros(2)
        look = dict(color=colour, fontsize=13, fontweight="bold", ha="center", va="center", path_effects=halo)
        names.append(axes.text(*middle, name, **look))
    spread_out(axes, names)
    return figure


def spread_out(axes: Axes, names: Sequence[Text]) -> None:
    """Moves names that lie on each other apart, by at most what is needed: a line of text."""
    axes.autoscale_view()
    place = np.array([axes.transData.transform(name.get_position()) for name in names])
    points = axes.figure.dpi / 72
    height = np.array([1.2 * name.get_fontsize() * points for name in names])
    width = np.array([0.7 * name.get_fontsize() * points * (len(name.get_text()) + 0.5) for name in names])
    for _ in range(300):
        away = place[:, None] - place[None]
        inside = np.stack([(width[:, None] + width) / 2, (height[:, None] + height) / 2], -1) - np.abs(away)
        meet = (inside > 0).all(-1) & ~np.eye(len(names), dtype=bool)
        if not meet.any():
            break
        later = np.sign(np.arange(len(names))[:, None] - np.arange(len(names)))  # where two are at one place
        up = np.where(away[..., 1] == 0, later, np.sign(away[..., 1]))
        place[:, 1] += 0.3 * np.where(meet, inside[..., 1] * up, 0).sum(1)
    for name, at in zip(names, place, strict=True):
        if not np.allclose(at, axes.transData.transform(name.get_position())):
            name.set_position(axes.transData.inverted().transform(at))


def accuracy_bars(
    names: Sequence[str],
    accuracies: Real[np.ndarray, " n"],
    errors: Real[np.ndarray, " n"],
    *,
    ours: Sequence[bool],
    title: str,
) -> Figure:
    """Accuracies as bars from 0 to 1: `ours` in colour, baselines in grey, no bar for NaN."""
    size = (5.8, 1.0 + 0.32 * len(names))
    figure, axes = panel(title=title, xlabel="accuracy on test images", ylabel="", size=size)
    rows = np.arange(len(names))
    colours = [BLUE if mine else GREY for mine in ours]
    axes.barh(rows, np.nan_to_num(accuracies), xerr=np.nan_to_num(errors), color=colours, height=0.66, ecolor=INK)
    for row, accuracy, error in zip(rows, accuracies, np.nan_to_num(errors), strict=True):
        text, at = (f"{accuracy:.3f}", accuracy + error) if np.isfinite(accuracy) else ("not measured", 0.0)
        axes.text(at + 0.015, row, text, va="center", fontsize=9, color=INK)
    axes.set_yticks(rows, names, fontsize=9.5, color=INK)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.14)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    return figure
