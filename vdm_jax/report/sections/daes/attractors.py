"""Attractors of denoising autoencoders: where starts end, the basins in a plane, two points, and "SVD diffusion"."""

from html import escape
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.image_figures import rows_figure
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel, table
from vdm_jax.report.primitives.measured import measured, plain
from vdm_jax.report.primitives.workdir import Workdir

NO_ATTRACTORS = missing("There is no readable attractors.json yet", "attractors")
CURVES = (  # (kind of start, measure, title)
    ("training", "own", "noised training image: returns to its own"),
    ("test", "on_image", "noised test image: ends at a training image"),
    ("noise", "closest", "noise: ends at the closest training image"),
    ("noise", "at_mean", "noise: ends at the mean image"),
)
CORNERS = (style.BLUE, style.VERMILLION, style.GREEN)
OTHERS = ("#F2B705", "#6A2C91", "#63B8F0", "#7A1010", "#F29BD0", "#1A1A1A")  # of other training images
BROKEN = (KeyError, TypeError, ValueError, AttributeError, IndexError)


def attractors_section(workdir: Workdir, gallery: Gallery) -> str:
    """Shares of starts by sigma and DAE, the number of ends, and the sigmas at which images merge."""
    record = workdir.record("attractors")
    try:
        panels = [
            panel(gallery.save(f"attractors_{kind}_{key}", share_figure(record, kind, key, title)), alt=title)
            for kind, key, title in CURVES
        ]
        rows, number = _rows(record), plain(_starts(record))
        merging = [
            [escape(name), plain(row["num_images"]), *(measured(row["merging_sigmas"][key]) for key in MERGING)]
            for name, row in record["daes"].items()
            if name.startswith("optimal")
        ]
    except BROKEN:
        return NO_ATTRACTORS
    own = record.get("settings", {}).get("attractors", {})
    caption = (
        f"Share of {number} starts by where x' = x − η(x − DAE(x)) ends, by noise level σ; the number after the name "
        f"of a DAE is that of the training images it knows. η = {own.get('eta', '—')}, at most "
        f"{own.get('max_steps', '—')} steps; an end is at an image where the root mean square of their difference is "
        f"below {own.get('on_data', '—')} a pixel, of pixels in [0, 1]. The standard error of a share p of n starts is "
        "√(p(1 − p)/n)."
    )
    of_merging = (
        "<p>Above the first σ the mean image attracts (exactly where the images are symmetric about it), above the "
        "second there is one attractor:</p>"
    )
    head = ("DAE", "starts", "σ", "at an image", "own", "closest", "at the mean", "ends", "distance", "at rest")
    merging_head = ("DAE", "images", "√λ₁ of their covariance", "largest distance to the mean")
    return (
        figure(panels, caption)
        + of_merging
        + table(merging_head, merging, numbers=(1, 2, 3))
        + table(head, rows, numbers=range(2, len(head)))
    )


MERGING = ("of_the_mean", "single")


def _starts(record: dict[str, Any]) -> int:
    rows = (row for own in record["daes"].values() for each in own["starts"].values() for row in each if row)
    return next(rows)["num_starts"]


def _rows(record: dict[str, Any]) -> list[list[str]]:
    return [
        [escape(name), escape(kind), f"{sigma:g}"]
        + [measured(row.get(key)) for key in ("on_image", "own", "closest", "at_mean", "num_ends")]
        + [measured(row["distance"], row["distance_standard_error"]), measured(row["converged"])]
        for name, own in record["daes"].items()
        for kind, found in own["starts"].items()
        for sigma, row in zip(record["sigmas"], found, strict=True)
        if row is not None
    ]


def share_figure(record: dict[str, Any], kind: str, key: str, title: str) -> Figure:
    """A share of the starts of one kind by sigma, a line for each DAE."""
    drawn, axes = style.panel(title=title, xlabel="σ", ylabel="share of starts", size=(4.8, 3.4))
    sigmas = np.array(record["sigmas"], np.float64)
    for i, (name, own) in enumerate(record["daes"].items()):
        shares = np.array([np.nan if row is None else row[key] for row in own["starts"][kind]], np.float64)
        colour, dashes = style.line_look(i)
        axes.plot(sigmas, shares, dashes, color=colour, marker="o", markersize=3, label=name)
    axes.set_xscale("log")
    axes.set_ylim(-0.03, 1.03)
    style.legend(axes)
    return drawn


def ends_section(workdir: Workdir, gallery: Gallery) -> str:
    """The images at which starts end, a row for each sigma, of the optimal and the trained DAE of all images."""
    record, arrays = workdir.record("attractors"), workdir.arrays("attractors.npz")
    try:
        names = [f"{name} {record['daes_of_subset']}" for name in ("optimal", "trained")]
        rows = [f"σ = {sigma:g}" for sigma in record["sigmas"]]
        panels = [
            panel(
                gallery.save(
                    f"ends_{name}_{kind}".replace(" ", "_"), rows_figure(arrays[f"{name}: {kind}"], row_names=rows)
                ),
                alt=f"ends of the {name} DAE from {kind}",
                label=f"{name} images, from {LABELS[kind]}",
            )
            for kind in LABELS
            for name in names
        ]
    except BROKEN:
        return NO_ATTRACTORS
    caption = (
        "Where starts end, a row for each noise level σ, a column for each start; the noise of a start has the same "
        "draw in every row. Rows without images are outside the range of σ that the DAE is trained for."
    )
    return figure(panels, caption)


LABELS = {"training": "noised training images", "test": "noised test images", "noise": "noise"}


