"""The figure of differences: D + R of a control, of beta 1 and of a rate target beside no code, by data and decoder."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vdm_jax.base.statistics import Difference
from vdm_jax.report.primitives import style
from vdm_jax.report.published.collapse.studies import (
    BETA1,
    CONTROL,
    CORNERS,
    DECODERS,
    DIGITS,
    LONGER,
    MNIST,
    MODES_14,
    NOT_RUN,
    SPRITES,
    SPRITES_SMALL,
    TARGET,
    Cost,
    Study,
    cost_of,
)

PANELS = {
    DIGITS: {study.place: study for study in DECODERS},
    MNIST: {"1x8": CORNERS[0], "4x16": MODES_14, "4x32": CORNERS[1], "4x16,\n12 epochs": LONGER},
    "sprites": {"768": SPRITES, "9,216": SPRITES_SMALL},
}
DRAWN = {  # name -> stems; the first that a study has
    "control code": (CONTROL,),
    "beta 1 (of sprites with a learned prior)": (BETA1, "learned_prior"),
    "rate target, learned prior": (TARGET,),
}
OFFSET = 0.2  # between the settings of a place
WIDTH = 0.55  # inches of a place


def difference_figure(folder: Path) -> Figure:
    """D + R above no code, one panel a data set. Full marks: three seeds or more, with 95% t intervals paired seed by
    seed. Open marks: fewer, with intervals over test images. Studies without records are left out."""
    panels = {data: _costs(places, folder) for data, places in PANELS.items()}
    panels = {data: costs for data, costs in panels.items() if costs}
    widths = [max(2, len(costs)) for costs in panels.values()] or [4]
    drawn = Figure(
        figsize=(max(7.4, 2.0 + WIDTH * sum(widths)), 3.9), dpi=style.DPI, layout="constrained", facecolor="white"
    )
    frames: Sequence[Axes] = drawn.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    for axes, (data, costs) in zip(frames, panels.items(), strict=False):
        _panel(axes, data, costs)
    if not panels:
        style.frame(frames[0], title=NOT_RUN, xlabel="", ylabel="")
        return drawn
    frames[0].set_ylabel("D + R above no code, nats an image")
    handles = {}
    for axes in frames:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    look = dict(frameon=False, fontsize=8.5, labelcolor=style.INK)
    drawn.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), **look)
    return drawn


def _costs(places: dict[str, Study], folder: Path) -> dict[str, dict[str, Cost]]:
    """Place -> name of what is drawn -> cost, of those that have records."""
    found = {}
    for place, study in places.items():
        each = {name: [cost_of(study, stem, folder) for stem in stems] for name, stems in DRAWN.items()}
        first = {name: next((cost for cost in costs if cost is not None), None) for name, costs in each.items()}
        found[place] = {name: cost for name, cost in first.items() if cost is not None}
    return {place: costs for place, costs in found.items() if costs}


def _panel(axes: Axes, data: str, costs: dict[str, dict[str, Cost]]) -> None:
    xlabel = "images" if data == "sprites" else "decoder, blocks x channels"
    style.frame(axes, title=data, xlabel=xlabel, ylabel="")
    axes.axhline(0, color=style.GREY, linewidth=1.0)
    for i, name in enumerate(DRAWN):
        colour, _ = style.line_look(i)
        marks = {"fmt": style.CLASS_MARKERS[i], "color": colour, "markersize": 5, "capsize": 3, "linewidth": 1.4}
        drawn = [
            (x + (i - 1) * OFFSET, of_place[name]) for x, of_place in enumerate(costs.values()) if name in of_place
        ]
        for full in (True, False):
            of_kind = [(x, cost) for x, cost in drawn if (cost.sign is not None) == full]
            if not of_kind:
                continue
            found = [cost.over_seeds if full else cost.over_images or cost.over_seeds for _, cost in of_kind]
            heights = [float(cost.over_seeds.mean) for _, cost in of_kind]
            label = name if full or len(of_kind) == len(drawn) else None
            look = {} if full else {"markerfacecolor": "white"}
            axes.errorbar(
                [x for x, _ in of_kind], heights, yerr=[_half(each) for each in found], label=label, **marks, **look
            )
    axes.set_xticks(range(len(costs)), list(costs))
    axes.set_xlim(-0.6, len(costs) - 0.4)
    axes.grid(visible=False, axis="x")


def _half(found: Difference) -> float:
    """Half of the interval; NaN where there is none."""
    return float("nan") if found.interval is None else float(found.interval[1] - found.mean)
