"""Tables of codes and measures, from codes.json."""

from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

from vdm_jax.report.page import Section
from vdm_jax.report.primitives.code_measures import (
    DISENTANGLEMENT,
    FEW,
    INFORMATION,
    READOUTS,
    Measure,
    entry_at,
    measures_of,
    name_of,
)
from vdm_jax.report.primitives.markup import Gallery, missing, not_applicable, table
from vdm_jax.report.primitives.measured import measured, plain
from vdm_jax.report.primitives.workdir import Workdir

NO_RECORD = ("There is no readable codes.json yet", "measure")
TEXTS = {
    READOUTS: (
        "Readouts of the mean of each code, fitted on training images, the best of ten validations: a linear map, an "
        "MLP, and the vote of the five nearest training images."
    ),
    FEW: (
        "A linear readout that is fitted to a few labelled images of each class, the same ones for all codes. The "
        "error covers other labelled images and other test images."
    ),
    INFORMATION: (
        "Nats. I(code; factor) is at least the entropy of the factor less the cross-entropy of its readout. I(x; w) "
        "is of noisy codes alone; InfoNCE is never above ln N. The rate here is the KL to N(0, I), also where the "
        "prior was learned."
    ),
    DISENTANGLEMENT: "Scores of the factors of sprites. 1 is best, chance differs from score to score.",
}
SPLITS = {"train": "training", "test": "test"}
QUICK = 1_000  # updates below which a training is called not converged


def codes_section(workdir: Workdir, gallery: Gallery) -> str:
    """What was measured: each code with its width, its training and its active units."""
    record = workdir.record("codes")
    try:
        rows = [
            [escape(name_of(name)), _origin(part["about"]), plain(part["about"]["width"]), plain(part["active_units"])]
            for name, part in record["codes"].items()
        ]
        number = record["num_images"]
        steps = [part["about"]["step"] for part in record["codes"].values() if "step" in part["about"]]
    except (KeyError, TypeError, AttributeError):
        return missing(*NO_RECORD)
    sizes = " and ".join(f"{plain(number[split])} {name}" for split, name in SPLITS.items())
    text = f"<p>{sizes} images. Active units: numbers whose variance over test images is above 0.01.</p>"
    if steps and min(steps) < QUICK:
        text += f"<p><strong>Not converged:</strong> the shortest training has {plain(min(steps))} updates.</p>"
    return text + table(("code", "made by", "numbers", "active units"), rows, numbers=(2, 3))


def _origin(about: Mapping[str, Any]) -> str:
    if about["of"] != "trained":
        return escape(str(about["of"]))
    return escape(f"{about.get('name')}, seed {about.get('seed')}, {about['step']:,} updates")


def measures_section(group: str, workdir: Workdir, gallery: Gallery) -> str:
    """A table of codes and the measures of one group."""
    record = workdir.record("codes")
    try:
        measures = [one for one in measures_of(record) if one.group == group]
        codes = dict(record["codes"])
        whys = {
            dict(part["reasons"]).get(group.replace(" ", "_"), "they were not requested") for part in codes.values()
        }
    except (KeyError, TypeError, AttributeError):
        return missing(*NO_RECORD)
    if not measures:
        return not_applicable(f"There are no numbers: {'; '.join(sorted(whys))}.")
    text = " ".join([TEXTS[group], errors_of(codes, measures), *reasons_of(codes, measures)])
    return measures_table(codes, measures) + f"<p>{escape(text)}</p>"


def measures_table(codes: Mapping[str, Any], measures: Sequence[Measure]) -> str:
    """Codes as rows, measures as columns, value ± standard error."""
    rows = []
    for name, part in codes.items():
        entries = [entry_at(part, one.place) for one in measures]
        cells = ["—" if each is None else measured(each["value"], each["standard_error"]) for each in entries]
        rows.append([escape(name_of(name)), *cells])
    return table(("code", *(one.title for one in measures)), rows, numbers=range(1, len(measures) + 1))


def errors_of(codes: Mapping[str, Any], measures: Sequence[Measure]) -> str:
    """The kind of the errors, and N."""
    entries = (entry_at(part, one.place) for part in codes.values() for one in measures)
    numbers = sorted({each["num"] for each in entries if each and each.get("num")})
    return f"± one standard error; N = {' or '.join(plain(number) for number in numbers)} images."


def reasons_of(codes: Mapping[str, Any], measures: Sequence[Measure]) -> list[str]:
    """A sentence for each measure that a code has no number of, and why."""
    found = ((one.title, entry_at(part, one.place) or {}) for part in codes.values() for one in measures)
    return list(
        dict.fromkeys(f"Not measured: {title} ({each['reason']})." for title, each in found if "reason" in each)
    )


CODES = Section("codes", "The codes", codes_section)
CODE_READOUTS = Section("readouts", "Readouts", partial(measures_section, READOUTS))
CODE_FEW_LABELS = Section("few_labels", "Readouts from few labels", partial(measures_section, FEW))
CODE_INFORMATION = Section("information", "Information", partial(measures_section, INFORMATION))
CODE_DISENTANGLEMENT = Section("disentanglement", "Disentanglement", partial(measures_section, DISENTANGLEMENT))
