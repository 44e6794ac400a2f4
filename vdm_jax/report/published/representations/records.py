"""The records of results/representations: DATA-SEED/{codes,decoded,worth}.json of each data set and seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vdm_jax.base.statistics import Difference, paired_difference
from vdm_jax.report.compare.codes_sweep import CodesSetting
from vdm_jax.report.primitives.measured import entry
from vdm_jax.report.primitives.workdir import Workdir

DATA = {"digits": "8x8 digits"}  # those with records: a data set is added here with its records and its sections
NOT_DECIDED = "not decided"
UNTRAINED = "untrained_drl"  # the one of the untrained encoders that the tables show
Number = Callable[[Workdir], float | None]
"""The number of a run; None where its records lack it."""


@dataclass(frozen=True)
class ShownSetting(CodesSetting):
    """The codes of a table: of E(x, t) those of all times, of untrained encoders one."""

    @property
    def codes(self) -> list[str]:
        """The codes that all runs have and the tables show."""
        return [name for name in super().codes if is_shown(name)]


def is_shown(code: str) -> bool:
    """Whether the tables show a code; single times of E(x, t) are in a table and a figure of their own."""
    name, at, time = code.partition("@")
    if name.startswith("untrained"):
        return code == UNTRAINED
    return not at or time.startswith("all")


def runs_of(folder: Path, data: str) -> list[Workdir]:
    """The runs of a data set, by seed."""
    paths = sorted(folder.glob(f"{data}-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    return [run for path in paths if (run := Workdir(path)).record("codes")]


def setting_of(folder: Path, data: str) -> ShownSetting:
    """The runs of a data set as one setting. Raises `ValueError` where there are none."""
    if not (runs := runs_of(folder, data)):
        raise ValueError(f"{folder} has no codes.json of {data}")
    return ShownSetting(DATA[data], tuple(runs))


def number_of(record: str, *place: str) -> Number:
    """The value of the entry at a place of codes.json, decoded.json or worth.json."""
    return lambda run: entry(run.record(record), *place)[0]


def difference(runs: list[Workdir], ours: Number, theirs: Number) -> Difference | None:
    """ours - theirs, paired seed by seed over the runs that have both: the codes of a run have one seed. None where no
    run has both."""
    pairs = [(ours(run), theirs(run)) for run in runs]
    both = np.array([pair for pair in pairs if None not in pair], np.float64)
    return paired_difference(both[:, 0], both[:, 1], "seeds") if len(both) else None


def verdict(found: Difference) -> str:
    """Whether a difference is above zero: "yes" or "no" where its 95% interval lies on one side."""
    if found.interval is None:
        return f"{NOT_DECIDED}: {found.n} seed{'s' if found.n > 1 else ''}"
    low, high = (float(end) for end in found.interval)
    return "yes" if low > 0 else "no" if high < 0 else NOT_DECIDED


def part(run: Workdir, record: str, *place: str) -> Mapping[str, Any]:
    """A part of a record; {} where it is missing."""
    found: Any = run.record(record)
    for key in place:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}
