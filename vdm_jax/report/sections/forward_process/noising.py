"""The forward process: strips of one picture, the tables of noise, and closeness to noise."""

from html import escape
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.image_figures import rows_figure
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel, table
from vdm_jax.report.primitives.workdir import Workdir

ERRORS = (KeyError, TypeError, ValueError, IndexError)
LOGSNR = (-15.0, 15.0)  # what is drawn of log SNR
METRICS = {
    "images": ("mean |Cov - I|, images as variables", "the draft's metric with images as variables"),
    "pixels": ("mean |Cov - I|, pixels as variables", "the same with pixels as variables"),
    "signed": ("mean off-diagonal of Cov", "without absolute value: abar Var(x), which has no floor"),
}


def strips_section(workdir: Workdir, gallery: Gallery) -> str:
    """The picture at growing times: whole, and pixel for pixel."""
    record, arrays = workdir.record("strips"), workdir.arrays("strips.npz")
    try:
        names, steps = list(record["schedules"]), [f"t = {step}" for step in record["timesteps"]]
        height, width = record["shape"][:2]
        drawn = {
            part: rows_figure(
                np.stack([arrays[f"{name}: {part}"] for name in names]), row_names=names, column_names=steps
            )
            for part in ("whole", "middle")
        }
    except ERRORS:
        return missing("There are no readable strips yet", "strips")
    shown = {"whole": "The whole picture, reduced", "middle": "Its middle, pixel for pixel"}
    panels = [
        panel(gallery.save(f"strips_{part}", drawn[part]), alt=label, label=label, wide=True)
        for part, label in shown.items()
    ]
    caption = (
        f"z_t of {record['picture']}, {height} x {width} pixels, noised in that size, at timesteps of each schedule, "
        "with one eps for all. Values beyond the range of pixels are clipped. A reduced picture averages noise: where "
        "it is smaller than the original it shows less noise than each pixel has."
    )
    return "".join(figure([each], caption if i else "") for i, each in enumerate(panels))


def schedules_section(workdir: Workdir, gallery: Gallery) -> str:
    """beta, abar, log SNR and its steps of all schedules, and where the log SNR of the data falls below 0."""
    record, arrays = workdir.record("schedules"), workdir.arrays("schedules.npz")
    try:
        found, num_steps = dict(record["schedules"]), int(record["num_steps"])
        power = record["log_power"]
        drawn = schedule_figures(arrays, list(found), power["x"])
        rows = [
            [
                escape(name),
                f"{own['abar_T']:.3g}",
                _share(own["half"], num_steps),
                *(_share(own["snr_below_1"][each], num_steps) for each in power),
            ]
            for name, own in found.items()
        ]
    except ERRORS:
        return missing("There are no readable tables of noise yet", "schedules")
    panels = [panel(gallery.save(f"schedules_{name}", each), alt=name) for name, each in drawn.items()]
    caption = (
        f"Tables of {num_steps:,} steps. log SNR of the images is -gamma_t + log mean(x²): the line is the mean over "
        f"{record['num_images']:,} training images, the band their deviation ({power['x']['deviation']:.2f} nats), "
        "which is the same at every timestep."
    )
    head = ("schedule", "abar at T", "abar < 1/2 from", *(f"SNR of {each} < 1 from" for each in power))
    return figure(panels, caption) + table(head, rows, numbers=range(1, len(head)))


def schedule_figures(arrays: dict[str, np.ndarray], names: list[str], power: dict[str, float]) -> dict[str, Figure]:
    """The panels "beta", "abar", "logsnr" and "difference"."""
    labels = {
        "beta": ("Noise added in a step", "beta"),
        "abar": ("Signal left", "abar"),
        "logsnr": ("log SNR of the images", "log SNR, nats"),
        "difference": ("Fall of log SNR in a step", "nats"),
    }
    drawn = {}
    for part, (title, ylabel) in labels.items():
        drawn[part], axes = style.panel(title=title, xlabel="t/T", ylabel=ylabel)
        for i, name in enumerate(names):
            colour, dashes = style.line_look(i)
            values = arrays[f"{name}: {'logsnr' if part == 'difference' else part}"]
            times = np.arange(1, len(values) + 1) / len(values)
            if part == "logsnr":
                values = np.clip(values + power["mean"], *LOGSNR)
                low, high = (values + sign * power["deviation"] for sign in (-1, 1))
                axes.fill_between(times, low, high, color=colour, alpha=0.15, linewidth=0)
            elif part == "difference":
                with np.errstate(invalid="ignore"):  # no noise at either end
                    values, times = -np.diff(values), times[1:]
            axes.plot(times, values, dashes, color=colour, label=name)
        if part in ("beta", "difference"):
            axes.set_yscale("log")
        if part == "logsnr":
            axes.axhline(0, color=style.GREY, linewidth=0.8)
        style.legend(axes)
    return drawn


