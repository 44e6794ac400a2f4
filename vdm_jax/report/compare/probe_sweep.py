"""The windows of all runs of a sweep of timestep probes, and their curves over timesteps and over log SNR.

Exact curves depend on the log SNR alone.
"""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.files import write_file, write_json, write_text
from vdm_jax.base.provenance import commit
from vdm_jax.report.compare.checkpoints import EXPLAINED as CHECKPOINTS
from vdm_jax.report.compare.checkpoints import checkpoints_figure, checkpoints_table, read_checkpoints
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.windows import window_cells
from vdm_jax.report.primitives.workdir import Workdir

HEAD = ("run", "feature", "exact: 95% remaining at", "50%", "5%", "probe: 95%", "50%", "5%", "largest gap", "short at")
WINDOWS = ("windows", "windows_standard_error")
TIMESTEP, LOGSNR = "timestep", "log SNR, noise to the right"
SHOWN = 10  # largest |log SNR| of the figure; the curves are constant beyond it


def write_probe_sweep(folder: str | Path, runs: Mapping[str, Path], missing: Mapping[str, str]) -> str:
    """Writes sweep.md, sweep.json, and for each feature sweep_FEATURE.png and sweep_FEATURE_logsnr.png into `folder`.
    Runs with chains of several checkpoints of one training are also compared by these (sweep_checkpoints_0.png, …).
    Returns the text of sweep.md.

    Args:
        runs: name -> workdir of each run with exact curves.
        missing: name -> reason, of each run without exact curves.
    """
    folder, read = Path(folder), {name: Workdir(Path(path)) for name, path in runs.items()}
    features = list(dict.fromkeys(feature for run in read.values() for feature in run.exact["features"]))
    pictures = {}
    for feature in features:
        for name, axis in ((feature, TIMESTEP), (f"{feature}_logsnr", LOGSNR)):
            pictures[name] = style.to_png(curves_figure(feature, read, axis))
            write_file(folder / f"sweep_{name}.png", lambda file, name=name: file.write(pictures[name]))
    text = markdown(read, missing)
    trainings = read_checkpoints(list(read.values()))
    for i, each in enumerate(trainings):
        name = f"checkpoints_{i}"
        pictures[name] = style.to_png(checkpoints_figure(each))
        write_file(folder / f"sweep_{name}.png", lambda file, name=name: file.write(pictures[name]))
        text += (
            f"\nCheckpoints of `{each[0].model}`, {each[0].sampler}:\n\n{checkpoints_table(each)}\n\n{CHECKPOINTS}\n"
        )
    origin = {"commit": commit(), "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    found = {name: numbers(run) for name, run in read.items()}
    record = {"runs": found, "missing": dict(missing), "provenance": origin}
    record |= {"checkpoints": [[each._asdict() for each in one] for one in trainings]} if trainings else {}
    write_json(folder / "sweep.json", record)
    shown = "".join(f"![{name}](sweep_{name}.png)\n" for name in pictures)
    write_text(folder / "sweep.md", f"{text}\n{shown}" if shown else text)
    return text


def numbers(run: Workdir) -> dict[str, Any]:
    """Windows and gaps of every feature, and their provenance."""
    found = {}
    for name, exact in run.exact["features"].items():
        probe = run.probe.get("features", {}).get(name, {})
        found[name] = {f"exact_{key}": exact.get(key) for key in WINDOWS}
        found[name] |= {f"probe_{key}": probe.get(key) for key in WINDOWS}
        found[name] |= {key: probe.get(key) for key in ("exact_minus_probe", "falls_short")}
    origins = {job: getattr(run, job).get("provenance") for job in ("exact", "probe")}
    return {"features": found, "settings": run.exact.get("settings"), "provenance": origins}


def markdown(runs: Mapping[str, Workdir], missing: Mapping[str, str]) -> str:
    """The table, the meaning of its columns, and the missing runs."""
    lines = ["No member is measured yet.", ""]
    if runs:
        rows = [cells for name, run in runs.items() for cells in _rows(name, run)]
        lines = [f"| {' | '.join(cells)} |" for cells in (HEAD, ["---"] * len(HEAD), *rows)]
        lines += [
            "",
            "Timesteps with 95%, 50% and 5% of the feature remaining (R² of a feature with values, else information). "
            "Largest gap: exact minus probe, R² or accuracy. Short at: timesteps where the gap is too large.",
            "",
        ]
    for reason in dict.fromkeys(missing.values()):
        lines += [f"Missing, {reason}: {' '.join(name for name in missing if missing[name] == reason)}", ""]
    return "\n".join(lines)


def _rows(name: str, run: Workdir) -> list[list[str]]:
    rows = []
    for feature, exact in run.exact["features"].items():
        probe = run.probe.get("features", {}).get(feature, {})
        gaps = probe.get("exact_minus_probe") or {}
        judged = gaps.get("r2", gaps.get("accuracy"))
        steps = zip(run.probe.get("timesteps", []), probe.get("falls_short", []), strict=False)
        short = ", ".join(str(step) for step, is_short in steps if is_short)
        found = window_cells(probe["windows"], probe.get("windows_standard_error")) if probe else ["—"] * 3
        gap = [f"{max(judged):.3f}", short or "none"] if judged else ["—", "—"]
        known = window_cells(exact["windows"], exact.get("windows_standard_error"))
        rows.append([name, feature, *known, *found, *gap])
    return rows


def curves_figure(feature: str, runs: Mapping[str, Workdir], axis: str) -> Figure:
    """R² or accuracy over `TIMESTEP` or `LOGSNR`: exact curves dashed, probes solid. Runs differ in colour, and in
    markers if there are more runs than colours."""
    score = "accuracy"
    drawn, axes = style.panel(title=feature, xlabel=axis, ylabel="")
    for number, (name, run) in enumerate(runs.items()):
        colour, marker = style.marked_look(number)
        exact = run.exact["features"].get(feature, {}).get("exact")
        if exact is None:
            continue
        score = "r2" if "r2" in exact else "accuracy"
        probe = run.probe.get("features", {}).get(feature, {}).get("probe", {})
        axes.plot(_places(run.exact, axis), exact[score], color=colour, linestyle="--", linewidth=1.2)
        if score in probe:
            axes.plot(_places(run.probe, axis), probe[score], color=colour, marker=marker, markersize=4, label=name)
        else:
            axes.plot(np.nan, np.nan, color=colour, marker=marker, markersize=4, label=name)
    axes.set_ylabel(f"{'R²' if score == 'r2' else score} (dashed: exact)")
    axes.set_ylim(top=1.03)
    if axis == LOGSNR:
        axes.set_xlim(SHOWN, -SHOWN)
    style.legend(axes)
    return drawn


def _places(record: Mapping[str, Any], axis: str) -> np.ndarray:
    """The positions of the timesteps of a record on the axis. Log SNRs outside the frame are NaN: a line to a far
    timestep would leave the curve that all schedules have in common."""
    if axis == TIMESTEP:
        return np.array(record["timesteps"], np.float64)
    abar = np.array(record["abar"], np.float64)
    logsnr = np.log(abar / (1 - abar))
    return np.where(np.abs(logsnr) <= SHOWN, logsnr, np.nan)
