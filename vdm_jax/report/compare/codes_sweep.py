"""The tables of runs of kind "codes": each code's mean over seeds, from the codes.json of each run alone."""

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vdm_jax.base.files import write_json, write_text
from vdm_jax.base.provenance import commit
from vdm_jax.base.statistics import mean_and_error
from vdm_jax.report.compare.study import Measured
from vdm_jax.report.primitives.code_measures import Measure, entry_at, measures_of, name_of
from vdm_jax.report.primitives.workdir import Workdir, leaves

SEEDS = ("codes.seed", "measure.seed")
NO_SETTINGS = ("name", "jobs", "data.dir", "codes.batch_size")
EXPLAINED = "± one standard error over seeds; in brackets over test images, of a single seed."


@dataclass(frozen=True)
class CodesSetting:
    """Runs of kind "codes" that differ in their seeds alone."""

    name: str
    runs: tuple[Workdir, ...]

    @property
    def records(self) -> list[dict]:
        """codes.json of each run."""
        return [run.record("codes") for run in self.runs]

    @property
    def seeds(self) -> list[int]:
        """The seed of what each run trained."""
        return [record["settings"]["codes"]["seed"] for record in self.records]

    @property
    def codes(self) -> list[str]:
        """The codes that all runs have."""
        first, *others = (record["codes"] for record in self.records)
        return [name for name in first if all(name in other for other in others)]

    def values(self, code: str, measure: Measure) -> list[float] | None:
        """The number of each run; None if a run lacks it."""
        entries = [entry_at(record["codes"].get(code), measure.place) for record in self.records]
        found = [None if each is None else each["value"] for each in entries]
        return None if None in found else [float(value) for value in found]


def write_codes_sweep(folder: str | Path, runs: Mapping[str, Path], missing: Mapping[str, str]) -> str:
    """Writes sweep.md and sweep.json into `folder`. Returns the text of sweep.md.

    Args:
        runs: name -> workdir of each run with a codes.json.
        missing: name -> reason, of each run without one.
    """
    folder, settings = Path(folder), group({name: Workdir(Path(path)) for name, path in runs.items()})
    lines = ["No member is measured yet.", ""] if not settings else []
    for one in settings:
        lines += [f"## {one.name}, {len(one.runs)} seed{'s' if len(one.runs) > 1 else ''}", ""]
        for name in dict.fromkeys(measure.group for measure in measures_of(one.records[0])):
            lines += [f"### {name}", "", table_of(one, name), ""]
    lines += [EXPLAINED, ""] if settings else []
    for reason in dict.fromkeys(missing.values()):
        lines += [f"Missing, {reason}: {' '.join(name for name in missing if missing[name] == reason)}", ""]
    origin = {"commit": commit(), "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    records = {name: Workdir(Path(path)).record("codes") for name, path in runs.items()}
    write_json(folder / "sweep.json", {"runs": records, "missing": dict(missing), "provenance": origin})
    write_text(folder / "sweep.md", text := "\n".join(lines))
    return text


def group(runs: Mapping[str, Workdir]) -> list[CodesSetting]:
    """Runs that differ in their seeds alone are one setting. Folders of runs are settings: other runs, other codes."""
    groups: dict[str, list[str]] = {}
    for name, run in runs.items():
        settings = {".".join(place): value for place, value in leaves(run.record("codes")["settings"]).items()}
        trained = [each for each, value in settings.items() if each.startswith("variants.") and value]
        passed = {*SEEDS, *NO_SETTINGS, *(each.replace("variants.", "runs.") for each in trained)}
        own = {key: value for key, value in settings.items() if key not in passed}
        groups.setdefault(json.dumps(own, sort_keys=True), []).append(name)
    return [CodesSetting(_name(names), tuple(runs[name] for name in names)) for names in groups.values()]


def _name(names: Sequence[str]) -> str:
    """The name of a run without its seeds."""
    words = [word for word in names[0].split(",") if word.partition("=")[0] not in ("seed", *SEEDS)]
    return ",".join(words) or names[0]


def table_of(setting: CodesSetting, group: str) -> str:
    """A Markdown table of one group of measures: codes as rows."""
    measures = [one for one in measures_of(setting.records[0]) if one.group == group]
    lines = [["code", *(one.title for one in measures)], ["---"] * (1 + len(measures))]
    lines += [[name_of(code), *(cell(setting, code, one) for one in measures)] for code in setting.codes]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(setting: CodesSetting, code: str, measure: Measure) -> str:
    """Mean ± standard error over seeds; of a single run the number with the error of its record."""
    values = setting.values(code, measure)
    if values is None:
        return "—"
    if len(values) == 1:
        error = entry_at(setting.records[0]["codes"][code], measure.place)["standard_error"]
        return str(Measured(values[0], math.nan if error is None else error, "images"))
    found = mean_and_error(np.array(values, np.float64), "seeds")
    return str(Measured(float(found.mean), float(found.error), "seeds"))
