"""The tables of runs of kind "codes": each code's mean over seeds, and its differences to one of them, paired seed by
seed, from the codes.json of each run alone."""

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vdm_jax.base.files import write_json, write_text
from vdm_jax.base.provenance import commit
from vdm_jax.base.statistics import mean_and_error, paired_difference
from vdm_jax.report.compare.paired import decimals_of, ends, fixed
from vdm_jax.report.compare.study import Measured
from vdm_jax.report.primitives.code_measures import COSTS, Place, entry_at, measures_of, name_of
from vdm_jax.report.primitives.workdir import Workdir, leaves

SEEDS = ("codes.seed", "measure.seed")
NO_SETTINGS = ("name", "jobs", "data.dir", "codes.batch_size")
EXPLAINED = "± one standard error over seeds; in brackets over test images, of a single seed."
PAIRED = "Above {}: mean [95% t interval], paired seed by seed, uncorrected for their number; below three seeds a mean."
REFERENCES = ("target", "vae_vdm")  # of the differences: the first that is there, or the first code of the record
NO_CODE = "unconditional"


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

    @property
    def costs(self) -> list[str]:
        """The trained runs that each record has costs of."""
        first, *others = (record.get("costs") or {} for record in self.records)
        return [name for name in first if all(name in other for other in others)]

    def entries(self, name: str, place: Place, part: str = "codes") -> list[Mapping[str, Any] | None]:
        """The entry of a code, or of a run in the part "costs", in each record; None where there is no number."""
        found = [entry_at((record.get(part) or {}).get(name), place) for record in self.records]
        return [None if each is None or each["value"] is None else each for each in found]

    def difference(self, name: str, reference: str, place: Place, part: str = "codes") -> str:
        """Mean [interval] of the differences to `reference` over the seeds that have both; a dash without any."""
        both = zip(*(self.entries(each, place, part) for each in (name, reference)), strict=True)
        pairs = np.array([[one["value"], other["value"]] for one, other in both if one and other], np.float64)
        if not len(pairs):
            return "—"
        found = paired_difference(pairs[:, 0], pairs[:, 1], "seeds")
        decimals = 4 if found.interval is None else decimals_of(float(found.interval[1] - found.mean))
        mean = fixed(float(found.mean), decimals)
        return mean if found.interval is None else f"{mean} {ends(found)}"


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
            lines += [PAIRED.format(name_of(reference_of(one))), "", differences_of(one, name), ""]
        lines += ["### R, D and D + R", "", costs_of(one), ""] if one.costs else []
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
    rows = [[name_of(code), *(cell(setting.entries(code, one.place)) for one in measures)] for code in setting.codes]
    return in_markdown(["code", *(one.title for one in measures)], rows)


def reference_of(setting: CodesSetting) -> str:
    """The code that the others are compared with."""
    return next((name for name in REFERENCES if name in setting.codes), setting.codes[0])


def differences_of(setting: CodesSetting, group: str) -> str:
    """As `table_of`, of the differences to the code of `reference_of`."""
    reference = reference_of(setting)
    measures = [one for one in measures_of(setting.records[0]) if one.group == group]
    rows = [
        [name_of(code), *(setting.difference(code, reference, one.place) for one in measures)]
        for code in setting.codes
        if code != reference
    ]
    return in_markdown(["code", *(one.title for one in measures)], rows)


def costs_of(setting: CodesSetting) -> str:
    """R, D, D + R and J of the trained runs, and D + R above that of the run without a code, paired seed by seed."""
    rows = []
    for run in setting.costs:
        cells = [cell(setting.entries(run, (place,), "costs")) for place in COSTS]
        above = setting.difference(run, NO_CODE, ("bound_nats",), "costs") if NO_CODE in setting.costs else "—"
        rows.append([name_of(run), *cells, "—" if run == NO_CODE else above])
    return in_markdown(["run", *COSTS.values(), "D + R above no code, nats [95% t interval]"], rows)


def in_markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))


def cell(entries: Sequence[Mapping[str, Any] | None]) -> str:
    """Mean ± standard error over seeds; of a single run the number with the error of its record; a dash where a run has
    none."""
    if None in entries:
        return "—"
    if len(entries) == 1:
        value, error = (entries[0][key] for key in ("value", "standard_error"))
        return str(Measured(float(value), math.nan if error is None else error, "images"))
    found = mean_and_error(np.array([each["value"] for each in entries], np.float64), "seeds")
    return str(Measured(float(found.mean), float(found.error), "seeds"))
