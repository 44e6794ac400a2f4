"""Tables of codes and measures of one data set, means over seeds."""

from pathlib import Path

from vdm_jax.base.statistics import mean_and_error
from vdm_jax.report.compare.codes_sweep import table_of
from vdm_jax.report.primitives.code_measures import measures_of, name_of
from vdm_jax.report.published.representations.records import (
    NOT_RUN,
    Number,
    number_of,
    over_runs,
    part,
    runs_of,
    setting_of,
)
from vdm_jax.report.published.table import DASH, number, table

KINDS = {"own": "own", "linear": "linear"}


def measures_table(data: str, group: str, folder: Path) -> str:
    """Codes and the measures of one group."""
    setting = setting_of(folder, data)
    if setting is None or not any(one.group == group for one in measures_of(setting.records[0])):
        return f"{NOT_RUN[0].upper()}{NOT_RUN[1:]}."
    return table_of(setting, group)


def decoded_table(data: str, folder: Path) -> str:
    """What each code decodes to, by its own decoder and by the best linear one."""
    runs = [run for run in runs_of(folder, data) if run.record("decoded")]
    rows = [(kind, name) for kind in KINDS for name in (part(runs[0], "decoded", kind) if runs else ())]
    if not rows:
        return f"{NOT_RUN[0].upper()}{NOT_RUN[1:]}."

    def cell(*place: str):
        return lambda row: mean_text(runs, number_of("decoded", row[0], row[1], *place))

    return table(
        rows,
        {
            "code": lambda row: name_of(row[1]),
            "decoder": lambda row: KINDS[row[0]],
            "RMSE": cell("reconstruction", "rmse"),
            "identified": cell("reconstruction", "identified"),
            "between two codes: RMSE to the nearest training image": cell("interpolation"),
        },
    )


def worth_table(data: str, folder: Path) -> str:
    """What each code takes off the error of its denoiser, and the error itself, nats."""
    runs = [run for run in runs_of(folder, data) if run.record("worth")]
    names = list(part(runs[0], "worth", "runs")) if runs else []
    if not names:
        return f"{NOT_RUN[0].upper()}{NOT_RUN[1:]}."
    columns = {
        "code": name_of,
        "taken off the error without a code, test images": lambda name: mean_text(
            runs, number_of("worth", "against_reference", name, "area")
        ),
        "error, test images": lambda name: mean_text(runs, number_of("worth", "runs", name, "error_test", "area")),
        "error, training images": lambda name: mean_text(runs, number_of("worth", "runs", name, "error_train", "area")),
    }
    ceiling = [number_of("worth", "ceiling", "area")]
    exact = "".join(f"\n| ceiling, exact | {mean_text(runs, one)} | {DASH} | {DASH} |" for one in ceiling)
    for factor in part(runs[0], "worth", "within"):
        told = mean_text(runs, number_of("worth", "within", factor, "area"))
        exact += f"\n| told {factor}, exact | {told} | {DASH} | {DASH} |"
    return table(names, columns) + exact


def mean_text(runs: list, value: Number) -> str:
    """Mean ± standard error over seeds; a dash where a run lacks the number."""
    values = over_runs(runs, value)
    if values is None:
        return DASH
    found = mean_and_error(values, "seeds")
    return number(float(found.mean), float(found.error))
