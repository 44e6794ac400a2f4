"""R, D and D + R of each run, from codes.json: which code pays for itself."""

from collections.abc import Mapping
from html import escape
from typing import Any

from vdm_jax.report.page import Section
from vdm_jax.report.primitives.code_measures import COSTS, entry_at, name_of
from vdm_jax.report.primitives.markup import Gallery, missing, not_applicable, table
from vdm_jax.report.primitives.measured import measured, plain
from vdm_jax.report.primitives.workdir import Workdir

NO_RECORD = ("There is no readable codes.json yet", "measure")
TEXT = (
    "R is the rate under the prior that was trained, N(0, I) or a learned one. D + R bounds -log p(x), so lower is "
    "better: a code pays for itself where D + R is below that of the run without a code. J is the error of the "
    "conditional score in the weighting of the run; J of two weightings cannot be compared. ± one standard error over"
)


def costs_section(workdir: Workdir, gallery: Gallery) -> str:
    """A table of the runs, and the reasons of what is missing."""
    record = workdir.record("codes")
    if not record:
        return missing(*NO_RECORD)
    try:
        costs = dict(record.get("costs") or {})
        html = costs_table(costs) if costs else ""
        numbers = sorted({each["num"] for part in costs.values() for name in COSTS if (each := part[name])})
    except (KeyError, TypeError, AttributeError):
        return missing(*NO_RECORD)
    if not costs:
        return not_applicable("There is no trained run.")
    images = " or ".join(plain(number) for number in numbers)
    return f"{html}<p>{TEXT} {images} test images. {escape(' '.join(reasons_of(costs)))}</p>"


def costs_table(costs: Mapping[str, Any]) -> str:
    """Runs as rows."""
    rows = []
    for name, part in costs.items():
        entries = [entry_at(part, (place,)) for place in COSTS]
        cells = ["—" if each is None else measured(each["value"], each["standard_error"]) for each in entries]
        rows.append([escape(name_of(name)), *cells])
    return table(("run", *COSTS.values()), rows, numbers=range(1, len(COSTS) + 1))


def reasons_of(costs: Mapping[str, Any]) -> list[str]:
    """One sentence for each reason, with what is missing and of which runs."""
    found: dict[tuple[str, str], list[str]] = {}
    for run, part in costs.items():
        for name, why in part["reasons"].items():
            found.setdefault((COSTS[name], why), []).append(name_of(run))
    return [f"No {title} of {', '.join(runs)}: {why}." for (title, why), runs in found.items()]


CODE_COSTS = Section("costs", "What each code costs", costs_section)
