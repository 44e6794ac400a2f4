"""Properties of a degradation D, and how well a restoration R undoes it: by time, and by the number of steps."""

from functools import partial
from html import escape

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.markup import Gallery, card, figure, missing, panel, table
from vdm_jax.report.primitives.measured import measured, plain, standard_error
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.sections.numbers import NO_EVALUATION, other_numbers, run_facts

BY_TIME = {
    "lost": ("lost", "RMS of D(x, t) − x", "from x, RMS a pixel of [0, 1]"),
    "variance": ("variance over images", "share of that of x", "left, share"),
    "distinct": ("images that stay distinct", "share", "share"),
    "own_displacement": ("displacement that depends on x", "share of D(x, t) − x", "share"),
}
CURVES = {
    "R": {
        "restored": "R − x",
        "degraded": "z_t − x",
        "consistency": "D(R, t) − D(x, t)",
        "idempotence": "R(D(R, t)) − R",
    },
    "one step": {"naive_step": "naive", "improved_step": "improved"},
}
METHODS = ("naive", "improved")
SHOWN = ("provenance", "reasons", "settings", "objective", "restoration", "chains", "sets", "loss")


def properties_section(workdir: Workdir, gallery: Gallery) -> str:
    """The numbers of properties.json and its curves."""
    record = workdir.record("properties")
    try:
        times = np.array(record["times"], np.float64)
        panels = []
        for key, (title, label, _) in BY_TIME.items():
            drawn, axes = style.panel(title=title, xlabel="t", ylabel=label)
            axes.plot(times, np.array(record["by_time"][key], np.float64), color=style.BLUE, marker="o", markersize=3.5)
            axes.set_ylim(bottom=0)
            panels.append(panel(gallery.save(f"degradation_{key}", drawn), alt=title))
        composed, number = record["composition"], record["num_images"]
        pair = composed["worst_pair"]
        worst = "" if pair is None else f", at most {plain(composed['worst'])} from s = {pair[0]:g} to t = {pair[1]:g}"
        rows = [
            ["D(x, 0) − x, RMS", measured(record["identity"])],
            ["D((x + y)/2, t) − (D(x, t) + D(y, t))/2, RMS, the largest over t", measured(record["linearity"])],
            [
                "D(D(x, s), u) − D(x, t) for the best u, as a share of D(x, t) − x",
                measured(composed["mean"]) + escape(worst),
            ],
        ]
    except (KeyError, TypeError, ValueError, IndexError):
        return missing("There is no readable properties.json yet", "properties")
    caption = (
        f"What D does to {plain(number)} test images, before noise and training; RMS a pixel, of pixels in [0, 1]. "
        "Where images stay distinct nothing is lost in principle. Improved sampling is exact, whatever R says, where "
        "no part of the displacement D(x, t) − x depends on x. Twice degraded is once degraded where D composes."
    )
    return table(["property", ""], rows, numbers=(1,)) + figure(panels, caption)


def restoration_section(workdir: Workdir, gallery: Gallery) -> str:
    """Errors of R by time, and of chains by their number of steps."""
    values = workdir.evaluate
    if not values:
        return NO_EVALUATION
    try:
        by_time, chains = values["restoration"], values["chains"]
        drawn = {
            f"restoration_{i}": time_figure(title, by_time, lines) for i, (title, lines) in enumerate(CURVES.items())
        }
        drawn["restoration_chains"] = chains_figure(chains)
        first, last = (float(by_time["restored"][i]) for i in (0, -1))
        cards = [
            card("loss", measured(values["loss"], standard_error(values, "loss")), "per pixel, all times"),
            card("error of R near x", measured(first), f"RMS a pixel at t = {by_time['times'][0]:g}"),
            card("error of R at t = 1", measured(last), f"the mean image has {plain(float(by_time['mean_image']))}"),
        ]
        objective, number = str(values["objective"]), values["num_images"]
    except (KeyError, TypeError, ValueError, IndexError):
        return missing("There are no readable restorations in evaluate.json yet", "evaluate")
    panels = [panel(gallery.save(name, each), alt=name.replace("_", " ")) for name, each in drawn.items()]
    caption = (
        f"RMS a pixel of an image, of pixels in [0, 1], averaged over {plain(number)} test images; bands and bars are "
        "± 2 standard errors. Left: R in one evaluation; dashed: the mean image. Middle: z_s − D(x, s) without "
        "the noise of z_s after one step of 1/T. Right: chains from D(x, 1) of each image, by their number of steps."
    )
    return f'<div class="cards">{"".join(cards)}</div><p>Minimised: {escape(objective)}.</p>{figure(panels, caption)}'


def time_figure(title: str, by_time: dict, lines: dict[str, str]) -> Figure:
    """Curves of evaluate.json over time."""
    times = np.array(by_time["times"], np.float64)
    drawn, axes = style.panel(title=title, xlabel="t", ylabel="RMS a pixel")
    for i, (key, label) in enumerate(lines.items()):
        style.curve(axes, times, by_time, key, colour=style.LINE_COLOURS[i], label=label)
    if "restored" in lines:
        axes.axhline(float(by_time["mean_image"]), color=style.GREY, linestyle="--", linewidth=1)
    axes.set_ylim(bottom=0)
    style.legend(axes)
    return drawn


def chains_figure(chains: dict) -> Figure:
    """The error of chains by their number of steps."""
    steps = np.array(chains["steps"], np.float64)
    drawn, axes = style.panel(title="chains from t = 1", xlabel="steps", ylabel="RMS a pixel to x")
    for i, method in enumerate(METHODS):
        mean, error = (np.array(chains[key], np.float64) for key in (method, f"{method}_standard_error"))
        look = dict(color=style.LINE_COLOURS[i], marker="o", markersize=3.5, capsize=2)
        axes.errorbar(steps, mean, 2 * error, label=method, **look)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    style.legend(axes)
    return drawn


def loss_section(workdir: Workdir, gallery: Gallery) -> str:
    """The loss over the steps, for train and validation."""
    train, validation = workdir.series("train", "loss"), workdir.series("validation", "loss")
    if not len(train[0]):
        return missing("There is no training curve in metrics.jsonl yet", "train")
    drawn, axes = style.panel(title="Loss", xlabel="step", ylabel="per pixel")
    axes.plot(*train, color=style.GREY, linewidth=1.1, label="train")
    axes.plot(*validation, color=style.BLUE, linewidth=1.8, marker="o", markersize=3.5, label="validation")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    style.legend(axes)
    what = (
        "Error of R per pixel over training steps at random times, for train batches (grey) and for validation images "
    )
    return figure(
        [panel(gallery.save("training_loss", drawn), alt="loss over training steps")],
        f"{what}with averaged weights (blue).",
    )


RESTORATION = Section("restoration", "R after D", restoration_section, run_facts)
PROPERTIES = Section("properties", "Properties of the degradation", properties_section)
RESTORATION_LOSS = Section("training", "Training", loss_section)
RESTORATION_NUMBERS = Section("other", "Raw numbers", partial(other_numbers, elsewhere=SHOWN))
