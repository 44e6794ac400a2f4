"""The figures of results/representations: differences of codes, what codes help by log SNR, and E(x, t) by t."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vdm_jax.base.statistics import mean_and_error, t_quantile
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.code_measures import name_of
from vdm_jax.report.published.representations.records import DATA, part, runs_of
from vdm_jax.report.published.representations.verdicts import UNIT_NATS, answers
from vdm_jax.report.sections.representations.times import timed_codes

DRAWN = ("drl", "drl_low", "drl_high", "vae_vdm", "target", "vdrl_p2")  # E(x) alone: areas are information
SIZE = (4.6, 3.6)  # inches of a panel
ROW = 0.24  # inches of a comparison


def differences_figure(folder: Path) -> Figure:
    """The difference of every comparison with its 95% t interval over seeds, paired; scores at the left, nats at the
    right. Below three seeds there is no interval."""
    rows = answers(folder)
    parts = [
        [one for one in rows if one.comparison.unit != UNIT_NATS],
        [one for one in rows if one.comparison.unit == UNIT_NATS],
    ]
    height = 1.2 + ROW * max(1, *map(len, parts))
    drawn = Figure(figsize=(14.0, height), dpi=style.DPI, layout="constrained", facecolor="white")
    for axes, found, unit in zip(drawn.subplots(1, 2), parts, ("accuracy, R² or RMSE", "nats an image"), strict=True):
        style.frame(axes, title="", xlabel=f"difference, {unit}", ylabel="")
        axes.axvline(0, color=style.GREY, linewidth=1.0)
        for y, one in enumerate(found):
            half = np.nan if one.found.interval is None else float(one.found.interval[1] - one.found.mean)
            look = {"fmt": "o", "markersize": 4, "capsize": 2, "linewidth": 1.3}
            colour = style.line_look(list(DATA).index(one.data))[0]
            axes.errorbar(float(one.found.mean), y, xerr=half, color=colour, **look)
        names = [one.comparison.text + (f" ({DATA[one.data]})" if len(DATA) > 1 else "") for one in found]
        axes.set_yticks(range(len(found)), names, fontsize=7.5)
        axes.invert_yaxis()
    return drawn


def worth_figure(folder: Path) -> Figure:
    """By log SNR: the exact curves on training images, and what each code takes off the error of its denoiser on test
    images; means over seeds with 95% t bands."""
    drawn, frames = _panels(2)
    for row, data in zip(frames, DATA, strict=True):
        runs = [run for run in runs_of(folder, data) if run.record("worth")]
        logsnr = np.array(runs[0].record("worth")["logsnr"])
        exact = {"ceiling": ("ceiling",)}
        exact |= {f"given {name}": ("within", name) for name in part(runs[0], "worth", "within")}
        codes = {name_of(name): ("against_reference", name) for name in DRAWN}
        for axes, title, curves in zip(
            row, ("exact, training images", "codes, test images"), (exact, codes), strict=True
        ):
            style.frame(axes, title=f"{DATA[data]}: {title}", xlabel="log SNR", ylabel="nats / log SNR")
            axes.axhline(0, color=style.GREY, linewidth=1.0)
            found = {name: [part(run, "worth", *place).get("mean") for run in runs] for name, place in curves.items()}
            _bands(axes, logsnr, {name: np.array(each, np.float64) for name, each in found.items() if all(each)})
            style.legend(axes)
    return drawn


def times_figure(folder: Path) -> Figure:
    """The linear readout of each factor from every E(x, t) over t; means over seeds with 95% t bands."""
    drawn, frames = _panels(1)
    for (axes,), data in zip(frames, DATA, strict=True):
        records = [run.record("codes") for run in runs_of(folder, data)]
        style.frame(axes, title=DATA[data], xlabel="t", ylabel="accuracy or R²")
        timed = [{one.name: one for one in timed_codes(record)} for record in records]
        curves, times = {}, np.array([])
        for name in timed[0]:
            times = np.array(timed[0][name].times)
            for factor in records[0]["factors"]:
                values = [[code["readouts"][factor]["linear"]["value"] for code in each[name].codes] for each in timed]
                curves[f"{name_of(name)}: {factor}"] = np.array(values, np.float64)
        _bands(axes, times, curves)
        style.legend(axes)
    return drawn


def _panels(columns: int) -> tuple[Figure, list[list[Axes]]]:
    size = (SIZE[0] * columns, SIZE[1] * len(DATA))
    drawn = Figure(figsize=size, dpi=style.DPI, layout="constrained", facecolor="white")
    return drawn, [list(row) for row in drawn.subplots(len(DATA), columns, squeeze=False)]


def _bands(axes: Axes, x: Float[np.ndarray, " m"], curves: Mapping[str, Float[np.ndarray, "s m"]]) -> None:
    """Means over seeds with 95% t intervals; below three seeds without."""
    order = np.argsort(x)
    for i, (name, values) in enumerate(curves.items()):
        found, colour = mean_and_error(values, "seeds"), style.line_look(i)[0]
        axes.plot(x[order], found.mean[order], color=colour, linewidth=1.6, label=name)
        if len(values) >= 3:
            half = t_quantile(0.975, len(values) - 1) * found.error[order]
            axes.fill_between(
                x[order], found.mean[order] - half, found.mean[order] + half, color=colour, alpha=0.18, linewidth=0
            )
