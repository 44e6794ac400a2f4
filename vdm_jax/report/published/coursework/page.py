"""results/coursework: the DDPM of a coursework under constant and linear noise, on digits and on MNIST."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.statistics import mean_and_error, paired_difference
from vdm_jax.report.primitives import image_figures, style
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.page import Page
from vdm_jax.report.published.table import DASH, interval, number, table

SEEDS = (0, 1, 2)
NOISES = {
    "low-beta": "low: beta = 0.001, T = 2000",
    "high-beta": "high: beta = 0.1, T = 200",
    "high-beta-60": "high, first 60 steps",
    "linear": "linear: 1e-4 to 0.02, T = 1000",
}
SHORT = {"low-beta": "low", "high-beta": "high", "high-beta-60": "high, 60 steps", "linear": "linear"}
MNIST = ("low-beta", "high-beta")
SOURCE = {  # the coursework's table: FID of 1,000 samples, test loss, RMSE, SSIM, PSNR
    "low-beta": ("FID 233", "0.0245", "0.306", "0.164", "10.5"),
    "high-beta": ("FID 432", "0.00275", "0.402", "0.0336", "7.94"),
}
IMAGES = {"respaced": "100 steps", "full": "every step", "another": "another test image", "mean": "mean training image"}
CHAINS = {
    "normal-grid": "N(0, I), 100 steps",
    "gaussian-grid": "fitted Gaussian, 100 steps",
    "data-grid": "z_T of data, 100 steps",
    "normal-beta": "N(0, I), steps of beta 0.1",
    "optimum-grid": "optimal denoiser, 100 steps",
    "optimum-beta": "optimal denoiser, steps of beta 0.1",
}
CONTRASTS = {  # name -> (noise, chain) of both sides
    "step size: the low network by steps of beta 0.1, minus by 100 steps": (
        ("low-beta", "normal-beta"),
        ("low-beta", "normal-grid"),
    ),
    "step size: the optimal denoiser by steps of beta 0.1, minus by 100 steps (low)": (
        ("low-beta", "optimum-beta"),
        ("low-beta", "optimum-grid"),
    ),
    "table: high minus low, both by steps of beta 0.1": (("high-beta", "normal-beta"), ("low-beta", "normal-beta")),
    "steps without signal: high minus its first 60 steps, by steps of beta 0.1": (
        ("high-beta", "normal-beta"),
        ("high-beta-60", "normal-beta"),
    ),
    "start: the fitted Gaussian minus N(0, I) (low)": (("low-beta", "gaussian-grid"), ("low-beta", "normal-grid")),
    "start: z_T of data minus N(0, I) (low)": (("low-beta", "data-grid"), ("low-beta", "normal-grid")),
    "start: the same of the optimal denoiser of high and low, 100 steps": (
        ("low-beta", "optimum-grid"),
        ("linear", "optimum-grid"),
    ),
}


class Row(NamedTuple):
    """Runs of one setting."""

    name: str
    runs: tuple[Workdir, ...]


def rows_of(folder: Path) -> list[Row]:
    """The digits under each table of noise, as many seeds as have records."""
    found = []
    for noise, name in NOISES.items():
        folders = [folder / f"digits-{noise}-{seed}" for seed in SEEDS]
        found.append(Row(name, tuple(Workdir(each) for each in folders if each.is_dir())))
    return [row for row in found if row.runs]


def number_at(record: Mapping[str, Any], place: tuple[str, ...]) -> float | None:
    """The number at a place of nested records."""
    at: Any = record
    for key in place:
        at = at.get(key) if isinstance(at, Mapping) else None
    return None if at is None else float(at)


def values(row: Row, record: str, *place: str) -> np.ndarray | None:
    """The number at a place of a record, of each run; None if a run lacks it."""
    found = [number_at(getattr(run, record), place) for run in row.runs]
    return None if any(each is None for each in found) else np.array(found)


def mean(record: str, *place: str) -> Callable[[Row], str]:
    """A column: mean ± standard error over seeds; of one run the number with the error of its record."""

    def cell(row: Row) -> str:
        found = values(row, record, *place)
        if found is None:
            return DASH
        if len(found) > 1:
            estimate = mean_and_error(found, "seeds")
            return number(float(estimate.mean), float(estimate.error))
        error = values(row, record, *place[:-1], f"{place[-1]}_standard_error")
        return number(float(found[0]), float("nan") if error is None else float(error[0]))

    return cell


LOSSES = {
    "test loss": mean("evaluate", "loss"),
    "… of the best linear denoiser": mean("round_trip", "by_timestep", "mean_linear"),
    "… of predicting z_t": mean("round_trip", "by_timestep", "mean_identity"),
    "bound, nats": mean("evaluate", "bound_nats"),
}


def digits_table(folder: Path) -> str:
    """The tables of noise on the digits, mean ± standard error over seeds."""
    columns = {"noise": lambda row: row.name, "seeds": lambda row: str(len(row.runs))} | LOSSES
    columns |= {
        "Fréchet distance": mean("evaluate", "frechet", "distance"),
        "RMSE": mean("round_trip", "images", "respaced", "rmse"),
        "PSNR, dB": mean("round_trip", "images", "respaced", "psnr"),
        "RMSE of another image": mean("round_trip", "images", "another", "rmse"),
    }
    return table(rows_of(folder), columns)


def starts_table(folder: Path) -> str:
    """Fréchet distances of the digits by start and steps of the chain."""
    columns = {"noise": lambda row: row.name}
    columns |= {name: mean("round_trip", "starts", chain, "frechet", "distance") for chain, name in CHAINS.items()}
    columns["real images"] = mean("round_trip", "starts", "normal-grid", "frechet", "real_vs_real_floor")
    return table(rows_of(folder), columns)


def contrast_table(folder: Path) -> str:
    """Differences of Fréchet distances, paired seed by seed."""
    rows = {row.name: row for row in rows_of(folder)}

    def difference(contrast: str) -> str:
        (noise, chain), (other, its) = CONTRASTS[contrast]
        one, two = (rows.get(NOISES[name]) for name in (noise, other))
        if one is None or two is None:
            return DASH
        ours, theirs = (
            values(row, "round_trip", "starts", of, "frechet", "distance") for row, of in ((one, chain), (two, its))
        )
        if ours is None or theirs is None or len(ours) != len(theirs):
            return DASH
        return interval(paired_difference(ours, theirs, "seeds"))

    columns = {"contrast": str, "difference of Fréchet distances [95% interval]": difference}
    return table(list(CONTRASTS), columns)


def ends_table(folder: Path) -> str:
    """How far z_T is from N(0, I)."""
    rows = [Row(f"digits, {row.name}", row.runs[:1]) for row in rows_of(folder)]
    rows += [Row(f"MNIST, {NOISES[noise]}", (Workdir(folder / f"mnist-{noise}"),)) for noise in MNIST]

    def at(key: str) -> Callable[[Row], str]:
        return mean("round_trip", "end_of_chain", key)

    columns = {
        "data and noise": lambda row: row.name,
        "abar_T": at("abar"),
        "KL(q(z_T given x), N(0, I)), nats": at("prior_nats"),
        "KL of the fitted Gaussian to N(0, I), nats": at("gaussian_nats"),
        "largest variance of z_T in a direction": at("largest_variance"),
        "norm of its mean": at("mean_norm"),
    }
    return table(rows, columns)


def mnist_table(folder: Path) -> str:
    """The coursework's table beside ours, and images that know nothing of the original."""
    lines = []
    for noise in MNIST:
        lines.append((f"coursework, {NOISES[noise]}", *SOURCE[noise], DASH, DASH, DASH))
        row = Row("", (Workdir(folder / f"mnist-{noise}"),))
        images = [mean("round_trip", "images", "respaced", key)(row) for key in ("rmse", "ssim", "psnr")]
        distance = f"Fréchet {mean('evaluate', 'frechet', 'distance')(row)}"
        loss, linear, identity, bound = (column(row) for column in LOSSES.values())
        lines.append((f"ours, {NOISES[noise]}", distance, loss, *images, linear, identity, bound))
    row = Row("", (Workdir(folder / f"mnist-{MNIST[0]}"),))
    for key in ("another", "mean"):
        images = [mean("round_trip", "images", key, score)(row) for score in ("rmse", "ssim", "psnr")]
        lines.append((IMAGES[key], DASH, DASH, *images, DASH, DASH, DASH))
    titles = ("", "distance of samples", "test loss", "RMSE", "SSIM", "PSNR, dB", *list(LOSSES)[1:])
    return table(lines, {title: (lambda line, i=i: line[i]) for i, title in enumerate(titles)})


