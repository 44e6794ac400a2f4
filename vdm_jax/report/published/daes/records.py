"""The records of results/dae: the folders DATA-NUMBER-SEED, such as digits-100-0, and numbers of several of them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.table import DASH, number

SEEDS = (0, 1, 2)
SIZES = (10, 30, 100, 300, 1_000)  # training sets of digits
FEW, SOME, MANY = 10, 100, 1_000
SPRITES = 2_000
RESTED = 0.95  # share of starts at rest below which the ends are not those of converged iterations
Runs = Sequence[Workdir]
Values = Float[np.ndarray, " runs"]


def digits(folder: Path, size: int) -> Runs:
    """The runs on so many digits, one a seed."""
    return [Workdir(folder / f"digits-{size}-{seed}") for seed in SEEDS]


def sprites(folder: Path) -> Runs:
    """The runs on sprites."""
    return [Workdir(folder / f"sprites-{SPRITES}-{seed}") for seed in SEEDS]


def size_of(runs: Runs) -> int:
    """The number of training images that the DAEs of these runs know."""
    return runs[0].evaluate["num_known"]


def row_at(record: dict[str, Any], rows: list[Any], sigma: float) -> Any:
    """The entry at a noise level of a list that has one for each of them."""
    return rows[record["sigmas"].index(sigma)]


def ends(runs: Runs, dae: str, kind: str, key: str, sigma: float, size: int | None = None) -> Values:
    """A number of where starts of a kind end, for each run. dae: "trained", "optimal" or "linear". size: of its
    training set; None: that of the run."""
    found = []
    for run in runs:
        record = run.record("attractors")
        name = f"{dae} {size_of(runs) if size is None else size}"
        found.append(row_at(record, record["daes"][name]["starts"][kind], sigma)[key])
    return np.array(found, np.float64)


def at_rest(runs: Runs, dae: str, kind: str, sigma: float, size: int | None = None) -> float:
    """The share of starts of a kind that have come to rest within the steps of the runs, mean over runs."""
    return float(ends(runs, dae, kind, "converged", sigma, size).mean())


def ended(runs: Runs, dae: str, kind: str, key: str, sigma: float, size: int | None = None) -> str:
    """A number of `ends`, mean ± standard error; in brackets the share at rest where it is below `RESTED`."""
    rest, found = at_rest(runs, dae, kind, sigma, size), written(ends(runs, dae, kind, key, sigma, size))
    return found if rest >= RESTED else f"{found} ({rest:.2f} at rest)"


def error(runs: Runs, dae: str, of: str, sigma: float) -> Values:
    """The squared error over the variance of the training images, for each run. of: "test" or "train"."""
    records = [run.evaluate for run in runs]
    found = [row_at(each, each["errors"][of][dae]["mse"], sigma) / each["variance"] for each in records]
    return np.array(found, np.float64)


def spectrum(runs: Runs, dae: str, place: str, key: str, sigma: float) -> Values:
    """A number of the Jacobian at points of a kind, for each run."""
    records = [run.record("jacobians") for run in runs]
    return np.array([row_at(each, each["daes"][dae][place], sigma)[key] for each in records], np.float64)


def standard_error(values: Values) -> float:
    """Of the mean over runs; NaN of a single one."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def written(values: Values) -> str:
    """Mean ± standard error over runs."""
    if not np.isfinite(values).all():
        return DASH
    mean = float(values.mean())
    return "0" if mean == 0 else number(mean, standard_error(values))
