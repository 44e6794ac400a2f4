"""results/forward: when noised copies look like noise, where information is lost, and a denoiser trained apart."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.statistics import mean_and_error
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.page import Page
from vdm_jax.report.published.table import interval, number
from vdm_jax.report.sections.forward_process.models import (
    LABELS,
    error_figure,
    information_figure,
    split_difference,
    split_values,
)
from vdm_jax.report.sections.forward_process.noising import closeness_figure

COPIES = 50  # the draft's
SCHEDULES = {"ddpm_linear": "linear", "cosine": "cosine"}
DRAFT = {"ddpm_linear": "about 600 (small), about 700 (larger)", "cosine": "at least 850"}
SHARES = {"as many as timesteps": "digits", "one half": "digits-half"}  # of the updates, and the run
SETS = {
    "training images": "digits, training",
    "test images": "digits, test",
    "mnist": "MNIST",
    "cifar10_subset": "CIFAR-10",
    "small": "sprites",
    "shuffled pixels": "shuffled digits",
}


def rows_of(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def time(step: int | float | None, num_steps: int = 1000) -> str:
    """ "212 (21%)"."""
    return "nowhere" if step is None else f"{step:.0f} ({step / num_steps:.0%})"


def floors(folder: Path) -> str:
    """The floor of the draft's metric by schedule and size, and when it is reached."""
    record, rows = Workdir(folder / "photograph").record("closeness"), []
    for name, words in SCHEDULES.items():
        for own in record["cells"]:
            if (own["schedule"], own["count"]) == (name, COPIES):
                d, last = own["num_values"], own["images"][-1]
                at = own["at_floor"]["images"]
                left = np.interp(at, record["timesteps"][name], own["expected_signed"])
                rows.append(
                    [words, f"{own['size']} x {own['size']}", f"{last:.4f}", f"{np.sqrt(2 / (np.pi * d)):.4f}"]
                    + [f"{at}", DRAFT[name], f"{left:.4f}", f"{own['pixels'][-1]:.3f}", f"{own['pixels'][0]:.4f}"]
                )
    head = ["schedule", "picture", "metric at T", "√(2/(π d))", "floor reached at", "the draft", "abar Var(x) there"]
    return rows_of([*head, "pixels as variables: at T", "… at 0"], rows)


def losses_of_information(folder: Path) -> str:
    """Where 95%, 50% and 5% of each information are left."""
    record = Workdir(folder / "digits").record("reconstruct")
    rows = [
        [LABELS[name], f"{own['total_nats']:.2f}", *(time(own["windows"][each]) for each in ("95%", "50%", "5%"))]
        for name, own in record["information"].items()
    ]
    return rows_of(["information", "all, nats", "95% left at", "50%", "5%"], rows)


def limits(folder: Path) -> str:
    """The first timesteps at which foreign images are recovered worse than digits, and errors at 10% and 20%."""
    record = Workdir(folder / "digits").record("reconstruct")
    steps, rows = np.array(record["timesteps"]), []
    for name, words in SETS.items():
        own, at = record["sets"][name], record["boundaries"].get(name, {})
        errors = [
            f"{own['denoised']['mae'][i]:.3f} ± {own['denoised']['mae_standard_error'][i]:.3f}"
            for i in (int(np.argmin(np.abs(steps - place))) for place in (20, 100, 200, 400))
        ]
        parts = [time(at[part]) if at else "" for part in ("denoised", "sampled")]
        rows.append([words, *errors, *parts])
    head = ["images", *(f"error at t = {place}" for place in (20, 100, 200, 400))]
    return rows_of([*head, "worse than test digits from, one step", "… by chains"], rows)


def split_table(folder: Path) -> str:
    """The one model against the two trained apart, by the share of the updates that the denoiser has."""
    rows = []
    for words, run in SHARES.items():
        cells = Workdir(folder / run).record("split")["cells"]
        for boundary in sorted({each["boundary"] for each in cells}):
            own = [each for each in cells if each["boundary"] == boundary]
            for measured, (one, apart) in split_values(own).items():
                between = interval(split_difference(apart, one))
                rows.append([time(boundary), words, measured, *map(seeds, (one, apart)), between])
    head = ["boundary", "updates of the denoiser", "", "one model", "apart", "apart minus one [95% interval]"]
    return rows_of(head, rows)


def seeds(values: np.ndarray) -> str:
    """Mean ± standard error over seeds."""
    found = mean_and_error(values, "seeds")
    return number(float(found.mean), float(found.error))


def closeness(schedule: str, metric: str, folder: Path) -> Figure:
    """One metric by size."""
    return closeness_figure(Workdir(folder / "photograph").record("closeness"), schedule, metric, COPIES)


def recovery(part: str, folder: Path) -> Figure:
    """Errors by timestep, or the information that is left, with the names of this page."""
    record: dict[str, Any] = dict(Workdir(folder / "digits").record("reconstruct"))
    if part == "information":
        kept = ("mnist", "shuffled pixels")
        return information_figure(record | {"boundaries": {SETS[name]: record["boundaries"][name] for name in kept}})
    return error_figure(record, part)


PAGE = Page(
    "forward",
    tables={"floors": floors, "information": losses_of_information, "limits": limits, "split": split_table},
    figures={
        f"figures/closeness-{words}-{metric}.png": partial(closeness, name, metric)
        for name, words in SCHEDULES.items()
        for metric in ("images", "signed")
    }
    | {f"figures/{part}.png": partial(recovery, part) for part in ("denoised", "sampled", "information")},
)
