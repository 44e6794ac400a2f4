"""The section of probes trained on chains: what they know of the chain's end, and whether they tell it from data."""

from html import escape
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel, table
from vdm_jax.report.primitives.windows import window_cells
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.sections.chains import YARDSTICK

DECIDED = (
    "Probes trained on z_t of the chain and the labels of its end, on chains that they have not seen (bands: ± 2 "
    "standard errors). Dashed: the exact posterior of noised data, shown the same z_t; for a perfect model with a "
    "stochastic sampler it cannot be beaten. A probe above it has found what the sampler, not the noise, put there. "
    "Dotted: who always names what this sampler makes most of."
)
TOLD = (
    "Noised data told from z_t of the chain, each classifier on what it was not fitted to: trained probes, a linear "
    "one of a few statistics, boosted trees that are shown what the exact posterior of noised data sees in z_t too; "
    "one half where the two are distributed alike."
)
DECIDED_HEAD = (
    "sampler", "steps", "feature", "95% known", "50%", "5%", "posterior: 95%", "50%", "5%", "probe behind by"
)  # fmt: skip
TOLD_HEAD = ("sampler", "told by", "largest from one half", "mean", "largest, s.e.", "mean, s.e.")
CLASSIFIERS = {"probe": "-", "statistics": "--", "posterior": "-."}  # with the lines they are drawn with
WHAT_THEY_ARE = {"probe": "trained probe", "statistics": "linear, statistics", "posterior": "trees, exact posterior"}


def chain_probes_section(workdir: Workdir, gallery: Gallery) -> str:
    """A panel a feature with a table, one for real or generated with another: whichever was asked for."""
    record = workdir.chain_probes
    try:
        timesteps, samplers = np.array(record["timesteps"], np.float64), dict(record["samplers"])
        there = next(iter(samplers.values()))
        names = list(there.get("features", ()))
        decided = [decided_figure(name, samplers, timesteps) for name in names]
        rows = _rows(names, samplers)
        asked = "real_or_generated" in there or not names  # a record holds one of the two at least
        told, far = (told_figure(samplers, timesteps), _told_rows(samplers)) if asked else (None, [])
        number = (
            f"{record['num_chains']['train']:,} chains to learn from, {record['num_chains']['test']:,} to be scored"
        )
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration):
        return missing("There is no readable chain_probes.json yet", "chain_probes")
    html = f"<p>{number}.</p>"
    if names:
        pictures = [gallery.save(f"chain_probes_{i}", drawn) for i, drawn in enumerate(decided)]
        panels = [panel(each, alt=f"{name}, decided on the chain") for name, each in zip(names, pictures, strict=True)]
        html += figure(panels, DECIDED) + table(DECIDED_HEAD, rows, numbers=(1, *range(3, 10)))
    if told is not None:
        html += figure([panel(gallery.save("chain_probes_told", told), alt="real or generated")], TOLD)
        html += f"{table(TOLD_HEAD, far, numbers=(2, 3, 4, 5))}<p>{YARDSTICK}</p>"
    return html


def decided_figure(name: str, samplers: dict[str, Any], timesteps: np.ndarray) -> Figure:
    """R² of a feature with values, else accuracy: of trained probes, and of the exact posterior on the same z_t."""
    score = "r2" if "r2" in next(iter(samplers.values()))["features"][name]["probe"] else "accuracy"
    label = "R²" if score == "r2" else "accuracy"
    drawn, axes = style.panel(title=f"{name}: learned from chains", xlabel="timestep", ylabel=label)
    lowest = 0.0
    for (sampler, found), colour in zip(samplers.items(), cycle(style.LINE_COLOURS), strict=False):
        feature = found["features"][name]
        style.curve(axes, timesteps, feature["probe"], score, colour=colour, label=sampler)
        axes.plot(timesteps, feature["posterior"][score], color=colour, linestyle="--", linewidth=1.0)
        if score == "accuracy":
            axes.axhline(feature["plateau"], color=colour, linewidth=1.0, linestyle=":")
        lowest = min(lowest, *feature["posterior"][score], *feature["probe"][score])
    axes.set_ylim(max(lowest, -1.0) - 0.03, 1.03)
    style.legend(axes, loc="lower left")
    return drawn


def told_figure(samplers: dict[str, Any], timesteps: np.ndarray) -> Figure:
    """Accuracy of real or generated, a colour a sampler and a line a classifier."""
    drawn, axes = style.panel(title="real or generated", xlabel="timestep", ylabel="accuracy")
    axes.axhline(0.5, color=style.INK, linewidth=1.2)
    for (sampler, found), colour in zip(samplers.items(), cycle(style.LINE_COLOURS), strict=False):
        told = found["real_or_generated"]
        curve = {"accuracy": told["probe"]["accuracy"], "accuracy_standard_error": told["probe"]["standard_error"]}
        style.curve(axes, timesteps, curve, "accuracy", colour=colour, label=sampler)
        for by, linestyle in CLASSIFIERS.items():
            if by != "probe" and by in told:  # without trees there are fewer
                axes.plot(timesteps, told[by]["accuracy"], color=colour, linestyle=linestyle, linewidth=1.0)
    for by, linestyle in CLASSIFIERS.items():
        if any(by in found["real_or_generated"] for found in samplers.values()):
            axes.plot([], [], color=style.GREY, linestyle=linestyle, label=WHAT_THEY_ARE[by])
    axes.set_ylim(0.38, 1.03)
    style.legend(axes, loc="upper right")
    return drawn


def _rows(names: list[str], samplers: dict[str, Any]) -> list[list[str]]:
    """Windows of the probes and of the posterior, and by how much the probe is behind it at most."""
    rows = []
    for name in names:
        for sampler, found in samplers.items():
            feature = found["features"][name]
            gaps = feature["posterior_minus_probe"]
            behind = max(gaps.get("r2", gaps.get("accuracy")))
            windows = [*window_cells(feature["windows"]), *window_cells(feature["posterior_windows"])]
            rows.append([escape(sampler), f"{found['num_steps']}", escape(name), *windows, f"{behind:.3f}"])
    return rows


def _told_rows(samplers: dict[str, Any]) -> list[list[str]]:
    return [
        [
            escape(sampler),
            by,
            *(f"{told['distance'][key]:.4f}" for key in ("largest", "mean")),
            *(f"{told['distance'][key]:.1f}" for key in ("standard_errors", "mean_standard_errors")),
        ]
        for sampler, found in samplers.items()
        for by, told in found["real_or_generated"].items()
    ]


CHAIN_PROBES = Section("chain_probes", "Probes trained on chains", chain_probes_section)
