"""results/forward: when noised copies look like noise, where information is lost, and a denoiser trained apart."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.primitives.image_figures import rows_figure
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.forward import tables
from vdm_jax.report.published.forward.tables import COPIES, EVERY, SCHEDULES, SETS, clearly_worse
from vdm_jax.report.published.page import Page
from vdm_jax.report.sections.forward_process.models import error_figure, information_figure
from vdm_jax.report.sections.forward_process.noising import closeness_figure, schedule_figures

PANELS = ("beta", "abar", "logsnr", "difference")


def closeness(schedule: str, metric: str, folder: Path) -> Figure:
    """One metric by size."""
    return closeness_figure(Workdir(folder / "photograph").record("closeness"), schedule, metric, COPIES)


def schedules(panel: str, folder: Path) -> Figure:
    """beta, abar, log SNR of the digits with its deviation, or its fall in a step, of every schedule."""
    arrays = Workdir(folder / "photograph").arrays("schedules.npz")  # of the schedules alone
    assert arrays is not None, "results/forward/photograph/schedules.npz cannot be read"
    named = {
        f"{EVERY[name]}: {part}": values for (name, part), values in ((key.split(": "), arrays[key]) for key in arrays)
    }
    power = Workdir(folder / "digits").record("schedules")["log_power"]["x"]
    return schedule_figures(named, list(EVERY.values()), power)[panel]


def strips(run: str, folder: Path) -> Figure:
    """One picture under growing noise, a row for each schedule."""
    found = Workdir(folder / run)
    record, arrays = found.record("strips"), found.arrays("strips.npz")
    assert arrays is not None, f"{found.path}/strips.npz cannot be read"
    rows = np.stack([arrays[f"{name}: whole"] for name in record["schedules"]])
    names = [EVERY[name] for name in record["schedules"]]
    return rows_figure(rows, row_names=names, column_names=[f"t = {step}" for step in record["timesteps"]])


def recovery(part: str, folder: Path) -> Figure:
    """Errors by timestep, or the information that is left, with the names of this page."""
    record: dict[str, Any] = dict(Workdir(folder / "digits").record("reconstruct"))
    if part == "information":
        kept = ("mnist", "shuffled pixels")
        found = {SETS[name]: {"sampled": clearly_worse(record, name, "sampled")} for name in kept}
        return information_figure(record | {"boundaries": found})
    return error_figure(record, part, SETS)


PAGE = Page(
    "forward",
    tables={
        "floors": tables.floors,
        "copies": tables.copies,
        "schedules": tables.of_schedules,
        "information": tables.losses_of_information,
        "limits": tables.limits,
        "split": tables.split_table,
    },
    figures={
        f"figures/closeness-{words}-{metric}.png": partial(closeness, name, metric)
        for name, words in SCHEDULES.items()
        for metric in ("images", "signed")
    }
    | {f"figures/{part}.png": partial(recovery, part) for part in ("denoised", "sampled", "information")}
    | {f"figures/schedule-{panel}.png": partial(schedules, panel) for panel in PANELS}
    | {"figures/strips.png": partial(strips, "photograph"), "figures/strips-draft.png": partial(strips, "draft")},
)
