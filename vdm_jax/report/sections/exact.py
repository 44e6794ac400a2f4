"""Exact curves and windows of every feature."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel
from vdm_jax.report.primitives.workdir import Workdir


def exact_section(workdir: Workdir, gallery: Gallery) -> str:
    """A panel for each feature: its exact curve and its window."""
    record = workdir.exact
    try:
        timesteps, features = np.array(record["timesteps"], np.float64), dict(record["features"])
        drawn = {name: exact_figure(name, feature, timesteps) for name, feature in features.items()}
    except (KeyError, TypeError, ValueError):
        return missing("There is no readable exact.json yet", "exact")
    panels = [panel(gallery.save(f"exact_{name}", drawn[name]), alt=f"exact curves of {name}") for name in drawn]
    queries = record.get("num_queries") or [0]
    of_sprites = record.get("settings", {}).get("data", {}).get("source", "sprites") in ("sprites", "dsprites")
    images = "all images of the data set" if of_sprites else "the training images, from which the queries are made"
    caption = (
        f"Score of the best possible probe of each feature of {noisy(record)}, by the exact posterior over {images} "
        f"(band: ± 2 standard errors; {min(queries):,} to {max(queries):,} queries a timestep). Grey: "
        "the window from the timestep with 95% of the feature's information remaining to the one with 5%."
    )
    return figure(panels, caption)


def noisy(record: dict[str, Any]) -> str:
    """What is noised: the image, or its latents in a space."""
    space = record.get("space")
    if not space:
        return "the noisy image"
    code = "drawn" if space["sampled"] else "mean"
    shape = "x".join(map(str, space["shape"]))
    return f"noisy {code} latents in the space {space['name']} ({shape}, scale {space['scale']})"


def exact_figure(name: str, feature: dict[str, Any], timesteps: np.ndarray) -> Figure:
    """R² of a feature with values; accuracy and the share kept of a categorical feature."""
    curves = {key: np.array(values, np.float64) for key, values in feature["exact"].items()}
    shown = {"r2": ("R² of the best probe", style.BLUE)}
    if "r2" not in curves:
        shown = {
            "accuracy": ("accuracy of the best probe", style.BLUE),
            "retention": ("kept when noised to t and sampled back", style.VERMILLION),
        }
    drawn, axes = style.panel(title=name, xlabel="timestep", ylabel="R²" if "r2" in curves else "probability")
    for key, (label, colour) in shown.items():
        error = 2 * curves[f"{key}_standard_error"]
        axes.plot(timesteps, curves[key], color=colour, label=label)
        axes.fill_between(timesteps, curves[key] - error, curves[key] + error, color=colour, alpha=0.2, linewidth=0)
    window = [time for time in feature["windows"].values() if time is not None]
    if len(window) > 1:
        axes.axvspan(min(window), max(window), color=style.GREY, alpha=0.15, linewidth=0)
    axes.set_ylim(-0.03, 1.03)
    style.legend(axes)
    return drawn


EXACT = Section("exact", "When features are destroyed", exact_section)
