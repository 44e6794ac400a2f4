"""At which log SNR each code helps its denoiser, beside the most that any code could help, from worth.json."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.code_measures import name_of
from vdm_jax.report.primitives.figures import band
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel, table
from vdm_jax.report.primitives.measured import entry, measured, plain
from vdm_jax.report.primitives.workdir import Workdir

NO_RECORD = ("There is no readable worth.json yet", "worth")
LABEL = "nats / log SNR"
TITLES = {"ceiling": "What a code can help", "codes": "What each code helps", "help": "Ceiling − error with the code"}
CEILING = (
    f"{TITLES['ceiling']}: the ceiling is ½ E‖ε − E[ε | z]‖² of the exact denoiser of the N training images. A code "
    "that names the image lowers the error to zero; the area over all log SNR is ln N. Dashed, also exact: by how much "
    "a code that names one factor lowers the error; the area is the entropy of the factor. "
)
AGAINST = (
    f"{TITLES['codes']}: the error of the denoiser without a code less that with the code, on the same test images and "
    "noise. "
)
HELP = (
    f"{TITLES['help']}: on training images, the part above {{low:.3g}}. Above 0 the code helps more than the faults of "
    "its network cost. "
)
BANDS = "Bands: ± 2 standard errors over images."
GIVEN = "given "  # before the name of a factor
OF_TIME = "†"
BELOW = 0.5  # of the ceiling's height: how far below zero the frame of the last panel reaches


def worth_section(workdir: Workdir, gallery: Gallery) -> str:
    """The curves and a table of their areas."""
    record = workdir.record("worth")
    try:
        logsnr = np.array(record["logsnr"], np.float64)
        order = np.argsort(logsnr)
        panels, caption, top = [], "", 1.0
        if record["ceiling"]:
            factors = {f"{GIVEN}{name}": curve for name, curve in record["within"].items()}
            curves = {"ceiling": record["ceiling"]} | factors
            drawn = curves_figure(TITLES["ceiling"], logsnr[order], curves, order)
            panels.append(panel(gallery.save("worth_ceiling", drawn), alt="the ceiling by log SNR"))
            caption, top = CEILING, float(np.max(record["ceiling"]["mean"]))
        if against := {name_of(name): curve for name, curve in record["against_reference"].items()}:
            drawn = curves_figure(TITLES["codes"], logsnr[order], against, order)
            panels.append(panel(gallery.save("worth_codes", drawn), alt="what each code helps by log SNR"))
            caption += AGAINST
        if record["ceiling"] and record["runs"]:
            helped = {name_of(name): part["help"] for name, part in record["runs"].items() if "help" in part}
            drawn = curves_figure(TITLES["help"], logsnr[order], helped, order)
            drawn.axes[0].set_ylim(-BELOW * top, 1.1 * top)
            panels.append(panel(gallery.save("worth_help", drawn), alt="the ceiling less each error"))
            caption += HELP.format(low=-BELOW * top)
        html = worth_table(record)
    except (KeyError, TypeError, AttributeError, IndexError):
        return missing(*NO_RECORD)
    return (figure(panels, caption + BANDS) if panels else "") + html


def curves_figure(
    title: str, logsnr: Float[np.ndarray, " m"], curves: Mapping[str, Mapping[str, Any]], order: np.ndarray
) -> Figure:
    """Curves over log SNR with bands of ± 2 standard errors; those of a denoiser that is given a factor are dashed."""
    drawn, axes = style.panel(title=title, xlabel="log SNR", ylabel=LABEL)
    axes.axhline(0, color=style.GREY, linewidth=1.0)
    for i, (name, curve) in enumerate(curves.items()):
        mean, error = (np.array(curve[key], np.float64)[order] for key in ("mean", "standard_error"))
        band(axes, logsnr, mean, error, style.line_look(i)[0], "--" if name.startswith(GIVEN) else "-", name)
    style.legend(axes)
    return drawn


def worth_table(record: Mapping[str, Any]) -> str:
    """The areas in nats, and the log SNR above which half of an area lies."""
    rows = []
    logsnr = np.array(record["logsnr"], np.float64)
    if record["ceiling"]:
        exact = {"ceiling": record["ceiling"]} | {f"{GIVEN}{name}": curve for name, curve in record["within"].items()}
        for name, curve in exact.items():
            rows.append([escape(name), _area(curve), f"{middle(logsnr, curve['mean']):.1f}", "—", "—"])
    for name, part in record["runs"].items():
        against = record["against_reference"].get(name)
        place = "—" if not against or significance(against) < 2 else f"{middle(logsnr, against['mean']):.1f}"
        mark = f" {OF_TIME}" if part.get("of_time") else ""
        cells = [
            "—" if not against else _area(against) + mark,
            place,
            _area(part["error_train"]),
            _area(part["error_test"]),
        ]
        rows.append([escape(name_of(name)), *cells])
    head = ("", "helps, nats", "half of it above log SNR", "error on training images, nats", "on test images, nats")
    numbers = [entry(part, "error_test", "area")[2] for part in record["runs"].values()]
    text = (
        f"<p>Areas over log SNR {min(logsnr):.3g} … {max(logsnr):.3g}, of a denoiser that was trained in a band over "
    )
    text += "this band, ± one standard error over images"
    text += f", {plain(numbers[0] or 0)} of each. " if numbers else ". "
    if distinct := record["num_distinct"]:
        text += f"ln N of {plain(distinct)} distinct training images: {np.log(distinct):.2f} nats. "
    if reference := record["reference"]:
        text += f"A code helps as far as its error is below that of {escape(name_of(reference))}, on test images. "
    if any(part.get("of_time") for part in record["runs"].values()):
        text += f"{OF_TIME} No information: the codes of different t differ, and the area may exceed what each holds."
    return table(head, rows, numbers=(1, 2, 3, 4)) + f"{text}</p>"


def _area(curve: Mapping[str, Any]) -> str:
    value, error, _ = entry(curve, "area")
    return measured(value, error)


def significance(curve: Mapping[str, Any]) -> float:
    """The area in units of its standard error."""
    value, error, _ = entry(curve, "area")
    return float(value / error) if value is not None and error else 0.0


def middle(logsnr: Float[np.ndarray, " m"], mean: Any) -> float:
    """The log SNR above which half of the area lies."""
    order = np.argsort(logsnr)
    x, y = logsnr[order], np.maximum(np.nan_to_num(np.array(mean, np.float64)[order]), 0.0)
    below = np.concatenate([[0.0], np.cumsum((y[1:] + y[:-1]) / 2 * np.diff(x))])
    return float(np.interp(below[-1] / 2, below, x))


CODE_WORTH = Section("worth", "At which log SNR each code helps", worth_section)
