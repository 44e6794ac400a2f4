"""The records of results/representations: DATA-SEED/{codes,decoded,worth}.json of each data set and seed.

A record that is missing is said to be missing, and no verdict rests on it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vdm_jax.base.statistics import Difference, paired_difference
from vdm_jax.report.compare.codes_sweep import CodesSetting
from vdm_jax.report.primitives.measured import entry
from vdm_jax.report.primitives.workdir import Workdir

DATA = {"digits": "digits, 8x8", "sprites": "sprites, 32x32", "mnist14": "MNIST, 14x14"}
NOT_RUN, NOT_DECIDED = "not run", "not decided"
Number = Callable[[Workdir], float | None]
"""The number of a run; None where its records lack it."""


def runs_of(folder: Path, data: str) -> list[Workdir]:
    """The runs of a data set, by seed."""
    paths = sorted(folder.glob(f"{data}-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    runs = [Workdir(path) for path in paths]
    return [run for run in runs if run.record("codes")]


def setting_of(folder: Path, data: str) -> CodesSetting | None:
    """The runs of a data set as one setting; None where there are none."""
    runs = runs_of(folder, data)
    return CodesSetting(DATA[data], tuple(runs)) if runs else None


def number_of(record: str, *place: str) -> Number:
    """The value of the entry at a place of codes.json, decoded.json or worth.json."""
    return lambda run: entry(run.record(record), *place)[0]


def over_runs(runs: list[Workdir], number: Number) -> np.ndarray | None:
    """The number of each run; None where there is no run or one lacks it."""
    found = [number(run) for run in runs]
    return None if not found or any(value is None for value in found) else np.array(found, np.float64)


def difference(runs: list[Workdir], ours: Number, theirs: Number) -> Difference | None:
    """ours - theirs, paired seed by seed: both are of one run, whose codes were trained with one seed."""
    a, b = (over_runs(runs, number) for number in (ours, theirs))
    return None if a is None or b is None else paired_difference(a, b, "seeds")


def verdict(found: Difference | None) -> str:
    """Whether a difference is above zero: "yes" or "no" where its 95% interval lies on one side."""
    if found is None:
        return NOT_RUN
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
