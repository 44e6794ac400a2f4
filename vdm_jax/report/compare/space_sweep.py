"""The table of spaces and the figures of all windows, from the `table.json` of each run alone."""

import datetime
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.files import write_file, write_json, write_text
from vdm_jax.base.provenance import commit
from vdm_jax.base.statistics import mean_and_error
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.measured import measured_text
from vdm_jax.report.primitives.space_windows import (
    LOGSNR,
    OF_ALL,
    OF_HELD,
    SCALES,
    TIMESTEP,
    Time,
    mean_window,
    windows_figure,
)
from vdm_jax.report.primitives.workdir import Workdir, is_number, leaves

SEEDS = ("space.seed", "exact.seed", "probe.seed")
NO_SETTINGS = ("name", "jobs", "data.dir", "space.workdir", "runs.none", "runs.global", "runs.component")
FIGURES = {  # file -> axis, shares
    "sweep_windows.png": (TIMESTEP, OF_ALL),
    "sweep_windows_logsnr.png": (LOGSNR, OF_ALL),
    "sweep_held_windows.png": (TIMESTEP, OF_HELD),
    "sweep_held_windows_logsnr.png": (LOGSNR, OF_HELD),
}
EXPLAINED = (
    "± one standard error over seeds; of a single seed over test images (reconstruction) or queries (curves). "
    "Reconstruction: squared error summed over an image, pixels in [0, 1]. Variance and leading eigenvalue: of the "
    "latents as they stand, mean and noise together. Held: R² of a feature with values, else the information as a "
    "share of the entropy, at timestep 0. Windows: timesteps with 95 / 50 / 5% of the feature remaining. Never: no "
    "seed holds that share at timestep 0. In 2 of 3: the mean over the two seeds that hold it."
)
DASH = "—"
LARGE = 2.0  # eigenvalue


@dataclass(frozen=True)
class SpaceSetting:
    """Runs of kind "spaces" that differ in their seeds alone."""

    name: str
    runs: tuple[Workdir, ...]

    def numbers(self, *place: str) -> list[float] | None:
        """The number at a place of table.json in each run; None if a run lacks it."""
        found = [leaves(run.record("table")).get(place) for run in self.runs]
        return [float(value) for value in found if is_number(value)] if all(map(is_number, found)) else None

    def features(self, scale: str) -> dict[str, list[Mapping[str, Any]]]:
        """The parts of table.json of each feature at a scale, one a seed; features that a run lacks are left out."""
        parts = [run.record("table")["scales"].get(scale, {}).get("features", {}) for run in self.runs]
        return {name: [part[name] for part in parts] for name in parts[0] if all(name in part for part in parts)}

    def by_scale(self) -> dict[str, dict[str, list[Mapping[str, Any]]]]:
        """`features` of each scale."""
        return {scale: found for scale in SCALES if (found := self.features(scale))}


