"""Trained timestep probes compared with the exact curves."""

from html import escape
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel, table
from vdm_jax.report.primitives.windows import window_cells
from vdm_jax.report.primitives.workdir import Workdir

LOWEST = -1.0  # lowest R² of the frame


def probe_section(workdir: Workdir, gallery: Gallery) -> str:
    """A panel for each feature with its exact curve, the gap between both, and a table of both windows."""
    record = workdir.probe
    try:
        timesteps, features = np.array(record["timesteps"], np.float64), dict(record["features"])
        drawn = {f"probe_{name}": probe_figure(name, feature, timesteps) for name, feature in features.items()}
        drawn["probe_gap"] = gap_figure(features, timesteps, _shortfall(record))
        rows = [_probe_row(name, feature, record["timesteps"]) for name, feature in features.items()]
        seeds = _seeds(record)
    except (KeyError, TypeError, ValueError):
        return missing("There is no readable probe.json yet", "probe")
    panels = [panel(gallery.save(name, figure), alt=name.replace("_", " ")) for name, figure in drawn.items()]
    in_set = bool(record.get("in_set"))  # the population is the training images
    images = "training images with new noise" if in_set else "held-out images"
    held_out = (
        "Green: the same probes on held-out images, for which the exact curve is no reference: it is over the training "
        "images. "
    )
    caption = (
        f"Trained probes on {images} (orange, band: ± 2 standard errors, over the images{seeds}) and the best "
        f"possible probe (blue). {held_out if in_set else ''}"
        "The last panel is the gap to the exact curve, exact minus probe. Above the dashed "
        "line a low score is due to the probe, not to missing information in the image. Windows are ± one standard "
        "error."
    )
    head = ("feature", "95% found", "50%", "5%", "exact: 95%", "50%", "5%", "largest gap", "gap too large at")
    return figure(panels, caption) + table(head, rows, numbers=range(1, 8))


def probe_figure(name: str, feature: dict[str, Any], timesteps: np.ndarray) -> Figure:
    """R² of a feature with values, accuracy of a categorical one, of the probe and of the exact posterior if known.

    A probe worse than the prior mean has an R² below 0. The frame ends at `LOWEST`; the legend names a lower minimum.
    """
    score = "r2" if "r2" in feature["probe"] else "accuracy"
    drawn, axes = style.panel(title=name, xlabel="timestep", ylabel="R²" if score == "r2" else "accuracy")
    low = min(0.0, *feature["probe"][score])
    trained = "trained probe" if low >= LOWEST else f"trained probe, down to {low:.3g}"
    curves = (
        ("exact", "exact", style.BLUE),
        ("probe", trained, style.VERMILLION),
        ("held_out", "on held-out images", style.GREEN),
    )
    for key, label, colour in curves:
        if key in feature:
            style.curve(axes, timesteps, feature[key], score, colour=colour, label=label)
    axes.set_ylim(max(low, LOWEST) - 0.03, 1.03)
    style.legend(axes)
    return drawn


def gap_figure(features: dict[str, Any], timesteps: np.ndarray, shortfall: float) -> Figure:
    """Exact minus probe, R² or accuracy, of all features. Dashed: the limit above which a probe is flagged."""
    drawn, axes = style.panel(title="gap to the exact curve", xlabel="timestep", ylabel="score, exact minus probe")
    for (name, feature), colour in zip(features.items(), style.CLASS_COLOURS, strict=False):
        if gaps := feature.get("exact_minus_probe"):
            style.curve(axes, timesteps, gaps, "r2" if "r2" in gaps else "accuracy", colour=colour, label=name)
    axes.axhline(shortfall, color=style.INK, linestyle="--", linewidth=0.8)
    axes.axhline(0, color=style.GREY, linewidth=0.8)
    style.label_ends(axes)
    return drawn


def _shortfall(record: dict[str, Any]) -> float:
    return float(record["settings"]["probe"]["shortfall"])


def _seeds(record: dict[str, Any]) -> str:
    num = int(record["settings"]["probe"]["num_seeds"])
    return f" and {num} seeds" if num > 1 else "; one seed"


def _probe_row(name: str, feature: dict[str, Any], timesteps: list[int]) -> list[str]:
    row = _window_row(name, feature)
    if "exact" not in feature:
        return row + [""] * 5
    gaps = feature["exact_minus_probe"]
    judged = gaps.get("r2", gaps.get("accuracy"))
    short = _ranges(timesteps, feature["falls_short"])
    exact = window_cells(feature["exact_windows"], feature.get("exact_windows_standard_error"))
    return [*row, *exact, f"{max(judged):.3f}", short or "none"]


def _ranges(timesteps: list[int], chosen: list[bool]) -> str:
    """The chosen timesteps in ranges, "50, 200–350"."""
    runs: list[list[int]] = []
    for i, (t, is_chosen) in enumerate(zip(timesteps, chosen, strict=True)):
        if is_chosen and i and chosen[i - 1]:
            runs[-1][1:] = [t]
        elif is_chosen:
            runs.append([t])
    return ", ".join("–".join(map(str, run)) for run in runs)


def _window_row(name: str, feature: dict[str, Any]) -> list[str]:
    return [escape(name), *window_cells(feature["windows"], feature.get("windows_standard_error"))]


PROBE = Section("probe", "Trained probes and the exact curve", probe_section)
