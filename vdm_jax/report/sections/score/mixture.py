"""The mixture of two Gaussians: true and learned scores, where they are wrong, where chains end, how modes mix."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel, table
from vdm_jax.report.primitives.measured import entry, measured
from vdm_jax.report.primitives.vector_fields import error_map, field_figure, points_figure
from vdm_jax.report.primitives.workdir import Workdir

NONE = missing("There is no readable mixture.json with mixture.npz yet", "mixture")
OBJECTIVES = {
    "exact": "exact, no noise",
    "sliced": "sliced, no noise",
    "denoising": "denoising at one level",
    "levels": "all levels, at the smallest",
}
MAPS = ("exact", "denoising", "levels")
DECADES = 6.0  # of the colours of a weighted map
CHAINS = {
    "end_true_uniform": "true score, uniform start",
    "end_true_annealed": "true score, annealed",
    "end_learned_uniform": "learned score, uniform start",
    "end_learned_annealed": "learned score, annealed",
}


def errors_section(workdir: Workdir, gallery: Gallery) -> str:
    """The table of errors, score fields, error maps, and the error by noise level."""
    record, arrays = workdir.record("mixture"), workdir.arrays("mixture.npz", "axis", "true_exact", "score_levels")
    if not record or arrays is None:
        return NONE
    panels = [panel(gallery.save("mixture_true", true_figure(arrays)), alt="density and true score")]
    maps, weighted = [], []
    for name in MAPS:
        drawn = gallery.save(f"mixture_{name}", learned_figure(arrays, name))
        panels.append(panel(drawn, alt=f"learned score, {OBJECTIVES[name]}"))
        drawn = gallery.save(f"mixture_error_{name}", map_figure(arrays, name))
        maps.append(panel(drawn, alt=f"error map, {OBJECTIVES[name]}"))
        drawn = gallery.save(f"mixture_weighted_{name}", map_figure(arrays, name, weighted=True))
        weighted.append(panel(drawn, alt=f"error map weighted by density, {OBJECTIVES[name]}"))
    seeds = record.get("num_seeds")
    fields = (
        "The density of two Gaussians (blue) and arrows of the score, each of the root of its length: in closed form, "
        "and learned by three objectives. The network with noise levels is shown at its smallest level."
    )
    wrong = (
        "Squared error ||ŝ − s||² of the learned score in the square, of the first seed. White lines: 1% and 30% of "
        "the highest density."
    )
    where_data_are = "The same times the density, as a share of the highest: what the error by density sums."
    return (
        f"{_error_table(record)}<p>Σ w ||ŝ − s||² / Σ w ||s||² over a grid in the square, w the density or 1; 1 is the "
        f"error of a score of zero. Mean ± one standard error over {seeds} seed(s) of the training. Each score is "
        f"compared with the one that its objective aims at.</p>{figure(panels, fields)}{figure(maps, wrong)}"
        f"{figure(weighted, where_data_are)}{_by_level(record, gallery)}"
    )


def true_figure(arrays: Mapping[str, np.ndarray]) -> Figure:
    """The density and its score, of the arrays of mixture.npz."""
    return field_figure(arrays["axis"], arrays["density_exact"], arrays["true_exact"], title="True score")


def learned_figure(arrays: Mapping[str, np.ndarray], name: str) -> Figure:
    """The density that an objective sees, and the score that it learned."""
    return field_figure(arrays["axis"], arrays[f"density_{name}"], arrays[f"score_{name}"], title=OBJECTIVES[name])


def map_figure(arrays: Mapping[str, np.ndarray], name: str, weighted: bool = False) -> Figure:
    """The squared error of the score that an objective learned, in the colours of all.

    weighted: times the density, as a share of the highest; the colours span `DECADES` below the largest.
    """
    errors = {each: np.sum((arrays[f"score_{each}"] - arrays[f"true_{each}"]) ** 2, axis=1) for each in MAPS}
    if weighted:
        errors = {each: values * _share_of_highest(arrays[f"density_{each}"]) for each, values in errors.items()}
    logs = np.log10(np.maximum(np.concatenate(list(errors.values())), 1e-9))
    high = float(np.ceil(np.quantile(logs, 0.98)))
    low = high - DECADES if weighted else float(np.floor(np.quantile(logs, 0.02)))
    title = OBJECTIVES[name] + (", by density" if weighted else "")
    return error_map(arrays["axis"], errors[name], arrays[f"density_{name}"], title=title, limits=(low, high))


def _share_of_highest(density: np.ndarray) -> np.ndarray:
    return density / density.max()


def _error_table(record: dict[str, Any]) -> str:
    rows = []
    for name, title in OBJECTIVES.items():
        cells = [measured(*entry(record, "errors", name, each)[:2]) for each in ("weighted", "unweighted")]
        sigma = record["errors"].get(name, {}).get("sigma")
        rows.append([escape(title), f"{sigma:g}", *cells])
    head = ["objective", "σ of the data", "error, by density", "error, over the square"]
    return table(head, rows, numbers=(1, 2, 3))


def _by_level(record: dict[str, Any], gallery: Gallery) -> str:
    what = (
        "Relative squared error of the network with noise levels at each of them. At large σ the noisy data fill the "
        "square, and the score is right everywhere; at small σ it is right near the data."
    )
    return figure([panel(gallery.save("mixture_levels", levels_figure(record)), alt="error by noise level")], what)


def levels_figure(record: Mapping[str, Any]) -> Figure:
    """The error of the network with noise levels at each of them."""
    levels = record["levels"]
    drawn, axes = style.panel(title="Error by noise level", xlabel="σ", ylabel="relative squared error")
    for weighting, colour, label in (
        ("unweighted", style.VERMILLION, "over the square"),
        ("weighted", style.BLUE, "by density"),
    ):
        values = np.array([each["value"] for each in levels[weighting]], np.float64)
        axes.plot(levels["sigmas"], values, color=colour, marker="o", markersize=3.5, label=label)
    plain = record["errors"]["exact"]["unweighted"]["value"]
    axes.axhline(plain, color=style.GREY, linestyle="--", label="no noise levels, over the square")
    axes.set_xscale("log")
    axes.set_yscale("log")
    style.legend(axes)
    return drawn


def chains_section(workdir: Workdir, gallery: Gallery) -> str:
    """Where Langevin dynamics starts and ends, with and without noise levels, and how modes mix."""
    record, arrays = workdir.record("mixture"), workdir.arrays("mixture.npz", "axis", "start", *CHAINS)
    if not record or arrays is None:
        return NONE
    panels = [panel(gallery.save("mixture_start", ends_figure(arrays, "start")), alt="starts of chains")]
    for name, title in CHAINS.items():
        drawn = gallery.save(f"mixture_{name}", ends_figure(arrays, name))
        panels.append(panel(drawn, alt=f"ends of chains, {title}"))
    settings = record["settings"]["mixture"]
    what = (
        f"Chains over the density (grey), blue where they are nearer to the larger mode. Plain Langevin dynamics: "
        f"{settings['langevin_steps']:,} steps of size {settings['step_size']:g}; annealed: "
        f"{settings['annealed_steps']} steps of {settings['ratio']:g} σ² at each of {settings['num_levels']} levels."
    )
    rows = []
    for name, row in record["langevin"].items():
        cells = [measured(*entry(row, each)[:2]) for each in ("started_large", "large", "moved", "outside")]
        rows.append([escape(name), *cells])
    head = ["chains", "started at the larger mode", "end there", "changed the mode", "outside of both"]
    text = (
        f"Shares of {record['num_chains']:,} chains; in the data {record['weight_of_large']:g} belong to the larger "
        "mode. ± one standard error: over chains for the true score, over several seeds for learned ones. Outside: "
        "further than 4 standard deviations from both modes."
    )
    shares = table(head, rows, numbers=(1, 2, 3, 4))
    return f"{shares}<p>{escape(text)}</p>{figure(panels, what)}{_mixing(record, gallery)}"


def ends_figure(arrays: Mapping[str, np.ndarray], name: str) -> Figure:
    """Where chains are, over the density: "start", or one of `CHAINS`."""
    points = arrays[name]
    side = (points.sum(axis=1) > 0).astype(float)
    title = CHAINS.get(name, "uniform start")
    return points_figure(arrays["axis"], arrays["density_exact"], points, side, title=title)


def _mixing(record: dict[str, Any], gallery: Gallery) -> str:
    what = (
        "Chains with the true score, all started in the smaller of two Gaussians of variance 1, by the distance of "
        f"their means; n = {record['num_chains']:,}. Black: the share in equilibrium."
    )
    drawn = gallery.save("mixture_mixing", mixing_figure(record))
    return figure([panel(drawn, alt="share in the larger mode by steps")], what)


def mixing_figure(record: Mapping[str, Any]) -> Figure:
    """The share of chains in the larger mode by step, a line for each distance of the modes."""
    mixing = record["mixing"]
    drawn, axes = style.panel(title="Mixing of the modes", xlabel="Langevin steps", ylabel="share in the larger mode")
    for i, (separation, share) in enumerate(zip(mixing["separations"], mixing["share"], strict=True)):
        colour, dashes = style.line_look(i)
        axes.plot(mixing["steps"], share, color=colour, linestyle=dashes, label=f"distance {separation:g}")
    axes.plot(
        mixing["steps"][-1:] * len(mixing["at_rest"]), mixing["at_rest"], "k_", markersize=9, label="in equilibrium"
    )
    axes.set_ylim(-0.03, 1.03)
    style.legend(axes)
    return drawn


SCORE_ERRORS = Section("mixture", "A mixture of Gaussians: where a learned score is wrong", errors_section)
SCORE_CHAINS = Section("mixture-chains", "Where Langevin dynamics ends", chains_section)