def write_space_sweep(folder: str | Path, runs: Mapping[str, Path], missing: Mapping[str, str]) -> str:
    """Writes sweep.md, sweep.json and the figures of all windows into `folder`. Returns the text of sweep.md.

    Args:
        runs: name -> workdir of each run with a table.json.
        missing: name -> reason, of each run without one.
    """
    folder, settings = Path(folder), group({name: Workdir(Path(path)) for name, path in runs.items()})
    text = markdown(settings, missing)
    for name, (axis, key) in FIGURES.items():
        if settings:
            png = style.to_png(figure_of(settings, axis, key))
            write_file(folder / name, lambda file, png=png: file.write(png))
    origin = {"commit": commit(), "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    tables = {name: Workdir(Path(path)).record("table") for name, path in runs.items()}
    write_json(folder / "sweep.json", {"runs": tables, "missing": dict(missing), "provenance": origin})
    pictures = "".join(f"![windows, {axis}]({name})\n" for name, (axis, _) in FIGURES.items()) if settings else ""
    write_text(folder / "sweep.md", f"{text}\n{pictures}" if pictures else text)
    return text


def group(runs: Mapping[str, Workdir]) -> list[SpaceSetting]:
    """Runs that trained their spaces and differ in their seeds alone are one setting. Runs in a named space are each
    their own."""
    groups: dict[str, list[str]] = {}
    for name, run in runs.items():
        settings = {".".join(place): value for place, value in leaves(run.record("table")["settings"]).items()}
        own = {key: value for key, value in settings.items() if key not in (*SEEDS, *NO_SETTINGS)}
        key = json.dumps(own, sort_keys=True) if run.record("table").get("trained") else name
        groups.setdefault(key, []).append(name)
    return [SpaceSetting(_name(names, runs), tuple(runs[name] for name in names)) for names in groups.values()]


def _name(names: Sequence[str], runs: Mapping[str, Workdir]) -> str:
    """The name of a run without its seeds, or of its space."""
    words = [word for word in names[0].split(",") if word.partition("=")[0] not in ("seed", *SEEDS)]
    return ",".join(words) or str(runs[names[0]].record("table")["space"]["name"])


def figure_of(settings: Sequence[SpaceSetting], axis: str, key: str, first: Mapping[str, Any] | None = None) -> Figure:
    """`windows_figure` of these settings, after `first`, further spaces in the form that it takes."""
    records = [run.record("table") for one in settings for run in one.runs]
    ends = [scale["timesteps"][-1] for record in records for scale in record["scales"].values()]
    spaces = {**(first or {}), **{one.name: one.by_scale() for one in settings}}
    return windows_figure(spaces, axis, key=key, end=float(max(ends)))


def markdown(settings: Sequence[SpaceSetting], missing: Mapping[str, str]) -> str:
    """The table of spaces, that of the windows, how well speciation predicts them, and the missing runs."""
    lines = ["No member is measured yet.", ""]
    if settings:
        lines = [spaces_table(settings), "", windows_table(settings), "", speciation_table(settings), "", EXPLAINED, ""]
    for reason in dict.fromkeys(missing.values()):
        lines += [f"Missing, {reason}: {' '.join(name for name in missing if missing[name] == reason)}", ""]
    return "\n".join(lines)


def _table(rows: Sequence[Any], columns: Mapping[str, Callable[[Any], str]]) -> str:
    lines = [list(columns), ["---"] * len(columns), *([cell(row) for cell in columns.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spaces_table(settings: Sequence[SpaceSetting]) -> str:
    """One row for each space: size, reconstruction, variance, leading eigenvalue, what of each feature it holds."""
    columns: dict[str, Callable[[SpaceSetting], str]] = {
        "space": lambda one: one.name,
        "seeds": lambda one: str(len(one.runs)),
        "latents": lambda one: _over_seeds(one, "space", "num_latents"),
        "reconstruction error": lambda one: _over_seeds(one, "autoencoder", "reconstruction_sum"),
        "variance": lambda one: _over_seeds(one, "space", "variance"),
        "leading eigenvalue": lambda one: _over_seeds(one, *_first_scale(one), "leading_eigenvalue"),
        "speciation": lambda one: _over_seeds(one, *_first_scale(one), "speciation", "timestep"),
    }
    for name in _features(settings):
        columns[f"{name} held"] = lambda one, name=name: _held(one, name)
        if any(_gaps(one, name) for one in settings):
            columns[f"{name}: largest gap of a probe"] = lambda one, name=name: _largest_gap(one, name)
    return _table(settings, columns)


def windows_table(settings: Sequence[SpaceSetting], key: str = OF_ALL) -> str:
    """One row for each space and scale: the window of each feature in timesteps."""
    rows = [(one, scale) for one in settings for scale in one.by_scale()]
    columns: dict[str, Callable[[tuple[SpaceSetting, str]], str]] = {
        "space": lambda row: row[0].name,
        "latents": lambda row: SCALES[row[1]],
    }
    for name in _features(settings):
        columns[name] = lambda row, name=name: _window(row[0].features(row[1]).get(name), key)
    return _table(rows, columns)


def speciation_table(settings: Sequence[SpaceSetting]) -> str:
    """How well the speciation time predicts the timestep with half of a feature remaining, across spaces and scales.

    Spaces without a speciation time (leading eigenvalue at most 1) and features that keep half are left out. The law
    is one for large eigenvalues: spaces with larger and with smaller ones are also correlated apart.
    """
    rows = []
    for name in _features(settings):
        pairs = np.array(list(_pairs(settings, name)), np.float64).reshape(-1, 3)
        rows.append((name, pairs[:, 1] - pairs[:, 0], pairs))
    columns: dict[str, Callable[[Any], str]] = {
        "feature": lambda row: row[0],
        "spaces and scales": lambda row: str(len(row[1])),
        "50% remaining less speciation, timesteps": lambda row: f"{row[1].mean():.0f}" if len(row[1]) else DASH,
        "root mean square": lambda row: f"{np.sqrt((row[1] ** 2).mean()):.0f}" if len(row[1]) else DASH,
        "correlation": lambda row: _correlation(row[2]),
        f"leading eigenvalue at least {LARGE:.0f}: correlation (n)": lambda row: _correlation_of(row[2], large=True),
        "below: correlation (n)": lambda row: _correlation_of(row[2], large=False),
    }
    return _table(rows, columns)


def _pairs(settings: Sequence[SpaceSetting], name: str) -> Iterable[tuple[float, float, float]]:
    """(speciation, 50% remaining) in timesteps, leading eigenvalue of each setting and scale, means over seeds."""
    for one in settings:
        for scale, features in one.by_scale().items():
            at = one.numbers("scales", scale, "speciation", "timestep")
            half = mean_window(features[name], OF_ALL, TIMESTEP)["50%"] if name in features else None
            if at and half is not None and half.by_all:
                yield float(np.mean(at)), half.at, float(np.mean(one.numbers("scales", scale, "leading_eigenvalue")))


def _correlation(pairs: np.ndarray) -> str:
    if len(pairs) < 3 or not np.all(pairs.std(axis=0) > 0):
        return DASH
    return f"{np.corrcoef(pairs[:, 0], pairs[:, 1])[0, 1]:.2f}"


def _correlation_of(pairs: np.ndarray, *, large: bool) -> str:
    """The correlation among the pairs with large eigenvalues, or among the others, and their number."""
    chosen = pairs[(pairs[:, 2] >= LARGE) == large]
    return f"{_correlation(chosen)} ({len(chosen)})"


def _features(settings: Sequence[SpaceSetting]) -> list[str]:
    return list(dict.fromkeys(name for one in settings for found in one.by_scale().values() for name in found))


def _first_scale(one: SpaceSetting) -> tuple[str, str]:
    """The place of the space as it stands, or of the first scale there is."""
    return "scales", next(iter(one.by_scale()))


def _over_seeds(one: SpaceSetting, *place: str) -> str:
    """Mean ± standard error over seeds; of a single seed the number with the error of its record."""
    values = one.numbers(*place)
    if values is None:
        return DASH
    if len(values) == 1:
        found = leaves(one.runs[0].record("table"))
        return measured_text(values[0], found.get((*place[:-1], f"{place[-1]}_standard_error")))
    found = mean_and_error(np.array(values, np.float64), "seeds")
    return measured_text(float(found.mean), float(found.error))


def _held(one: SpaceSetting, name: str) -> str:
    """The share of a feature that the latents hold, to three decimals."""
    values = one.numbers(*_first_scale(one), "features", name, "held")
    if values is None:
        return DASH
    mean = f"{np.mean(values) + 0.0:.3f}".replace("-0.000", "0.000")
    return mean if len(values) == 1 else f"{mean} ± {mean_and_error(np.array(values), 'seeds').error:.3f}"


def _gaps(one: SpaceSetting, name: str) -> list[Mapping[str, Any]]:
    """The probes of a feature in all runs and scales."""
    parts = [part for features in one.by_scale().values() for part in features.get(name, [])]
    return [part["probe"] for part in parts if part.get("probe")]


def _largest_gap(one: SpaceSetting, name: str) -> str:
    """The largest gap over seeds and scales, and the number of flagged timesteps."""
    gaps = _gaps(one, name)
    if not gaps:
        return DASH
    worst, short = max(gap["largest_gap"] for gap in gaps), sum(len(gap["falls_short"]) for gap in gaps)
    return f"{worst:.3f}" + (f" ({short} short)" if short else "")


def _window(parts: Sequence[Mapping[str, Any]] | None, key: str) -> str:
    return DASH if not parts else " / ".join(_time(time) for time in mean_window(parts, key, TIMESTEP).values())


def _time(time: Time | None) -> str:
    if time is None:
        return "never"
    known = time.error is not None and math.isfinite(time.error)
    some = "" if time.by_all else f" in {time.reached} of {time.runs}"
    return (f"{time.at:.0f} ± {time.error:.1f}" if known else f"{time.at:.0f}") + some
