"""The tables of results/forward."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vdm_jax.base.statistics import mean_and_error
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.table import interval, number
from vdm_jax.report.sections.forward_process.models import LABELS, OWN, split_difference, split_values

COPIES, FEWER = 50, 10  # noised copies of one image: the draft's, and fewer
SCHEDULES = {"ddpm_linear": "linear", "cosine": "cosine"}
EVERY = SCHEDULES | {"constant": "constant", "dirac": "Dirac", "linear": "VDM linear"}
LONG = "linear, T = 5,000, beta from 0.001 to 0.02"  # of the draft's figure 4.3
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
WORSE = 1.25  # times the error of test digits


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
                    + [f"{own['at_floor']['pixels']}"]
                )
    head = ["schedule", "picture", "metric at T", "√(2/(π d))", "floor reached at", "the draft", "abar Var(x) there"]
    return rows_of([*head, "pixels as variables: at T", "… at 0", "… end reached at"], rows)


def copies(folder: Path) -> str:
    """When the floor is reached by schedule, size and number of copies; the last row is of the draft's long table."""
    photograph, draft = (Workdir(folder / name).record("closeness") for name in ("photograph", "draft"))
    sizes = list(dict.fromkeys(own["size"] for own in photograph["cells"]))
    named = [(words, photograph, name) for name, words in EVERY.items()] + [(LONG, draft, "ddpm_linear")]
    rows = []
    for words, record, name in named:
        found = {(own["size"], own["count"]): own["at_floor"] for own in record["cells"] if own["schedule"] == name}
        known = dict.fromkeys(size for size, _ in found)
        cells = [both(found, size, "images") if size in known else "" for size in sizes]
        rows.append([words, *cells, both(found, list(known)[-1], "pixels")])
    return rows_of(["schedule", *(f"{size} x {size}" for size in sizes), "pixels as variables"], rows)


def both(found: dict[tuple[int, int], dict[str, int | None]], size: int, reading: str) -> str:
    """The timesteps with many and with few copies, "590 / 655"."""
    steps = (found[size, count][reading] for count in (COPIES, FEWER))
    return " / ".join("never" if step is None else str(step) for step in steps)


def of_schedules(folder: Path) -> str:
    """Where half of the signal is left, and where the SNR of the digits is 1, by schedule."""
    record, rows = Workdir(folder / "digits").record("schedules"), []
    for name, own in record["schedules"].items():
        below = own["snr_below_1"]
        places = (own["half"], below["x"], below["x less the mean image"])
        rows.append([EVERY[name], f"{own['abar_T']:.2g}", *(time(each, record["num_steps"]) for each in places)])
    head = ["schedule", "abar at T", "abar below ½ from", "SNR of digits below 1 from"]
    return rows_of([*head, "… of digits less the mean digit"], rows)


def losses_of_information(folder: Path) -> str:
    """Where 95%, 50% and 5% of each information are left."""
    record = Workdir(folder / "digits").record("reconstruct")
    rows = [
        [LABELS[name], f"{own['total_nats']:.2f}", *(time(own["windows"][each]) for each in ("95%", "50%", "5%"))]
        for name, own in record["information"].items()
    ]
    return rows_of(["information", "all, nats", "95% left at", "50%", "5%"], rows)


def ratios(record: dict[str, Any], name: str, part: str) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """The error of a set over that of test digits at each timestep, and its standard error over the images of both."""
    own, test = (record["sets"][each][part] for each in (name, OWN))
    (a, b), (a_error, b_error) = (
        [np.array(each[key], np.float64) for each in (own, test)] for key in ("mae", "mae_standard_error")
    )
    return a / b, a / b * np.hypot(a_error / a, b_error / b)


def clearly_worse(record: dict[str, Any], name: str, part: str) -> int | None:
    """The first measured timestep at which the ratio is above `WORSE` by two standard errors; None: nowhere."""
    ratio, error = ratios(record, name, part)
    above = np.flatnonzero(ratio - 2 * error > WORSE)
    return int(record["starts" if part == "sampled" else "timesteps"][above[0]]) if len(above) else None


def limits(folder: Path) -> str:
    """Errors of each set of images by timestep, over those of test digits."""
    record = Workdir(folder / "digits").record("reconstruct")
    steps, rows = np.array(record["timesteps"]), []
    at = [int(np.argmin(np.abs(steps - place))) for place in (1, 20, 100, 200, 400)]
    for name, words in SETS.items():
        own = record["sets"][name]["denoised"]
        errors = [number(own["mae"][i], own["mae_standard_error"][i]) for i in at[1:]]
        cells = [""] * (len(at) + 2)
        if name != OWN:
            ratio, error = ratios(record, name, "denoised")
            cells = [number(ratio[i], error[i]) for i in at]
            cells += [
                "nowhere" if (i := clearly_worse(record, name, part)) is None else first(record, i, part)
                for part in ("denoised", "sampled")
            ]
        rows.append([words, *errors, *cells])
    head = ["images", *(f"error at t = {steps[i]}" for i in at[1:]), f"over test digits at t = {steps[at[0]]}"]
    head += [f"… {steps[i]}" for i in at[1:]]
    return rows_of([*head, "clearly above 1.25 from, one step", "… by chains"], rows)


def first(record: dict[str, Any], step: int, part: str) -> str:
    """A timestep; the first that was measured may be late."""
    earliest = record["starts" if part == "sampled" else "timesteps"][0]
    return f"{step} or earlier" if step == earliest > 1 else str(step)


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
