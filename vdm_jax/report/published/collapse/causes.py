"""The studies of `configs/collapse_causes.py` and `configs/sprites.py`: what a useless input costs, decoders of several
sizes, longer training, and data whose entropy is known. Differences are paired seed by seed."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.statistics import Difference
from vdm_jax.report.compare.paired import bound_over_images
from vdm_jax.report.compare.study import Setting
from vdm_jax.report.primitives import style
from vdm_jax.report.published.settings import NAMES
from vdm_jax.report.published.table import DASH, difference_over_seeds, each, interval, mean, setting, table, values

SEEDS = (0, 1, 2)
NONE, CONTROL, BETA1, TARGET = "unconditional", "control", "beta1", "target_learned_prior"
COMPARED = (CONTROL, BETA1, TARGET)
SIZES = tuple(f"{blocks}x{channels}" for blocks in (1, 2, 4) for channels in (8, 16, 32))
CORNERS = ("1x8", "4x32")
SPRITES = (NONE, CONTROL, "learned_prior", TARGET)
FACTORS = ("shape", "scale", "orientation", "x", "y")
LAST = 0.8  # share of a training after which its end is looked at
OFFSET = 0.2  # between the settings of a decoder in the figure
Rows = dict[str, dict[str, Setting]]  # size of the decoder -> stem of the setting -> its runs


def decoders(data: str, sizes: Sequence[str], folder: Path) -> Rows:
    """The runs `folder/data/SIZE-STEM-SEED`."""
    stems = (NONE, *COMPARED)
    return {
        size: {stem: setting(NAMES[stem], folder / data, SEEDS, f"{size}-{stem}") for stem in stems} for size in sizes
    }


def above(stem: str, other: str) -> Callable[[dict[str, Setting]], Difference]:
    """D + R of a setting minus that of another one of the same decoder."""
    return lambda found: difference_over_seeds(found[stem], found[other], "bound_nats")


def decoder_table(data: str, sizes: Sequence[str], folder: Path) -> str:
    """One row a decoder: D + R without a code, and of each setting above that."""

    def cell(stem: str, other: str) -> Callable[[tuple[str, dict[str, Setting]]], str]:
        return lambda row: interval(above(stem, other)(row[1]))

    def of(stem: str, *place: str) -> Callable[[tuple[str, dict[str, Setting]]], str]:
        return lambda row: mean(*place)(row[1][stem])

    columns = {
        "decoder, blocks x channels": lambda row: row[0],
        "no code: D + R, nats": of(NONE, "bound_nats"),
        "control above no code, nats [95% interval]": cell(CONTROL, NONE),
        "beta 1 above no code, nats [95% interval]": cell(BETA1, NONE),
        "beta 1: R, nats": of(BETA1, "encoder_kl_nats"),
        "rate target 10, learned prior, above no code, nats [95% interval]": cell(TARGET, NONE),
        "rate target above the control, nats [95% interval]": cell(TARGET, CONTROL),
        "rate target: R, nats": of(TARGET, "encoder_kl_nats"),
        "rate target: linear classifier on w, accuracy": of(TARGET, "linear_probe_accuracy"),
        "rate target above no code: ± over test images": lambda row: _over_images(row[1][TARGET], row[1][NONE]),
    }
    return table(list(decoders(data, sizes, folder).items()), columns)


def _over_images(ours: Setting, theirs: Setting) -> str:
    found = bound_over_images(ours, theirs)
    return DASH if found is None else f"{float(found.error):.2f}"


def decoder_figure(data: str, title: str, sizes: Sequence[str], folder: Path) -> Figure:
    """D + R above no code over the size of the decoder, with 95% t intervals over three paired seeds."""
    rows = decoders(data, sizes, folder)
    drawn, axes = style.panel(
        title=title, xlabel="decoder, blocks x channels", ylabel="D + R above no code, nats", size=(7.0, 3.9)
    )
    axes.axhline(0, color=style.GREY, linewidth=1.0)
    for i, stem in enumerate(COMPARED):
        found = [above(stem, NONE)(of_size) for of_size in rows.values()]
        places = np.arange(len(rows)) + (i - 1) * OFFSET
        half = [math.nan if each.interval is None else float(each.interval[1] - each.mean) for each in found]
        colour, _ = style.line_look(i)
        marks = {"fmt": style.CLASS_MARKERS[i], "color": colour, "markersize": 5, "capsize": 3, "linewidth": 1.4}
        axes.errorbar(places, [float(each.mean) for each in found], yerr=half, label=NAMES[stem], **marks)
    axes.set_xticks(range(len(rows)), list(rows))
    axes.grid(visible=False, axis="x")
    drawn.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8.5, labelcolor=style.INK)
    return drawn


def longer_table(data: str, folder: Path) -> str:
    """The settings after a long training, and how far validation still falls at its end."""
    found = {stem: setting(NAMES[stem], folder / data, SEEDS, stem) for stem in (NONE, CONTROL, TARGET)}
    none = found[NONE]
    columns = {
        "setting": lambda one: one.name,
        "D + R, nats": mean("bound_nats"),
        "above no code, nats [95% interval]": lambda one: (
            DASH if one is none else interval(difference_over_seeds(one, none, "bound_nats"))
        ),
        "± over test images": lambda one: DASH if one is none else _over_images(one, none),
        "R, nats": mean("encoder_kl_nats"),
        "I(x; w), nats, lower bound": mean("mi_lower_nats"),
        "linear classifier on w, accuracy": mean("linear_probe_accuracy"),
        "label kept, share": mean("guided_label_kept"),
        "validation D + R, fall in the last fifth of the training, nats": last_fall,
    }
    return table(list(found.values()), columns)


def last_fall(one: Setting) -> str:
    """The fall of the validation bound from `LAST` of the training to its end, for each seed."""
    falls = []
    for run in one.runs:
        steps, bounds = run.series("validation", "bound")
        falls.append(bounds[np.searchsorted(steps, LAST * steps[-1])] - bounds[-1])
    return ", ".join(f"{fall:.2f}" for fall in falls)


def sprite_table(data: str, seeds: Sequence[int], folder: Path) -> str:
    """Sprites, all of which are trained on: the distance of D + R to the entropy, and what the code holds.

    seeds: with fewer than three, each seed is listed and there are no intervals.
    """
    found = {stem: setting(NAMES[stem], folder / data, seeds, stem) for stem in SPRITES}
    none, enough = found[NONE], len(seeds) > 2

    def shown(*place: str, digits: int = 2) -> Callable[[Setting], str]:
        return mean(*place) if enough else each(*place, digits=digits)

    def over_none(one: Setting) -> str:
        if one is none:
            return DASH
        if enough:
            return interval(difference_over_seeds(one, none, "bound_nats"))
        gaps = values(one, "bound_nats") - values(none, "bound_nats")
        return ", ".join(f"{gap:.2f}" for gap in gaps)

    entropy = float(values(none, "entropy_nats")[0])
    columns = {
        "setting": lambda one: one.name,
        f"D + R above the entropy of {entropy:.2f} nats": shown("bound_minus_entropy_nats"),
        f"above no code, nats{' [95% interval]' if enough else ''}": over_none,
        "± over images": lambda one: DASH if one is none else _over_images(one, none),
        "R, nats": shown("encoder_kl_nats"),
        "I(x; w), nats, lower bound": shown("mi_lower_nats"),
        **{
            f"{name}, linear{', R²' if name in ('scale', 'orientation', 'x', 'y') else ', accuracy'}": shown(
                "readout", name, "linear", "value"
            )
            for name in FACTORS
        },
    }
    return table(list(found.values()), columns)
