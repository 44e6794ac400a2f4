"""A table of several runs: `python -m vdm_jax.report.compare.study WORKDIR …` prints Markdown.

Runs that differ only in their seeds are one setting, with mean ± standard error over seeds. A single run has its
standard error over test images in brackets; that error does not include the variation between seeds.
"""

import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from vdm_jax.base.ending import exit_code
from vdm_jax.base.errors import UserError
from vdm_jax.base.names import describe, short_names
from vdm_jax.base.statistics import mean_and_error
from vdm_jax.report.compare.columns import COLUMNS
from vdm_jax.report.primitives.measured import ERROR, ERROR_SUFFIXES, NUM, VALUE, error_at
from vdm_jax.report.primitives.workdir import Place, Workdir, is_number, leaves

SEEDS = ("train.seed", "evaluate.seed", "sample.seed")
NO_SETTINGS = ("name", "data.dir")
ABOUT = (("settings",), ("provenance",), ("reasons",), ("frechet", "network"), ("frechet_aggregate", "network"))
SMALLEST = 1e-7  # error that is written without a power of ten


class Measured(NamedTuple):
    """A number, its standard error (NaN: unknown), and what varies between the values."""

    mean: float
    error: float
    over: Literal["seeds", "images"]

    def __str__(self) -> str:
        """`mean ± error` to two digits of the error, `mean (± error)` over images, or the mean without an error.

        Errors below 1e-7 are written with a power of ten.
        """
        if not (math.isfinite(self.error) and self.error > 1e-9 * abs(self.mean)):  # a rounding error does not count
            return f"{self.mean:.4g}"
        digits = max(0, 1 - math.floor(math.log10(self.error)))
        form = f".{digits}f" if self.error >= SMALLEST else ".2g"
        text = f"{self.mean:{form}} ± {self.error:{form}}"
        return text if self.over == "seeds" else text.replace("± ", "(± ") + ")"


@dataclass(frozen=True)
class Setting:
    """Evaluated runs that differ only in their seeds."""

    name: str
    runs: tuple[Workdir, ...]

    @property
    def seeds(self) -> list[int]:
        """The seed of each training."""
        return [_settings(run).get(SEEDS[0]) for run in self.runs]

    @property
    def kind(self) -> str:
        """The kind of experiment that the config describes."""
        return str(self.runs[0].config.get("kind", "vae_vdm"))

    def measured(self, *place: str) -> Measured | None:
        """The number at a place of evaluate.json, or the "value" of an entry there, over the runs; None if a run lacks
        it."""
        values = [leaves(run.evaluate) for run in self.runs]
        place = place if place in values[0] else (*place, VALUE)
        numbers = np.array([run[place] for run in values if is_number(run.get(place))], np.float64)
        if len(numbers) < len(values):
            return None
        if len(numbers) == 1:
            error = error_at(values[0], place)
            return Measured(float(numbers[0]), math.nan if error is None else error, "images")
        found = mean_and_error(numbers, "seeds")
        return Measured(float(found.mean), float(found.error), found.over)

    def numbers(self) -> dict[Place, Measured]:
        """Every number of evaluate.json that all runs have, by its place."""
        places = [place for place, value in leaves(self.runs[0].evaluate).items() if is_number(value)]
        about = {place for place in places for start in ABOUT if place[: len(start)] == start}
        places = [place for place in places if place not in about and not place[-1].endswith((*ERROR_SUFFIXES, ERROR))]
        places = [place for place in places if (*place[:-1], VALUE) not in places or place[-1] != NUM]
        found = {place: self.measured(*place) for place in places}
        return {place: number for place, number in found.items() if number is not None}


def read_settings(workdirs: Iterable[str | Path]) -> list[Setting]:
    """The evaluated runs in `workdirs`, grouped by setting in their order.

    A setting has the name of its config and the settings that distinguish it from others of that name. The seeds of
    evaluation and sampling are settings if runs have the same training seed.

    Raises:
        UserError: a workdir is not evaluated, or two runs have the same settings and seed.
    """
    runs = [Workdir(Path(path)) for path in workdirs]
    for run in runs:
        if not run.evaluate:
            raise UserError(f"no readable evaluate.json in {run.path}: run --jobs=evaluate first")
    groups: list[tuple[list[Workdir], tuple[str, ...]]] = []  # runs, and the seeds that they differ in
    for group in _grouped(runs, SEEDS).values():
        if len({_settings(run).get(SEEDS[0]) for run in group}) == len(group):
            groups.append((group, SEEDS))
        else:
            groups += [(part, SEEDS[:1]) for part in _grouped(group, SEEDS[:1]).values()]
    for group, _ in groups:
        seen: dict[Any, Workdir] = {}
        for run in group:
            first = seen.setdefault(_settings(run).get(SEEDS[0]), run)
            if first is not run:
                raise UserError(f"{first.path} and {run.path} are runs of the same settings and seed")
    return _named(groups)


def _named(groups: Sequence[tuple[list[Workdir], tuple[str, ...]]]) -> list[Setting]:
    names = [str(group[0].config.get("name", group[0].path)) for group, _ in groups]
    configs = [_without(group[0], seeds) for group, seeds in groups]
    settings = []
    for name, config, (group, _) in zip(names, configs, groups, strict=True):
        others = [other for its_name, other in zip(names, configs, strict=True) if its_name == name]
        different = {key: config[key] for key in config if any(other.get(key) != config[key] for other in others)}
        words = describe(different, short_names([*SEEDS, *(key for other in others for key in other)]))
        settings.append(Setting(f"{name},{words}" if words else name, tuple(group)))
    return settings


def _grouped(runs: Sequence[Workdir], but: Sequence[str]) -> dict[str, list[Workdir]]:
    """Runs of the same name and config, except for the settings `but`."""
    groups: dict[str, list[Workdir]] = {}
    for run in runs:
        key = json.dumps([run.config.get("name", str(run.path)), _without(run, but)], sort_keys=True)
        groups.setdefault(key, []).append(run)
    return groups


def _settings(run: Workdir) -> dict[str, Any]:
    """The config by dotted keys, with the settings of evaluate.json if it has them."""
    settings = run.evaluate.get("settings")
    config = run.config | (settings if isinstance(settings, dict) else {})
    return {".".join(place): value for place, value in leaves(config).items()}


def _without(run: Workdir, but: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in _settings(run).items() if key not in (*but, *NO_SETTINGS)}


def study_table(workdirs: Iterable[str | Path]) -> str:
    """The table of the evaluated runs in `workdirs`, one row for each setting. Columns without numbers are omitted.

    Raises:
        UserError: as `read_settings`, or if there is no workdir.
    """
    workdirs = list(workdirs)
    if not workdirs:
        raise UserError("no workdir; expected those of one or more evaluated runs")
    return table_of(read_settings(workdirs))


def table_of(settings: Sequence[Setting]) -> str:
    """The Markdown table, one row for each setting, with the columns of every kind of run among the settings."""
    columns: dict[str, Place] = {}
    for setting in settings:
        columns |= COLUMNS.get(setting.kind, {})
    numbers = [{title: setting.measured(*place) for title, place in columns.items()} for setting in settings]
    titles = [title for title in columns if any(row[title] is not None for row in numbers)]
    rows = [["setting", "seeds", *titles], ["---"] * (2 + len(titles))]
    for setting, row in zip(settings, numbers, strict=True):
        cells = ["—" if row[title] is None else str(row[title]) for title in titles]
        rows.append([setting.name, str(len(setting.runs)), *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    sys.exit(exit_code("study", lambda: print(study_table(sys.argv[1:]))))
