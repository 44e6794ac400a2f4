"""The table of a sweep of denoising autoencoders: memorising or generalising, by the size of the training set."""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.files import write_file, write_json, write_text
from vdm_jax.base.provenance import commit
from vdm_jax.base.statistics import mean_and_error
from vdm_jax.report.compare.study import Measured
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.workdir import Workdir

HEAD = (
    "config",
    "images",
    "runs",
    "σ",
    "trained: test",
    "train",
    "optimal: test",
    "train",
    "trained: own",
    "at an image",
)
SEEDS = (("train", "seed"), ("subset", "seed"))
EXPLAINED = (
    "Squared error over the variance of the images, on test and on training images; shares of noised training images "
    "that the trained DAE returns to their own, and of noised test images that it takes to a training image. ± one "
    "standard error over runs that differ in the seeds of the training and of the subset."
)


def write_dae_sweep(folder: str | Path, runs: Mapping[str, Path], missing: Mapping[str, str]) -> str:
    """Writes sweep.md, sweep.json and a figure sweep_CONFIG.png for each config. Returns the text of sweep.md.

    Args:
        runs: name -> workdir of each evaluated member.
        missing: name -> reason, of each member without numbers.
    """
    folder, groups = Path(folder), grouped([Workdir(Path(path)) for path in runs.values()])
    rows = [row for group in groups for row in rows_of_group(group)]
    lines = [f"| {' | '.join(cells)} |" for cells in (HEAD, ["---"] * len(HEAD), *(map(str, row) for row in rows))]
    lines = [*lines, "", EXPLAINED, ""] if rows else ["No member is evaluated yet.", ""]
    for reason in dict.fromkeys(missing.values()):
        lines += [f"Missing, {reason}: {' '.join(name for name in missing if missing[name] == reason)}", ""]
    origin = {"commit": commit(), "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    found = {name: Workdir(Path(path)).evaluate for name, path in runs.items()}
    write_json(folder / "sweep.json", {"runs": found, "missing": dict(missing), "provenance": origin})
    if rows:
        for name in dict.fromkeys(name_of(group) for group in groups):
            drawn = style.to_png(errors_figure([group for group in groups if name_of(group) == name]))
            write_file(folder / f"sweep_{name}.png", lambda file, drawn=drawn: file.write(drawn))
            lines += [f"![errors of {name} by the size of the training set](sweep_{name}.png)", ""]
    text = "\n".join(lines)
    write_text(folder / "sweep.md", text)
    return text


def grouped(runs: list[Workdir]) -> list[list[Workdir]]:
    """Runs that differ in their seeds alone, by the number of training images."""
    groups: dict[str, list[Workdir]] = {}
    for run in runs:
        settings = json.loads(json.dumps(run.evaluate["settings"]))
        for section, name in SEEDS:
            settings[section][name] = None
        groups.setdefault(json.dumps(settings, sort_keys=True), []).append(run)
    return sorted(groups.values(), key=lambda group: group[0].evaluate["num_known"])


def name_of(group: list[Workdir]) -> str:
    """The name of the config of a group."""
    return group[0].evaluate["settings"]["name"]


def rows_of_group(group: list[Workdir]) -> list[list[Any]]:
    """The cells of each sigma."""
    first = group[0].evaluate
    head = [name_of(group), f"{first['num_known']:,}", len(group)]
    found = []
    for i, sigma in enumerate(first["sigmas"]):
        errors = [error(group, name, of, i) for name in ("trained", "optimal") for of in ("test", "train")]
        shares = [share(group, "training", "own", sigma), share(group, "test", "on_image", sigma)]
        found.append([*head, f"{sigma:g}", *errors, *shares])
    return found


def error(group: list[Workdir], name: str, of: str, i: int) -> Measured | str:
    """The squared error over the variance at the i-th sigma, over the runs of a group."""
    values = [(run.evaluate["errors"][of][name]["mse"][i], run.evaluate["variance"]) for run in group]
    return over_runs([None if mse is None else mse / variance for mse, variance in values])


def share(group: list[Workdir], kind: str, key: str, sigma: float) -> Measured | str:
    """A share of starts of the trained DAE, where the job attractors has this sigma."""
    values = []
    for run in group:
        record = run.record("attractors")
        try:
            rows = record["daes"][f"trained {record['daes_of_subset']}"]["starts"][kind]
            values.append(rows[record["sigmas"].index(sigma)][key])
        except (KeyError, TypeError, ValueError):
            values.append(None)
    return over_runs(values)


def over_runs(values: list[float | None]) -> Measured | str:
    """Mean ± standard error; a dash where a run has no number."""
    if None in values:
        return "—"
    if len(values) == 1:
        return Measured(float(values[0]), float("nan"), "seeds")
    found = mean_and_error(np.array(values, np.float64), "seeds")
    return Measured(float(found.mean), float(found.error), "seeds")


def errors_figure(groups: list[list[Workdir]]) -> Figure:
    """Errors of the trained DAE on test (solid) and training images (dashed) by the size of the training set, a colour
    for each sigma."""
    title = "Trained DAE: test (solid), train (dashed)"
    drawn, axes = style.panel(title=title, xlabel="training images", ylabel="squared error / variance", size=(5.8, 4.2))
    for i, sigma in enumerate(groups[0][0].evaluate["sigmas"]):
        for of, dashes in (("test", "-"), ("train", "--")):
            points = [(group[0].evaluate["num_known"], error(group, "trained", of, i)) for group in groups]
            points = [(size, found) for size, found in points if isinstance(found, Measured)]
            sizes, means = [size for size, _ in points], [found.mean for _, found in points]
            label = f"σ = {sigma:g}" if of == "test" else None
            axes.plot(sizes, means, dashes, color=style.line_look(i)[0], marker="o", markersize=3, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    style.legend(axes)
    return drawn
