"""The page of a denoising autoencoder: errors by noise level, and the rank of its Jacobian."""

from functools import partial
from html import escape
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel, table
from vdm_jax.report.primitives.measured import measured, plain
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.sections.numbers import NO_EVALUATION
from vdm_jax.report.sections.training import loss_section

COLOURS = {"trained": style.BLUE, "optimal": style.VERMILLION, "linear": style.GREEN}
SETS = {"test": "-", "train": "--"}
PLACES = {  # of Jacobians: colours
    "training image": style.BLUE,
    "noised training image": style.GREEN,
    "test image": style.ORANGE,
    "between two": style.VERMILLION,
    "noise": style.GREY,
}
MEASURES = {"kept": "directions kept (s ≥ ½)", "rank": "effective rank", "largest": "largest singular value"}
NO_JACOBIANS = missing("There is no readable jacobians.json yet", "jacobians")


def errors_section(workdir: Workdir, gallery: Gallery) -> str:
    """Squared errors of x_hat on test and training images by sigma, of the trained, the optimal and the linear DAE."""
    values = workdir.evaluate
    if not values:
        return NO_EVALUATION
    try:
        sigmas, drawn = values["sigmas"], errors_figure(values)
        rows = [
            [
                escape(f"{name}, {of} images"),
                *(measured(mse, error) for mse, error in _pairs(values["errors"][of][name])),
            ]
            for name in values["errors"]["test"]
            for of in SETS
        ]
        num, known = values["num_images"], plain(values["num_known"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return missing("There is no readable evaluate.json of a denoising autoencoder yet", "evaluate")
    caption = (
        "Squared error a pixel of DAE(x + σε), which is that of the predicted noise, over the variance of the training "
        f"images. Solid: {plain(num['test'])} test images, dashed: {plain(num['train'])} of {known} training images. "
        "The optimal DAE, a softmax over the training images, returns these themselves where σ is small. The error of "
        "leaving x as it is, σ², is dotted."
    )
    text = "<p>Squared error a pixel, ± one standard error over images:</p>"
    head = ["DAE", *(f"σ = {sigma:g}" for sigma in sigmas)]
    return (
        figure([panel(gallery.save("dae_errors", drawn), alt="errors of denoising by noise level")], caption)
        + text
        + table(head, rows, numbers=range(1, len(head)))
    )


def _pairs(row: dict[str, Any]) -> list[tuple[Any, Any]]:
    return list(zip(row["mse"], row["mse_standard_error"], strict=True))


def errors_figure(values: dict[str, Any]) -> Figure:
    """Errors over the variance of the images by sigma, both logarithmic."""
    title, up = "Error of x̂ by noise level", "squared error / variance"
    drawn, axes = style.panel(title=title, xlabel="σ", ylabel=up, size=(5.8, 3.9))
    sigmas, variance = np.array(values["sigmas"], np.float64), float(values["variance"])
    for of, dashes in SETS.items():
        for name, row in values["errors"][of].items():
            mse = np.array(row["mse"], np.float64) / variance  # None becomes nan
            label = f"{name}, {of}" if of == "test" else None
            axes.plot(sigmas, np.maximum(mse, 1e-6), dashes, color=COLOURS.get(name, style.GREY), label=label)
    axes.plot(sigmas, sigmas**2 / variance, ":", color=style.QUIET, linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(1e-4, 3)
    style.legend(axes)
    return drawn


def jacobians_section(workdir: Workdir, gallery: Gallery) -> str:
    """The rank of the Jacobian of each DAE by sigma, at images and away from them; mean singular values."""
    record = workdir.record("jacobians")
    try:
        names = list(record["daes"])
        panels = [
            panel(gallery.save(f"jacobian_{name}_{key}", rank_figure(record, name, key)), alt=f"{key} of {name}")
            for key in ("kept", "largest")
            for name in names
        ]
        points, dims = plain(record["num_points"]), plain(record["num_dims"])
        rows = _jacobian_rows(record)
    except (KeyError, TypeError, ValueError, AttributeError):
        return NO_JACOBIANS
    caption = (
        f"The Jacobian of DAE(x) by noise level σ, mean of {points} points of each kind ± one standard error; images "
        f"have {dims} values. A direction is kept where its singular value is at least ½. Of the optimal DAE the "
        "Jacobian is Cov[xᵢ | x]/σ², of the linear one λ/(λ + σ²) at every x. A fixed point attracts where all are "
        "below 1."
    )
    head = ("DAE", "at", "σ", *MEASURES.values(), "‖J − Jᵀ‖/‖J + Jᵀ‖")
    return figure(panels, caption) + table(head, rows, numbers=range(2, len(head)))


def _jacobian_rows(record: dict[str, Any]) -> list[list[str]]:
    return [
        [escape(name), escape(place), f"{sigma:g}"]
        + [measured(row[key], row[f"{key}_standard_error"]) for key in (*MEASURES, "skew")]
        for name, places in record["daes"].items()
        for place, found in places.items()
        for sigma, row in zip(record["sigmas"], found, strict=True)
        if row is not None
    ]


def rank_figure(record: dict[str, Any], name: str, key: str) -> Figure:
    """One measure of the Jacobians of one DAE by sigma, a line for each kind of place."""
    drawn, axes = style.panel(title=name, xlabel="σ", ylabel=MEASURES[key], size=(3.7, 3.2))
    sigmas = np.array(record["sigmas"], np.float64)
    for place, colour in PLACES.items():
        found = record["daes"][name][place]
        mean, error = (
            np.array([np.nan if row is None else row[part] for row in found], np.float64)
            for part in (key, f"{key}_standard_error")
        )
        axes.errorbar(sigmas, mean, error, color=colour, label=place, linewidth=1.4, capsize=2)
    axes.set_xscale("log")
    if key == "largest":
        axes.set_yscale("log")
        axes.set_ylim(bottom=1e-2)
        axes.axhline(1, color=style.QUIET, linewidth=0.8, linestyle=":")
    style.legend(axes)
    return drawn


OF_GAUSSIAN = "Squared error of x̂ per pixel, over that of the best DAE of a Gaussian with equal variances,"
DAE_LOSS = Section("training", "Training", partial(loss_section, what=OF_GAUSSIAN, of_zero="That DAE"))
DAE_ERRORS = Section("dae-errors", "Errors by noise level", errors_section)
JACOBIANS = Section("jacobians", "Rank of the Jacobian", jacobians_section)
