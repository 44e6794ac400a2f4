"""The mixture of two Gaussians: true and learned scores, where they are wrong, where chains end, how modes mix."""

from html import escape
from typing import Any

import numpy as np

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
    axis, panels = arrays["axis"], []
    drawn = field_figure(axis, arrays["density_exact"], arrays["true_exact"], title="True score")
    panels.append(panel(gallery.save("mixture_true", drawn), alt="density and true score"))
    for name in MAPS:
        drawn = field_figure(axis, arrays[f"density_{name}"], arrays[f"score_{name}"], title=OBJECTIVES[name])
        panels.append(panel(gallery.save(f"mixture_{name}", drawn), alt=f"learned score, {OBJECTIVES[name]}"))
    errors = {name: np.sum((arrays[f"score_{name}"] - arrays[f"true_{name}"]) ** 2, axis=1) for name in MAPS}
    logs = np.log10(np.maximum(np.concatenate(list(errors.values())), 1e-9))
    limits = (float(np.floor(np.quantile(logs, 0.02))), float(np.ceil(np.quantile(logs, 0.98))))
    maps = []
    for name, error in errors.items():
        drawn = error_map(axis, error, arrays[f"density_{name}"], title=OBJECTIVES[name], limits=limits)
        maps.append(panel(gallery.save(f"mixture_error_{name}", drawn), alt=f"error map, {OBJECTIVES[name]}"))
    seeds = record.get("num_seeds")
    fields = (
        "The density of two Gaussians (blue) and arrows of the score, each of the root of its length: in closed form, "
        "and learned by three objectives. The network with noise levels is shown at its smallest level."
    )
    wrong = (
        "Squared error ||ŝ − s||² of the learned score in the square, of the first seed. White lines: 1% and 30% of "
        "the highest density."
    )
    return (
        f"{_error_table(record)}<p>Σ w ||ŝ − s||² / Σ w ||s||² over a grid in the square, w the density or 1; 1 is the "
        f"error of a score of zero. Mean ± one standard error over {seeds} seed(s) of the training. Each score is "
        f"compared with the one that its objective aims at.</p>{figure(panels, fields)}{figure(maps, wrong)}"
        f"{_by_level(record, gallery)}"
    )


def _error_table(record: dict[str, Any]) -> str:
    rows = []
    for name, title in OBJECTIVES.items():
        cells = [measured(*entry(record, "errors", name, each)[:2]) for each in ("weighted", "unweighted")]
        sigma = record["errors"].get(name, {}).get("sigma")
        rows.append([escape(title), f"{sigma:g}", *cells])
    head = ["objective", "σ of the data", "error, by density", "error, over the square"]
    return table(head, rows, numbers=(1, 2, 3))


def _by_level(record: dict[str, Any], gallery: Gallery) -> str:
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
    what = (
        "Relative squared error of the network with noise levels at each of them. At large σ the noisy data fill the "
        "square, and the score is right everywhere; at small σ it is right near the data."
    )
    return figure([panel(gallery.save("mixture_levels", drawn), alt="error by noise level")], what)


def chains_section(workdir: Workdir, gallery: Gallery) -> str:
    """Where Langevin dynamics starts and ends, with and without noise levels, and how modes mix."""
    record, arrays = workdir.record("mixture"), workdir.arrays("mixture.npz", "axis", "start", *CHAINS)
    if not record or arrays is None:
        return NONE
    axis, density = arrays["axis"], arrays["density_exact"]
    drawn = points_figure(axis, density, arrays["start"], _side(arrays["start"]), title="uniform start")
    panels = [panel(gallery.save("mixture_start", drawn), alt="starts of chains")]
    for name, title in CHAINS.items():
        drawn = points_figure(axis, density, arrays[name], _side(arrays[name]), title=title)
        panels.append(panel(gallery.save(f"mixture_{name}", drawn), alt=f"ends of chains, {title}"))
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


def _side(points: np.ndarray) -> np.ndarray:
    return (points.sum(axis=1) > 0).astype(float)


def _mixing(record: dict[str, Any], gallery: Gallery) -> str:
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
    what = (
        "Chains with the true score, all started in the smaller of two Gaussians of variance 1, by the distance of "
        f"their means; n = {record['num_chains']:,}. Black: the share in equilibrium."
    )
    return figure([panel(gallery.save("mixture_mixing", drawn), alt="share in the larger mode by steps")], what)


SCORE_ERRORS = Section("mixture", "A mixture of Gaussians: where a learned score is wrong", errors_section)
SCORE_CHAINS = Section("mixture-chains", "Where Langevin dynamics ends", chains_section)
