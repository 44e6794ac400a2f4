"""The figures of results/representations: what codes help by log SNR, and what E(x, t) holds by t."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vdm_jax.base.statistics import mean_and_error
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.code_measures import name_of
from vdm_jax.report.primitives.figures import band
from vdm_jax.report.published.representations.records import DATA, NOT_RUN, part, runs_of
from vdm_jax.report.sections.representations.times import timed_codes

DRAWN = ("drl", "drl_low", "drl_high", "drl_time", "vae_vdm", "target")
SIZE = (4.4, 3.6)  # inches of a panel


def worth_figure(folder: Path) -> Figure:
    """By log SNR what each code takes off the error of its denoiser on test images, beside the exact ceiling of
    training images; means over seeds with bands of ± 2 standard errors."""
    drawn, frames = _panels()
    for axes, data in zip(frames, DATA, strict=True):
        runs = [run for run in runs_of(folder, data) if run.record("worth")]
        style.frame(axes, title=DATA[data], xlabel="log SNR", ylabel="nats / log SNR")
        if not runs:
            _say_not_run(axes)
            continue
        logsnr = np.array(runs[0].record("worth")["logsnr"])
        axes.axhline(0, color=style.GREY, linewidth=1.0)
        curves = {"ceiling": ("ceiling",)} | {name_of(name): ("against_reference", name) for name in DRAWN}
        for i, (name, place) in enumerate(curves.items()):
            found = [part(run, "worth", *place).get("mean") for run in runs]
            if all(found):
                _band(axes, logsnr, np.array(found, np.float64), style.line_look(i)[0], name)
    _legend(drawn, frames)
    return drawn


def times_figure(folder: Path) -> Figure:
    """The linear readout of each factor from E(x, t) of DRL over t; means over seeds with bands of ± 2 standard
    errors."""
    drawn, frames = _panels()
    for axes, data in zip(frames, DATA, strict=True):
        runs = runs_of(folder, data)
        style.frame(axes, title=DATA[data], xlabel="t", ylabel="accuracy or R²")
        timed = [
            next((one for one in timed_codes(run.record("codes")) if one.name == "drl_time"), None) for run in runs
        ]
        if not runs or None in timed:
            _say_not_run(axes)
            continue
        for i, factor in enumerate(runs[0].record("codes")["factors"]):
            values = [[code["readouts"][factor]["linear"]["value"] for code in one.codes] for one in timed]
            _band(axes, np.array(timed[0].times), np.array(values, np.float64), style.line_look(i)[0], factor)
    _legend(drawn, frames)
    return drawn


def _panels() -> tuple[Figure, list[Axes]]:
    size = (SIZE[0] * len(DATA), SIZE[1])
    drawn = Figure(figsize=size, dpi=style.DPI, layout="constrained", facecolor="white")
    return drawn, list(drawn.subplots(1, len(DATA), squeeze=False)[0])


def _band(axes: Axes, x: np.ndarray, values: np.ndarray, colour: str, name: str) -> None:
    """The mean over seeds; of a single seed without a band."""
    found, order = mean_and_error(values, "seeds"), np.argsort(x)
    error = np.nan_to_num(found.error)
    band(axes, x[order], found.mean[order], error[order], colour, "-", name)


def _say_not_run(axes: Axes) -> None:
    axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", va="center", color=style.QUIET, fontsize=10)


def _legend(drawn: Figure, frames: list[Axes]) -> None:
    handles: dict = {}
    for axes in frames:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if handles:
        look = dict(frameon=False, fontsize=9, labelcolor=style.INK)
        drawn.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(8, len(handles)), **look)
