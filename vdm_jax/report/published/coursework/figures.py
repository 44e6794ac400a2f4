"""Figures of results/coursework."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.primitives import image_figures, style
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.coursework.tables import NOISES, SHORT, SHOWN, rows_of


def losses_figure(folder: Path) -> Figure:
    """The loss beside that of the best linear denoiser over log SNR, mean of the seeds, on the digits."""
    drawn, axes = style.panel(title="Loss / best linear denoiser", xlabel="log SNR", ylabel="ratio")
    for i, (noise, row) in enumerate(zip(NOISES, rows_of(folder), strict=True)):
        curves = [run.record("round_trip")["by_timestep"] for run in row.runs]
        abar, loss, linear, identity, optimum = (
            np.array([each[key] for each in curves]) for key in ("abar", "loss", "linear", "identity", "optimum")
        )
        logsnr = np.log(abar[0]) - np.log1p(-abar[0])
        colour, dashes = style.line_look(i)
        axes.plot(logsnr, (loss / linear).mean(0), color=colour, linestyle=dashes, marker=".", label=SHORT[noise])
        if noise == "linear":
            axes.plot(logsnr, identity[0] / linear[0], color=style.INK, linestyle=":", label="predicting z_t")
            axes.plot(logsnr, optimum[0] / linear[0], color=style.GREY, linestyle=":", label="optimum of training set")
    axes.axhline(1, color=style.INK, linewidth=0.8)
    axes.set_yscale("log")
    axes.set_xlim(-8, 6)
    axes.set_ylim(0.3, 1e3)
    style.legend(axes)
    return drawn


def abar_figure(folder: Path) -> Figure:
    """The share of the signal by the share of the chain."""
    drawn, axes = style.panel(title="Share of the signal's variance", xlabel="t/T", ylabel="abar")
    for i, (noise, row) in enumerate(zip(NOISES, rows_of(folder), strict=True)):
        schedule = row.runs[0].record("round_trip")["schedule"]
        x = np.array(schedule["timesteps"], np.float64)
        colour, dashes = style.line_look(i)
        axes.plot(x / x[-1], schedule["abar"], color=colour, linestyle=dashes, label=SHORT[noise])
    style.legend(axes)
    return drawn


def training_figure(folder: Path) -> Figure:
    """Training and validation losses of one seed on the digits; dots at the epochs whose images are drawn."""
    drawn, axes = style.panel(title="Training and validation loss", xlabel="epoch", ylabel="per pixel")
    for i, noise in enumerate(NOISES):
        run, colour = Workdir(folder / f"digits-{noise}-{SHOWN}"), style.line_look(i)[0]
        marks = run.record("round_trip")["marks"]
        per_epoch = marks["drawn_steps"][0] / marks["drawn_epochs"][0]
        for split, look in {"train": dict(linestyle=":"), "validation": dict(label=SHORT[noise])}.items():
            steps, losses = run.series(split, "loss")
            axes.plot(np.asarray(steps) / per_epoch, losses, color=colour, linewidth=1.1, **look)
        at = np.interp(marks["steps"], steps, losses)
        axes.plot(np.array(marks["steps"]) / per_epoch, at, "o", color=colour, markersize=4)
    axes.set_yscale("log")
    style.legend(axes)
    return drawn


def conditional_figure(name: str, folder: Path) -> Figure:
    """Images noised to three times, on the way back from T, and the ends of chains from each time."""
    arrays = Workdir(folder / name).arrays("round_trip.npz", "real", "degraded", "path", "back", "times")
    times = [f"{t:.2f}" for t in arrays["times"]]
    images = np.stack([arrays["real"], *arrays["degraded"], *arrays["path"][-1][::-1], *arrays["back"][-1]])
    titles = ["x", *(f"z, t = {t}" for t in times), *(f"back, t = {t}" for t in times[::-1])]
    return image_figures.rows_figure(images, row_names=[*titles, *(f"x̂ from {t}" for t in times)])


def generated_figure(names: Mapping[str, str], folder: Path) -> Figure:
    """Images from N(0, I) at each drawn epoch. names: folder -> name of its rows."""
    rows, titles = [], []
    for name, title in names.items():
        run = Workdir(folder / name)
        epochs = run.record("round_trip")["marks"]["drawn_epochs"]
        images = run.arrays("round_trip.npz", "prior")["prior"]
        for i in np.unique(np.round(epochs), return_index=True)[1]:
            rows.append(images[i])
            titles.append(f"{title}, {epochs[i]:.0f}")
    return image_figures.rows_figure(np.stack(rows), row_names=titles)


def strips_figure(names: Mapping[str, str], folder: Path) -> Figure:
    """One test image of each run: z_t as it is noised, and below on the way back. names: folder -> name of its rows."""
    rows, titles, times = [], [], []
    for name, title in names.items():
        arrays = Workdir(folder / name).arrays("round_trip.npz", "strip_z", "strip_x", "strip_times")
        rows += [arrays["strip_z"], arrays["strip_x"]]
        titles += [f"{title}, noised", "on the way back"]
        times = [f"t = {t:.2f}" for t in arrays["strip_times"]]
    return image_figures.rows_figure(np.stack(rows), row_names=titles, column_names=times)