def losses_figure(folder: Path) -> Figure:
    """The loss beside that of the best linear denoiser over log SNR, mean of the seeds, on the digits."""
    drawn, axes = style.panel(title="Loss / best linear denoiser", xlabel="log SNR", ylabel="ratio")
    for i, (noise, row) in enumerate(zip(NOISES, rows_of(folder), strict=True)):
        curves = [run.round_trip["by_timestep"] for run in row.runs]
        abar, loss, linear = (np.array([each[key] for each in curves]) for key in ("abar", "loss", "linear"))
        logsnr = np.log(abar[0]) - np.log1p(-abar[0])
        colour, dashes = style.line_look(i)
        axes.plot(logsnr, (loss / linear).mean(0), color=colour, linestyle=dashes, marker=".", label=SHORT[noise])
        if noise == "linear":
            optimum = np.array(curves[0]["optimum"])
            axes.plot(logsnr, optimum / linear[0], color=style.GREY, linestyle=":", label="optimum of the training set")
    axes.axhline(1, color=style.INK, linewidth=0.8)
    axes.set_xlim(-8, 8)
    axes.set_ylim(0, 6)
    style.legend(axes)
    return drawn


def abar_figure(folder: Path) -> Figure:
    """The share of the signal by the share of the chain."""
    drawn, axes = style.panel(title="Share of the signal's variance", xlabel="t/T", ylabel="abar")
    for i, (noise, row) in enumerate(zip(NOISES, rows_of(folder), strict=True)):
        schedule = row.runs[0].round_trip["schedule"]
        x = np.array(schedule["timesteps"], np.float64)
        colour, dashes = style.line_look(i)
        axes.plot(x / x[-1], schedule["abar"], color=colour, linestyle=dashes, label=SHORT[noise])
    style.legend(axes)
    return drawn


