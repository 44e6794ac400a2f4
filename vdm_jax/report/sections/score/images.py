"""Score models of images: the error by noise level, and one network sampled in many ways."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.image_figures import rows_figure
from vdm_jax.report.primitives.markup import Gallery, figure, missing, not_applicable, panel, table
from vdm_jax.report.primitives.measured import entry, measured
from vdm_jax.report.primitives.workdir import Workdir, is_number, section_of


def levels_section(workdir: Workdir, gallery: Gallery) -> str:
    """The error of sigma times the score at each noise level, beside that of the best linear score."""
    drawn = by_level_figure(workdir.evaluate)
    if drawn is None:
        return missing("There is no error by noise level in evaluate.json yet", "evaluate")
    what = (
        "Squared error ||σ s + ε||²/D of test images against the noise level σ in y = x + σε (band: ± 2 standard "
        "errors over images), beside that of the best linear score of the training images. A score of zero has 1."
    )
    return figure([panel(gallery.save("score_levels", drawn), alt="error of the score by noise level")], what)


def by_level_figure(evaluated: Mapping[str, Any]) -> Figure | None:
    """The error at each noise level of an evaluate.json, and that of the best linear score; None without them."""
    found = evaluated.get("by_level")
    try:
        sigma, error, each, linear = (
            np.array(found[name], np.float64) for name in ("sigma", "error", "error_standard_error", "linear")
        )
    except (KeyError, TypeError, ValueError):
        return None
    drawn, axes = style.panel(title="Error of the score", xlabel="σ", ylabel="per pixel")
    axes.plot(sigma, linear, color=style.GREY, linestyle="--", label="best linear score")
    axes.plot(sigma, error, color=style.BLUE, marker="o", markersize=3.5, label="network")
    axes.fill_between(sigma, error - 2 * each, error + 2 * each, color=style.BLUE, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    style.legend(axes)
    return drawn


def samplers_section(workdir: Workdir, gallery: Gallery) -> str:
    """A row for each sampler of one network, with its distance to the data and to the reference."""
    record = workdir.record("samplers")
    rows = record.get("samplers")
    if not isinstance(rows, dict):
        if not section_of(workdir.config, "samplers").get("methods"):
            return not_applicable("No samplers were compared: config.samplers.methods is empty.")
        return missing("There is no readable samplers.json yet", "samplers")
    sprites = any("not_a_sprite" in row for row in rows.values())
    cells = []
    for name, row in rows.items():
        shown = ["frechet", "pixels", "beyond", *(["not_a_sprite"] if sprites else [])]
        title = f"{name} (reference)" if name == record.get("reference") else name
        cells.append([escape(title), str(row["evaluations"]), *(measured(*entry(row, key)[:2]) for key in shown)])
    head = [
        "sampler",
        "evaluations",
        "Fréchet distance to training images",
        "to the reference, pixels",
        "less the floor",
    ]
    head += ["no sprite"] if sprites else []
    floor = record.get("frechet") or {}
    real = (
        f" Real test images have {floor['real_vs_real_floor']:.3g}."
        if is_number(floor.get("real_vs_real_floor"))
        else ""
    )
    network = (floor.get("network") or {}).get("name")
    text = (
        f"One network sampled in several ways: {record['num_images']:,} images of each and {record['num_seeds']} "
        f"evaluation seed(s), ± one standard error over these. First distance: features of a {network or 'network'}."
        f"{real} Second: Fréchet distance of pixel values to images of {record['reference']} from other noise; its own "
        "row is the floor, the distance of two such sets. Third: the second less the floor of the same seeds."
    )
    shown = table(head, cells, numbers=range(1, len(head)))
    return f"{shown}<p>{escape(text)}</p>{_pictures(workdir, gallery, list(rows))}"


def _pictures(workdir: Workdir, gallery: Gallery, names: list[str]) -> str:
    """The first images of each sampler, one row each; "" where they are not stored."""
    arrays = workdir.arrays("samplers.npz", "images")
    if arrays is None or len(arrays["images"]) != len(names):
        return ""
    drawn = rows_figure(arrays["images"], row_names=names)
    what = "Images by each sampler; those of a column start from the same noise."
    return figure([panel(gallery.save("samplers", drawn), alt="images by each sampler")], what)


SCORE_LEVELS = Section("levels", "The score by noise level", levels_section)
SCORE_SAMPLERS = Section("samplers", "One score, many samplers", samplers_section)
