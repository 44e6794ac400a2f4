"""Tables of records: one row for each setting, columns that read them, Markdown."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from vdm_jax.base.statistics import Difference, paired_difference
from vdm_jax.report.compare.paired import decimals_of, ends, fixed
from vdm_jax.report.compare.study import Setting
from vdm_jax.report.primitives.workdir import Workdir

Row = TypeVar("Row")
Column = Callable[[Row], str]
DASH = "—"


def table(rows: Sequence[Row], columns: Mapping[str, Column]) -> str:
    """A Markdown table with one line for each row. `columns`: title with its unit -> cell of a row."""
    lines = [list(columns), ["---"] * len(columns)]
    lines += [[cell(row) for cell in columns.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def setting(name: str, folder: Path, seeds: Sequence[int], stem: str) -> Setting:
    """The runs `folder/STEM-SEED` under the name that readers see."""
    return Setting(name, tuple(Workdir(folder / f"{stem}-{seed}") for seed in seeds))


def values(one: Setting, *place: str) -> np.ndarray | None:
    """The number at a place of evaluate.json for each run; None if a run lacks it."""
    found = [run.evaluate for run in one.runs]
    for key in place:
        found = [each.get(key) if isinstance(each, Mapping) else None for each in found]
    return None if any(each is None for each in found) else np.array(found, np.float64)


def mean(*place: str) -> Column:
    """A column: mean ± standard error over seeds of the number at `place`."""

    def cell(one: Setting) -> str:
        found = values(one, *place)
        if found is None:
            return DASH
        error = found.std(ddof=1) / math.sqrt(len(found)) if len(found) > 1 else math.nan
        return number(float(found.mean()), float(error))

    return cell


def each(*place: str, digits: int = 1) -> Column:
    """A column: the number at `place` of each seed, separated by commas."""

    def cell(one: Setting) -> str:
        found = values(one, *place)
        if found is None:
            return DASH
        small = max(abs(found)) < 5e-4  # a power of ten says more than zeros
        return ", ".join(f"{value:.0e}" if small else f"{value:.{digits}f}" for value in found)

    return cell


def between(low: str, high: str) -> Column:
    """A column: the means over seeds of two bounds, `low to high`."""

    def cell(one: Setting) -> str:
        bounds = values(one, low), values(one, high)
        if any(each is None for each in bounds):
            return DASH
        texts = [f"{max(0.0, float(each.mean())):.2f}" for each in bounds]
        return texts[0] if texts[0] == texts[1] else " to ".join(texts)

    return cell


def number(value: float, error: float = math.nan) -> str:
    """`value ± error` to two digits of the error. Without an error four digits; below 0.0005 a power of ten."""
    if not (math.isfinite(error) and error > 1e-9 * abs(value)):  # a rounding error does not count
        return f"{value:.4g}"
    if max(abs(value), error) < 5e-4:
        return f"{value:.0e}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def difference_over_seeds(ours: Setting, theirs: Setting, *place: str) -> Difference:
    """ours - theirs of a number of evaluate.json, paired seed by seed."""
    a, b = values(ours, *place), values(theirs, *place)
    if a is None or b is None or ours.seeds != theirs.seeds:
        raise ValueError(f"{ours.name} and {theirs.name} have no common {place}")
    return paired_difference(a, b, "seeds")


def interval(found: Difference) -> str:
    """`mean [low, high]` to two digits of half of the interval, or the mean alone where there is no interval."""
    if found.interval is None:
        return f"{float(found.mean):.2f}"
    half = float(found.interval[1] - found.interval[0]) / 2
    return f"{fixed(float(found.mean), decimals_of(half))} {ends(found)}"
