"""Trained models by timestep: recovery of own and foreign images, and a denoiser and a generator trained apart."""

from collections.abc import Mapping
from html import escape
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.statistics import Difference, mean_and_error, paired_difference
from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.markup import Gallery, figure, missing, not_applicable, panel, table
from vdm_jax.report.primitives.workdir import Workdir, section_of

ERRORS = (KeyError, TypeError, ValueError, IndexError)
KNOWN, OWN = "training images", "test images"
LABELS = {"class": "class", "image": "which training image", "bound": "nats of the model's bound"}
QUANTITIES = {  # of `split`: place in a cell, words
    "loss, timesteps of the denoiser": ("loss", "below"),
    "loss, timesteps of the generator": ("loss", "above"),
    "loss, all": ("loss", "all"),
    "Fréchet distance": ("frechet", ""),
    "Fréchet distance, one step from the boundary": ("frechet", "at_once"),
}


def _none(workdir: Workdir, job: str) -> str:
    """What stands in place of the results of a job that trains or reads a model."""
    model = section_of(workdir.config, "model")
    if not (model.get("train") or model.get("workdir")):
        return not_applicable("No model is trained or named: config.model.train and config.model.workdir are empty.")
    return missing(f"There is no readable {job}.json yet", job)


def reconstruct_section(workdir: Workdir, gallery: Gallery) -> str:
    """Errors by timestep, and the information that is left."""
    record = workdir.record("reconstruct")
    try:
        drawn = {
            "denoised": error_figure(record, "denoised"),
            "sampled": error_figure(record, "sampled"),
            "information": information_figure(record),
        }
        tolerance, num_steps = record["settings"]["reconstruct"]["tolerance"], int(record["num_steps"])
        limits = table(
            ("images", "worse than test images in one step from", "by chains from"),
            [
                [escape(name), *(_time(own[part], num_steps) for part in ("denoised", "sampled"))]
                for name, own in record["boundaries"].items()
            ],
            numbers=(1, 2),
        )
        windows = table(
            ("information", "all, nats", "95% left at", "50%", "5%"),
            [
                [
                    LABELS[name],
                    f"{own['total_nats']:.2f}",
                    *(_time(each, num_steps) for each in own["windows"].values()),
                ]
                for name, own in record["information"].items()
            ],
            numbers=range(1, 5),
        )
        number = record["sets"][OWN]["num_images"]
    except ERRORS:
        return _none(workdir, "reconstruct")
    panels = [panel(gallery.save(f"reconstruct_{name}", each), alt=name) for name, each in drawn.items()]
    caption = (
        f"Mean absolute error of images recovered from z_t, {number} of each set (bands: ± 2 standard errors over "
        "images), by one step of the denoiser and by a chain from t. Dashed: the exact posterior of the training "
        "images, E[x | z_t] or a draw. Dotted: z_t/alpha_t, which needs no knowledge. Right: what z_t tells of a "
        "training image, exactly, and the share of the nats of the model's bound that are lost at more noise than t."
    )
    note = f"<p>Worse: the error is larger by more than {tolerance:.0%} of that of test images.</p>"
    return figure(panels, caption) + windows + limits + note


def error_figure(record: Mapping[str, Any], part: str, names: Mapping[str, str] = MappingProxyType({})) -> Figure:
    """The error of each set by timestep; of training images also that of the exact posterior, and of test images
    without a model. names: of sets in the legend, where they differ from the record's."""
    titles = {"denoised": "In one step", "sampled": "By a chain from t"}
    drawn, axes = style.panel(title=titles[part], xlabel="timestep t", ylabel="mean absolute error")
    steps = record["timesteps"]
    for i, (name, own) in enumerate(record["sets"].items()):
        at = record["starts"] if part == "sampled" else steps
        style.curve(axes, np.array(at), own[part], "mae", colour=style.line_look(i)[0], label=names.get(name, name))
    exact = record["sets"][KNOWN][f"exact_{part}"]["mae"]
    axes.plot(steps, exact, "--", color=style.line_look(0)[0], linewidth=1, label="exact, of training images")
    if part == "denoised":
        without = record["sets"][OWN]["unfiltered"]["mae"]
        axes.plot(steps, without, ":", color=style.line_look(1)[0], linewidth=1, label="no model, of test images")
    style.legend(axes)
    return drawn