def closeness_section(workdir: Workdir, gallery: Gallery) -> str:
    """The metrics by schedule and size at the largest number of copies, and the times at which floors are reached."""
    record = workdir.record("closeness")
    try:
        cells = list(record["cells"])
        most = max(each["count"] for each in cells)
        names = list(dict.fromkeys(each["schedule"] for each in cells))
        drawn = {
            f"{name}_{metric}": closeness_figure(record, name, metric, most) for name in names for metric in METRICS
        }
        rows = [
            [
                escape(each["schedule"]),
                f"{each['size']} x {each['size']}",
                str(each["count"]),
                f"{each['variance']:.2f}",
                f"{each['floors']['images']:.4f}",
                _time(each["at_floor"]["images"]),
                f"{each['floors']['pixels']:.4f}",
                _time(each["at_floor"]["pixels"]),
            ]
            for each in cells
        ]
        tolerance = record["settings"]["closeness"]["tolerance"]
    except ERRORS:
        return missing("There is no readable closeness.json yet", "closeness")
    panels = [
        panel(gallery.save(f"closeness_{name}", each), alt=name.replace("_", " ")) for name, each in drawn.items()
    ]
    caption = (
        f"{most} noised copies of {record['picture']}, resized. Rows are schedules, columns: "
        f"{'; '.join(words for _, words in METRICS.values())}. Points: draws (bars: ± 2 standard errors); lines: the "
        "expectation; dotted: the floor, the expectation of pure noise. The population covariance with pixels as "
        "variables is (1 - abar) I whatever the image."
    )
    head = ("schedule", "size", "copies", "Var(x)", "floor, images", "reached at", "floor, pixels", "reached at")
    note = f"<p>A floor is reached where the expected metric stays within {tolerance:.0%} of it.</p>"
    return figure(panels, caption) + table(head, rows, numbers=range(2, len(head))) + note


def closeness_figure(record: dict[str, Any], schedule: str, metric: str, count: int) -> Figure:
    """One metric by timestep under one schedule, a line for each size."""
    drawn, axes = style.panel(title=f"{schedule}", xlabel="timestep", ylabel=METRICS[metric][0])
    steps = np.array(record["timesteps"][schedule])
    cells = [each for each in record["cells"] if (each["schedule"], each["count"]) == (schedule, count)]
    for i, own in enumerate(cells):
        colour, _ = style.line_look(i)
        error = 2 * np.array(own[f"{metric}_standard_error"], np.float64)
        axes.errorbar(steps, own[metric], np.nan_to_num(error), fmt=".", color=colour, markersize=3, linewidth=0.8)
        axes.plot(steps, own[f"expected_{metric}"], color=colour, linewidth=1, label=f"{own['size']} x {own['size']}")
        if metric in own["floors"]:
            axes.axhline(own["floors"][metric], color=colour, linestyle=":", linewidth=0.8)
    if metric != "signed":
        axes.set_yscale("log")
    style.legend(axes)
    return drawn


def _time(step: int | None) -> str:
    return "never" if step is None else f"{step:,}"


def _share(step: int | None, num_steps: int) -> str:
    return "never" if step is None else f"{step:,} ({step / num_steps:.0%})"


STRIPS = Section("strips", "One picture under growing noise", strips_section)
SCHEDULES = Section("schedules", "Tables of noise", schedules_section)
CLOSENESS = Section("closeness", "Closeness to noise", closeness_section)