def training_figure(folder: Path) -> Figure:
    """Training and validation losses of seed 0 on the digits; dots at the epochs whose images are drawn."""
    drawn, axes = style.panel(title="Training and validation loss", xlabel="epoch", ylabel="per pixel")
    for i, (noise, row) in enumerate(zip(NOISES, rows_of(folder), strict=True)):
        run, colour = row.runs[0], style.line_look(i)[0]
        marks = run.round_trip["marks"]
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
    """Images from N(0, I) at each drawn epoch, one row each. names: folder -> name of its rows."""
    rows, titles = [], []
    for name, title in names.items():
        run = Workdir(folder / name)
        epochs = run.round_trip["marks"]["drawn_epochs"]
        for images, epoch in zip(run.arrays("round_trip.npz", "prior")["prior"], epochs, strict=True):
            rows.append(images)
            titles.append(f"{title}, {epoch:.0f}")
    return image_figures.rows_figure(np.stack(rows), row_names=titles)


PAGE = Page(
    "coursework",
    tables={
        "mnist": mnist_table,
        "digits": digits_table,
        "starts": starts_table,
        "contrasts": contrast_table,
        "ends": ends_table,
    },
    figures={
        "figures/losses.png": losses_figure,
        "figures/abar.png": abar_figure,
        "figures/training.png": training_figure,
        "figures/conditional-low.png": functools.partial(conditional_figure, "digits-low-beta-0"),
        "figures/conditional-high.png": functools.partial(conditional_figure, "digits-high-beta-0"),
        "figures/generated.png": functools.partial(
            generated_figure, {f"digits-{noise}-0": SHORT[noise] for noise in NOISES}
        ),
    },
)
