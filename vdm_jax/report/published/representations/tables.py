"""Tables of codes and measures of one data set, means over seeds."""

from pathlib import Path

import numpy as np

from vdm_jax.base.statistics import mean_and_error
from vdm_jax.report.compare import codes_sweep
from vdm_jax.report.primitives.code_measures import name_of
from vdm_jax.report.published.representations.records import is_shown, number_of, part, runs_of, setting_of
from vdm_jax.report.published.table import DASH, Column, number, table
from vdm_jax.report.sections.representations.times import timed_codes

DECODERS = ("own", "linear")


def measures_table(data: str, group: str, folder: Path) -> str:
    """Codes and the measures of one group."""
    return codes_sweep.table_of(setting_of(folder, data), group)


def costs_table(data: str, folder: Path) -> str:
    """R, D, D + R and J of the runs."""
    return codes_sweep.costs_of(setting_of(folder, data))


def times_table(data: str, folder: Path) -> str:
    """Linear readouts of every factor from E(x, t) at each time."""
    records = [run.record("codes") for run in runs_of(folder, data)]
    first = timed_codes(records[0])
    rows = [(one.name, f"{t:g}") for one in first for t in one.times]

    def score(factor: str) -> Column:
        return lambda row: mean_text(data, folder, "codes", "codes", f"{row[0]}@{row[1]}", "readouts", factor, "linear")

    columns = {"code": lambda row: name_of(row[0]), "t": lambda row: row[1]}
    return table(rows, columns | {factor: score(factor) for factor in records[0]["factors"]})


def decoded_table(data: str, folder: Path) -> str:
    """What each code decodes to, by its own decoder and by the best linear one."""
    first = runs_of(folder, data)[0]
    rows = [(kind, name) for kind in DECODERS for name in part(first, "decoded", kind) if is_shown(name)]

    def cell(*place: str) -> Column:
        return lambda row: mean_text(data, folder, "decoded", *row, *place)

    return table(
        rows,
        {
            "code": lambda row: name_of(row[1]),
            "decoder": lambda row: row[0],
            "RMSE": cell("reconstruction", "rmse"),
            "identified": cell("reconstruction", "identified"),
            "between two codes: RMSE to the nearest training image": cell("interpolation"),
        },
    )


def worth_table(data: str, folder: Path) -> str:
    """What each code takes off the error of its denoiser, and the error itself, nats."""
    first = runs_of(folder, data)[0]
    runs = part(first, "worth", "runs")

    def saved(is_timed: bool) -> Column:
        def cell(name: str) -> str:
            if bool(runs[name].get("of_time")) != is_timed:
                return DASH
            return mean_text(data, folder, "worth", "against_reference", name, "area")

        return cell

    columns = {
        "code": name_of,
        "taken off the error without a code, test images": saved(False),
        "the same of E(x, t): no information": saved(True),
        "error, test images": lambda name: mean_text(data, folder, "worth", "runs", name, "error_test", "area"),
        "error, training images": lambda name: mean_text(data, folder, "worth", "runs", name, "error_train", "area"),
    }
    text = table(list(runs), columns)
    exact = {"ceiling": ("ceiling",)}
    exact |= {f"given {name}": ("within", name) for name in part(first, "worth", "within")}
    empty = f" | {DASH}" * (len(columns) - 2)
    for name, place in exact.items():
        text += f"\n| {name}, exact, training images | {mean_text(data, folder, 'worth', *place, 'area')}{empty} |"
    return text


def mean_text(data: str, folder: Path, record: str, *place: str) -> str:
    """Mean ± standard error over the seeds that have the number; a dash where none has it."""
    found = [number_of(record, *place)(run) for run in runs_of(folder, data)]
    values = np.array([value for value in found if value is not None], np.float64)
    if not len(values):
        return DASH
    mean = mean_and_error(values, "seeds")
    return number(float(mean.mean), float(mean.error))