def basins_section(workdir: Workdir, gallery: Gallery) -> str:
    """A map of a plane for each DAE and sigma: which attractor each of its points reaches."""
    record, arrays = workdir.record("attractors"), workdir.arrays("attractors.npz", "plane_places", "plane_extent")
    if record.get("settings", {}).get("attractors", {}).get("basin_grid") == 0:
        return missing("There are no basins: attractors.basin_grid is 0", "attractors")
    try:
        drawn = basins_figure(arrays, record["basin_sigmas"])
    except BROKEN:
        return NO_ATTRACTORS
    caption = (
        "Where the points of a plane through three training images (crosses) end, by DAE (rows) and noise level σ "
        "(columns). Blue, orange-red and green: at one of the three; other strong colours: at another training image; "
        "shades of grey: at no training image, one shade for each end. The boundaries at small σ are those of the "
        "closest image."
    )
    return figure([panel(gallery.save("basins", drawn), alt="basins of attraction", wide=True)], caption)


def basins_figure(arrays: dict[str, np.ndarray], sigmas: list[float]) -> Figure:
    """Rows of maps, one row a DAE, one column a sigma."""
    maps = {name.removeprefix("basins "): found for name, found in arrays.items() if name.startswith("basins ")}
    size = (1.1 + 2.2 * len(sigmas), 0.5 + 2.2 * len(maps))
    drawn = Figure(figsize=size, dpi=style.DPI, layout="constrained", facecolor="white")
    grid = drawn.subplots(len(maps), len(sigmas), squeeze=False)
    (left, low), (right, high) = arrays["plane_extent"]
    for row, (name, found) in zip(grid, maps.items(), strict=True):
        row[0].set_ylabel(name, fontsize=9.5, color=style.INK)
        for axes, sigma, each in zip(row, sigmas, found, strict=True):
            axes.imshow(basin_colours(each), origin="lower", extent=(left, right, low, high), interpolation="nearest")
            axes.scatter(*arrays["plane_places"].T, marker="x", color="white", s=30, linewidths=2.4)
            axes.scatter(*arrays["plane_places"].T, marker="x", color="black", s=24, linewidths=1.1)
            axes.set_title(f"σ = {sigma:g}" if axes in grid[0] else "", fontsize=9.5, color=style.INK)
            axes.set_xticks([])
            axes.set_yticks([])
    return drawn


def basin_colours(ends: np.ndarray) -> np.ndarray:
    """[G, G, 3]: colours of the indices 0, 1, 2 of the three images, of other images (cycling), and greys of others."""
    colours = np.zeros((*ends.shape, 3))
    for end in np.unique(ends):
        if end < 0:
            shade = 0.9 - 0.12 * ((-1 - end) % 5)
            colours[ends == end] = (shade, shade, shade)
        else:
            colours[ends == end] = to_rgb(CORNERS[end] if end < len(CORNERS) else OTHERS[end % len(OTHERS)])
    return colours


def two_points_section(workdir: Workdir, gallery: Gallery) -> str:
    """The attractor of two images by sigma, predicted and found."""
    try:
        record = workdir.record("attractors")["two_points"]
        drawn = two_points_figure(record)
        off = float(np.abs(np.array(record["found"]) - np.array(record["predicted"])).max())
        a = float(record["a"])
    except BROKEN:
        return NO_ATTRACTORS
    caption = (
        "The optimal DAE of two training images, at ±a on the line through them "
        f"(a = {a:.3g}): the start at one image ends at x*. Two attractors where σ < a; they are at ±x*, "
        f"inside ±a, and meet in the middle at σ = a (dotted). Largest difference of the two: {off:.2g} a."
    )
    return figure([panel(gallery.save("two_points", drawn), alt="the attractor of two images by noise level")], caption)


def two_points_figure(record: dict[str, Any]) -> Figure:
    """The attractor of two points over sigma, both as shares of half their distance."""
    drawn, axes = style.panel(title="Two training images", xlabel="σ / a", ylabel="x* / a", size=(4.8, 3.4))
    axes.plot(record["sigma_over_a"], record["predicted"], color=style.VERMILLION, label="x* = a tanh(a x*/σ²)")
    axes.plot(record["sigma_over_a"], record["found"], "o", color=style.BLUE, markersize=4, label="found by iteration")
    axes.axvline(1, color=style.QUIET, linewidth=0.8, linestyle=":")
    axes.set_ylim(-0.05, 1.05)
    style.legend(axes)
    return drawn


def svd_section(workdir: Workdir, gallery: Gallery) -> str:
    """Where starts end under the projection on principal components."""
    try:
        row = workdir.record("attractors")["svd"]
        cells = [
            ["components of the projection V Vᵀ", plain(row["components"])],
            ["different starts, test images", plain(row["num_starts"])],
            ["different ends", plain(row["num_ends"])],
            ["distance of the ends to the projections of the starts", measured(row["moved"])],
            ["distance of the ends to the nearest training image", measured(row["to_image"])],
            ["share of the ends at a training image", measured(row["on_image"])],
        ]
    except BROKEN:
        return NO_ATTRACTORS
    text = (
        "<p>The projection on principal components is the linear DAE as σ → 0. Every start ends at its own projection: "
        "all points of the subspace are fixed, and training images are no attractors. With σ &gt; 0 the linear DAE, V "
        "diag(λ/(λ + σ²)) Vᵀ, has one attractor, the mean image. Distances: root mean square in the model's pixels.</p>"
    )
    return text + table(("", ""), cells, numbers=(1,))


ATTRACTORS = Section("attractors", "Where starts end", attractors_section)
ENDS = Section("ends", "Images at the ends", ends_section)
BASINS = Section("basins", "Basins of attraction", basins_section)
TWO_POINTS = Section("two-points", "Two points", two_points_section)
SVD_DIFFUSION = Section("svd-diffusion", "“SVD diffusion”", svd_section)
