"""results/spaces: samplers, numbers of steps, their times and starts of the chain, in the space of a VAE.

The record is diffusion/vae-16-linear-0/quality.json.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from vdm_jax.report.primitives.measured import entry, measured_text
from vdm_jax.report.primitives.quality_figures import SCORES, Row, lines_of, score_figure
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.table import DASH, table

RUN = "diffusion/vae-16-linear-0"
SAMPLERS = {"ancestral": "ancestral", "ddim": "DDIM", "dpmpp_2m": "DPM-Solver++ 2M"}
TIMES = {
    "time": "even in time",
    "cosine": "noise levels of a cosine schedule",
    "information": "equal information lost a step",
}
STARTS = {
    "noise": "N(0, I)",
    "gaussian": "a Gaussian at the edge of the features",
    "mixture": "a mixture of Gaussians there",
}
SHOWN = ("no sprite", "KL of kinds, nats", "Fréchet distance")


def rows_of(folder: Path, wanted: Callable[[Row], bool] = lambda row: True) -> list[Row]:
    """The ways to sample that are `wanted`, by ascending number of steps."""
    rows = Workdir(folder / RUN).quality["samplings"].values()
    return sorted(filter(wanted, rows), key=lambda row: row["num_steps"])


def _table(rows: Sequence[Row], columns: dict[str, Callable[[Row], str]]) -> str:
    """These columns, and after them the scores."""
    scores = {title: lambda row, place=SCORES[title]: measured_text(*entry(row, *place)[:2]) for title in SHOWN}
    return table(rows, columns | scores)


def samplers(folder: Path) -> str:
    """Each sampler by the number of steps, and the decoded latents of test images."""
    rows = rows_of(folder, lambda row: (row["times"], row["start"]) == ("time", "noise"))
    rows = sorted(rows, key=lambda row: list(SAMPLERS).index(row["sampler"]))
    columns = {
        "sampler": lambda row: SAMPLERS[row["sampler"]] if "sampler" in row else "latents of test images",
        "steps": lambda row: str(row.get("num_steps", DASH)),
    }
    return _table([*rows, Workdir(folder / RUN).quality["codes"]], columns)


def times(folder: Path) -> str:
    """Ancestral sampling by where its steps are."""
    compared = {row["num_steps"] for row in rows_of(folder, lambda row: row["times"] == "information")}
    rows = rows_of(
        folder,
        lambda row: (row["sampler"], row["start"]) == ("ancestral", "noise") and row["num_steps"] in compared,
    )
    return _table(rows, {"steps": lambda row: str(row["num_steps"]), "times": lambda row: TIMES[row["times"]]})


def starts(folder: Path) -> str:
    """Ancestral sampling by where the chain starts."""
    compared = {row["num_steps"] for row in rows_of(folder, lambda row: row["start"] != "noise")}
    rows = rows_of(
        folder, lambda row: (row["sampler"], row["times"]) == ("ancestral", "time") and row["num_steps"] in compared
    )
    columns = {
        "start": lambda row: STARTS[row["start"]],
        "its timestep": lambda row: f"{row['first_timestep']:.0f}",
        "network evaluations": lambda row: str(row["evaluations"]),
    }
    return _table(rows, columns)


def no_sprite(folder: Path) -> Figure:
    """The share that is no sprite against network evaluations, by sampler, for even times from noise."""
    rows = rows_of(folder, lambda row: (row["times"], row["start"]) == ("time", "noise"))
    lines = {SAMPLERS[name]: group for name, group in lines_of(rows, ("sampler",)).items()}
    return score_figure("no sprite", lines, Workdir(folder / RUN).quality["codes"])
