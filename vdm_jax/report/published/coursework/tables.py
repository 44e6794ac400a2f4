"""Tables of results/coursework."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vdm_jax.base.statistics import mean_and_error, paired_difference
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.table import DASH, interval, number, table

SEEDS = (0, 1, 2)
SHOWN = 1  # seed of the digits that are drawn
NOISES = {
    "low-beta": "low: beta = 0.001, T = 2000",
    "high-beta": "high: beta = 0.1, T = 200",
    "high-beta-60": "high, first 60 steps",
    "linear": "linear: 1e-4 to 0.02, T = 1000",
}
SHORT = {"low-beta": "low", "high-beta": "high", "high-beta-60": "high-60", "linear": "linear"}
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
    "step size: the linear network by steps of beta 0.1, minus by 100 steps": (
        ("linear", "normal-beta"),
        ("linear", "normal-grid"),
    ),
    "step size: the optimal denoiser by steps of beta 0.1, minus by 100 steps (linear)": (
        ("linear", "optimum-beta"),
        ("linear", "optimum-grid"),
    ),
    "step size: the optimal denoiser by 100 steps, two of the table each, minus by 200 (high)": (
        ("high-beta", "optimum-grid"),
        ("high-beta", "optimum-beta"),
    ),
    "table: high minus low, both by 100 steps": (("high-beta", "normal-grid"), ("low-beta", "normal-grid")),
    "table: high minus low, both by steps of beta 0.1": (("high-beta", "normal-beta"), ("low-beta", "normal-beta")),
    "steps without signal: high minus its first 60 steps, by steps of beta 0.1": (
        ("high-beta", "normal-beta"),
        ("high-beta-60", "normal-beta"),
    ),
    "table: high, first 60 steps, minus low, both by steps of beta 0.1": (
        ("high-beta-60", "normal-beta"),
        ("low-beta", "normal-beta"),
    ),
    "start: the fitted Gaussian minus N(0, I) (low)": (("low-beta", "gaussian-grid"), ("low-beta", "normal-grid")),
    "start: z_T of data minus N(0, I) (low)": (("low-beta", "data-grid"), ("low-beta", "normal-grid")),
    "start: the optimal denoiser from N(0, I), low (abar_T = 0.135) minus linear (abar_T = 4e-5)": (
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
    found = [number_at(run.record(record), place) for run in row.runs]
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


FIRST_STEP = float(np.log(0.9 / 0.1))  # log SNR of z_1 under beta = 0.1


def ratio_at_first_step(row: Row) -> str:
    """The loss of a network over that of the best linear denoiser, interpolated at the noise of z_1 of beta = 0.1."""
    found = []
    for run in row.runs:
        curves = run.record("round_trip")["by_timestep"]
        abar, loss, linear = (np.array(curves[key])[::-1] for key in ("abar", "loss", "linear"))
        found.append(np.interp(FIRST_STEP, np.log(abar / (1 - abar)), loss / linear))
    estimate = mean_and_error(np.array(found), "seeds")
    return number(float(estimate.mean), float(estimate.error))


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
        "loss / best linear, log SNR 2.2": ratio_at_first_step,
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

    def distances(noise: str, chain: str) -> dict[str, float]:
        found = values(rows[NOISES[noise]], "round_trip", "starts", chain, "frechet", "distance")
        return dict(zip((run.path.name[-1] for run in rows[NOISES[noise]].runs), found, strict=True))

    def difference(contrast: str) -> str:
        sides = CONTRASTS[contrast]
        ours, theirs = (distances(*side) for side in sides)
        seeds = sorted(ours.keys() & theirs.keys())
        pairs = (np.array([found[seed] for seed in seeds]) for found in (ours, theirs))
        found = paired_difference(*pairs, "seeds")
        exact = all(chain.startswith("optimum") for _, chain in sides)  # no training, no seed
        return f"{float(found.mean):.3f}" if exact else interval(found)

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
    """The coursework's table beside ours, and images that are drawn without the original."""
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