def information_figure(record: Mapping[str, Any]) -> Figure:
    """The share of each information that is left by timestep, with the first timestep from which chains recover
    foreign images worse."""
    drawn, axes = style.panel(title="Information left", xlabel="timestep t", ylabel="share")
    for i, (name, own) in enumerate(record["information"].items()):
        axes.plot(record["timesteps"], own["share"], color=style.line_look(i)[0], label=LABELS[name])
    for i, (name, own) in enumerate(record["boundaries"].items()):
        if own["sampled"] is not None:
            dashes = style.DASHES[(i + 1) % len(style.DASHES)]
            label = f"{name}: chains are worse from here"
            axes.axvline(own["sampled"], color=style.GREY, linestyle=dashes, linewidth=0.9, label=label)
    style.legend(axes)
    return drawn


def split_section(workdir: Workdir, gallery: Gallery) -> str:
    """The one model against the parts, by boundary."""
    record = workdir.record("split")
    try:
        cells, num_steps = list(record["cells"]), int(record["num_steps"])
        rows = []
        for boundary in sorted({each["boundary"] for each in cells}):
            own = [each for each in cells if each["boundary"] == boundary]
            for words, (one, apart) in split_values(own).items():
                rows.append([_time(boundary, num_steps), words, _mean(one), _mean(apart), _interval(apart, one)])
        number, floor = len({each["seed"] for each in cells}), record["floor"]
        updates = cells[0]["updates"]
    except ERRORS:
        return _none(workdir, "split")
    head = ("boundary", "", "one model", "apart", "apart minus one")
    note = (
        f"<p>Mean ± standard error over {number} seed(s); in brackets 95% t intervals, paired by seed, of three or "
        f"more. The one model has {updates['one']:,} updates, which the two share ({updates['denoiser']:,} and "
        f"{updates['generator']:,} at the first boundary); each of the three has {record['parameters']:,} parameters. "
        f"Loss: ||eps - eps_hat||²/D of test images. The Fréchet distance of test images is {floor:.3f}.</p>"
    )
    return table(head, rows, numbers=range(2, 5)) + note


def split_values(cells: list[dict[str, Any]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{words: (of the one model, of the parts)} over the seeds of one boundary."""
    found = {}
    for words, (what, where) in QUANTITIES.items():
        pair = []
        for name in ("one", "apart"):
            if what == "loss":
                pair.append(np.array([each["loss"][name][where] for each in cells]))
            else:
                pair.append(np.array([each["frechet"]["_".join(filter(None, (name, where)))] for each in cells]))
        found[words] = (pair[0], pair[1])
    return found


def split_difference(apart: np.ndarray, one: np.ndarray) -> Difference:
    """Apart minus one, paired by seed."""
    return paired_difference(apart, one, "seeds")


def _mean(values: np.ndarray) -> str:
    found = mean_and_error(values, "seeds")
    error = "" if found.n < 2 else f" ± {float(found.error):.2g}"
    return f"{float(found.mean):.4g}{error}"


def _interval(apart: np.ndarray, one: np.ndarray) -> str:
    found = split_difference(apart, one)
    between = "" if found.interval is None else f" [{float(found.interval[0]):.2g}, {float(found.interval[1]):.2g}]"
    return f"{float(found.mean):+.2g}{between}"


def _time(step: float | int | None, num_steps: int) -> str:
    return "nowhere" if step is None else f"{step:,.0f} ({step / num_steps:.1%})"


RECONSTRUCT = Section("reconstruct", "Recovery by timestep", reconstruct_section)
SPLIT = Section("split", "A denoiser and a generator trained apart", split_section)
