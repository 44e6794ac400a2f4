"""Probes trained on chains: their scores for the end of the chain, and classifiers of chains and noised data."""

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
    "Scores on held-out chains of probes trained on z_t of the chain and the labels of its end (bands: ± 2 standard "
    "errors). Dashed: the exact posterior of noised data on the same z_t. It is an upper bound for a perfect model "
    "with a stochastic sampler; a probe above it uses a property of the sampler. Dotted: the baseline that always "
    "predicts the class that this sampler generates most often."
)
REAL_OR_GENERATED = (
    "Accuracy of classifiers that classify z_t as noised data or as part of a chain, on held-out images (bands: ± 2 "
    "standard errors): trained probes, a linear classifier of a few statistics, and boosted trees of these statistics "
    "and of statistics of the exact posterior at z_t. It is 0.5 for equal distributions."
)
DECIDED_HEAD = (
    "sampler", "steps", "feature", "95% known", "50%", "5%", "posterior: 95%", "50%", "5%", "largest gap"
)  # fmt: skip
CLASSIFIER_HEAD = ("sampler", "classifier", "largest distance from 0.5", "mean", "largest, s.e.", "mean, s.e.")
CLASSIFIERS = {"probe": "-", "statistics": "--", "posterior": "-."}  # name -> style of its line
CLASSIFIER_NAMES = {"probe": "trained probe", "statistics": "linear, statistics", "posterior": "trees, exact posterior"}


def chain_probes_section(workdir: Workdir, gallery: Gallery) -> str:
    """Panels and a table of the features, and a panel and a table of real or generated, whichever the record has."""
    record = workdir.chain_probes
    try:
        timesteps, samplers = np.array(record["timesteps"], np.float64), dict(record["samplers"])
        first = next(iter(samplers.values()))
        names = list(first.get("features", ()))
        decided = [decided_figure(name, samplers, timesteps) for name in names]
        rows = _rows(names, samplers)
        classified = "real_or_generated" in first or not names  # a record has one of the two at least
        drawn = real_or_generated_figure(samplers, timesteps) if classified else None
        distances = _classifier_rows(samplers) if classified else []
        number = f"{record['num_chains']['train']:,} training chains, {record['num_chains']['test']:,} held-out chains"
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration):
        return missing("There is no readable chain_probes.json yet", "chain_probes")
    html = f"<p>{number}.</p>"
    if names:
        pictures = [gallery.save(f"chain_probes_{i}", each) for i, each in enumerate(decided)]
        panels = [panel(each, alt=f"{name}, decided on the chain") for name, each in zip(names, pictures, strict=True)]
        html += figure(panels, DECIDED) + table(DECIDED_HEAD, rows, numbers=(1, *range(3, 10)))
    if drawn is not None:
        html += figure([panel(gallery.save("chain_probes_told", drawn), alt="real or generated")], REAL_OR_GENERATED)
        html += f"{table(CLASSIFIER_HEAD, distances, numbers=(2, 3, 4, 5))}<p>{YARDSTICK}</p>"
    return html


def decided_figure(name: str, samplers: dict[str, Any], timesteps: np.ndarray) -> Figure:
    """R² of a feature with values, else accuracy, of trained probes and of the exact posterior on the same z_t."""
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
    style.legend(axes)
    return drawn


def real_or_generated_figure(samplers: dict[str, Any], timesteps: np.ndarray) -> Figure:
    """Accuracy of real or generated over timesteps. The colour is the sampler, the line style the classifier."""
    drawn, axes = style.panel(title="real or generated", xlabel="timestep", ylabel="accuracy")
    axes.axhline(0.5, color=style.INK, linewidth=1.2)
    for (sampler, found), colour in zip(samplers.items(), cycle(style.LINE_COLOURS), strict=False):
        classified = found["real_or_generated"]
        probe = classified["probe"]
        curve = {"accuracy": probe["accuracy"], "accuracy_standard_error": probe["standard_error"]}
        style.curve(axes, timesteps, curve, "accuracy", colour=colour, label=sampler)
        for by, linestyle in CLASSIFIERS.items():
            if by != "probe" and by in classified:  # a record may lack the trees
                axes.plot(timesteps, classified[by]["accuracy"], color=colour, linestyle=linestyle, linewidth=1.0)
    for by, linestyle in CLASSIFIERS.items():
        if any(by in found["real_or_generated"] for found in samplers.values()):
            axes.plot([], [], color=style.GREY, linestyle=linestyle, label=CLASSIFIER_NAMES[by])
    axes.set_ylim(0.38, 1.03)
    style.legend(axes)
    return drawn


def _rows(names: list[str], samplers: dict[str, Any]) -> list[list[str]]:
    """Windows of the probes and of the posterior, and the largest gap between them."""
    rows = []
    for name in names:
        for sampler, found in samplers.items():
            feature = found["features"][name]
            gaps = feature["posterior_minus_probe"]
            behind = max(gaps.get("r2", gaps.get("accuracy")))
            windows = [*window_cells(feature["windows"]), *window_cells(feature["posterior_windows"])]
            rows.append([escape(sampler), f"{found['num_steps']}", escape(name), *windows, f"{behind:.3f}"])
    return rows


def _classifier_rows(samplers: dict[str, Any]) -> list[list[str]]:
    return [
        [
            escape(sampler),
            by,
            *(f"{classified['distance'][key]:.4f}" for key in ("largest", "mean")),
            *(f"{classified['distance'][key]:.1f}" for key in ("standard_errors", "mean_standard_errors")),
        ]
        for sampler, found in samplers.items()
        for by, classified in found["real_or_generated"].items()
    ]


CHAIN_PROBES = Section("chain_probes", "Probes trained on chains", chain_probes_section)
