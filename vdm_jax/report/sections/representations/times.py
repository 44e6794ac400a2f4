"""What E(x, t) holds at each time, and whether several times together hold more than one code, from codes.json."""

from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.code_measures import READERS, SCORE, entry_at, name_of
from vdm_jax.report.primitives.figures import band
from vdm_jax.report.primitives.markup import Gallery, figure, missing, not_applicable, panel, table
from vdm_jax.report.primitives.measured import measured, plain
from vdm_jax.report.primitives.workdir import Workdir

CAPTION = (
    "Readouts of the code E(x, t) of each time t, all times as one ensemble (bands: ± 2 standard errors over test "
    "images). t = 0: least noise. Dashed: the encoder before its training. "
)


class Timed(NamedTuple):
    """The codes of one encoder E(x, t). times, codes: ascending. others: further codes, by their names: all times
    together, as many components of these as one has numbers, and codes of an encoder E(x) of either size."""

    name: str
    times: list[float]
    codes: list[Mapping[str, Any]]
    untrained: list[Mapping[str, Any]]
    others: dict[str, Mapping[str, Any]]


def timed_codes(record: Mapping[str, Any]) -> list[Timed]:
    """Every trained encoder E(x, t) of a codes.json."""
    codes: dict[str, Mapping[str, Any]] = record["codes"]
    found = []
    for name in dict.fromkeys(code.partition("@")[0] for code, part in codes.items() if "time" in part["about"]):
        if name.startswith("untrained_"):
            continue
        own = {code: part for code, part in codes.items() if code.partition("@")[0] == name}
        of_times = sorted((part["about"]["time"], code) for code, part in own.items() if "time" in part["about"])
        together = {code: part for code, part in own.items() if "time" not in part["about"]}
        widths = {part["about"]["width"] for part in own.values()}
        single = {
            code: part
            for code, part in codes.items()
            if part["about"]["of"] == "trained" and "@" not in code and part["about"]["width"] in widths
        }
        untrained = [codes.get(f"untrained_{code}") for _, code in of_times]
        times = [time for time, _ in of_times]
        parts = [own[code] for _, code in of_times]
        found.append(Timed(name, times, parts, [] if None in untrained else untrained, together | single))
    return found


def times_section(workdir: Workdir, gallery: Gallery) -> str:
    """For each E(x, t) the readouts of every factor over t, and a table beside codes of the same sizes."""
    record = workdir.record("codes")
    try:
        html = ""
        for timed in timed_codes(record):
            if not (factors := list(timed.codes[0].get("readouts", ()))):
                continue
            panels = []
            for reader, title in READERS.items():
                drawn = by_time(timed, factors, reader, title)
                picture = gallery.save(f"times_{timed.name}_{reader}", drawn)
                panels.append(panel(picture, alt=f"{title} readouts of {name_of(timed.name)} over t"))
            html += figure(panels, CAPTION + f"Encoder: {name_of(timed.name)}.")
            html += "".join(together_table(timed, factor) for factor in factors)
    except (KeyError, TypeError, AttributeError):
        return missing("There is no readable codes.json yet", "measure")
    return html or not_applicable("There is no readout of an encoder E(x, t).")


def by_time(timed: Timed, factors: list[str], reader: str, title: str) -> Figure:
    """The score of each factor over t."""
    metric = {factor: timed.codes[0]["readouts"][factor]["metric"] for factor in factors}
    label = " or ".join(dict.fromkeys(SCORE[each] for each in metric.values()))
    drawn, axes = style.panel(title=f"{title} readout by t", xlabel="t", ylabel=label)
    for i, factor in enumerate(factors):
        colour = style.line_look(i)[0]
        for parts, dashes, name in ((timed.codes, "-", factor), (timed.untrained, "--", "")):
            if parts:
                found = [part["readouts"][factor][reader] for part in parts]
                mean, error = (
                    np.array([each[key] for each in found], np.float64) for key in ("value", "standard_error")
                )  # None becomes nan
                band(axes, np.array(timed.times), mean, error, colour, dashes, name or "_untrained")
    style.legend(axes)
    return drawn


def together_table(timed: Timed, factor: str) -> str:
    """The best time, all times together, and codes of E(x) of the same sizes."""
    places = [("readouts", factor, reader) for reader in READERS] + [("neighbours", factor)]
    titles = [*READERS.values(), "kNN"]

    def cells(part: Mapping[str, Any]) -> list[str]:
        entries = [entry_at(part, place) for place in places]
        return ["—" if each is None else measured(each["value"], each["standard_error"]) for each in entries]

    scores = np.array([part["readouts"][factor]["linear"]["value"] for part in timed.codes], np.float64)
    best = int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))
    rows = [[f"the best time, t = {timed.times[best]:g}", plain(timed.codes[best]["about"]["width"])]]
    rows[0] += cells(timed.codes[best])
    for name, part in sorted(timed.others.items(), key=lambda item: item[1]["about"]["width"]):
        rows.append([escape(name_of(name)), plain(part["about"]["width"]), *cells(part)])
    head = (f"{factor}, {SCORE[timed.codes[0]['readouts'][factor]['metric']]}", "numbers", *titles)
    return table(head, rows, numbers=(1, 2, 3, 4))


CODE_TIMES = Section("times", "Codes of each time", times_section)
