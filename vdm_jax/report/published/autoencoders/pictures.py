"""Decoded images of the variants: draws of the prior, interpolations, traversals. One row for each, seed 0."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.primitives.image_figures import rows_figure
from vdm_jax.report.primitives.style import QUIET
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.autoencoders.records import VARIANTS
from vdm_jax.report.published.autoencoders.thesis import GRID, NOT_RUN, spaces

NUM_SHOWN = 12  # images of a row
NUM_TRAVERSED = 3  # latents of a variant


def names_of(folder: Path, grid: str) -> Mapping[str, str]:
    """Stem -> name of the variants of a grid."""
    return {stem: space.name for stem, space in spaces(folder).items()} if grid == GRID else VARIANTS


def prior_samples(grid: str, folder: Path) -> Figure:
    """Decoded draws of the prior: one row for each variant whose first seed has published samples."""
    runs = _first_seeds(folder, grid, "prior")
    if not runs:
        return _empty()
    return rows_figure(np.stack([run.images("prior")[:NUM_SHOWN] for run in runs.values()]), row_names=list(runs))


def interpolations(grid: str, folder: Path) -> Figure:
    """Decodings between the codes of one pair of test images: one row for each variant."""
    runs = _first_seeds(folder, grid, "interpolations")
    if not runs:
        return _empty()
    found = [run.arrays("samples/interpolations.npz", "first", "between", "last") for run in runs.values()]
    first, last = (found[0][key].astype(np.float64) for key in ("first", "last"))
    pair = int(((first - last) ** 2).sum((1, 2, 3)).argmax())  # the two images that differ most
    return rows_figure(np.stack([each["between"][pair] for each in found]), row_names=list(runs))


def traversals(grid: str, folder: Path) -> Figure:
    """One leading latent of one test image moved over ± 2 deviations: three rows for each variant."""
    runs = _first_seeds(folder, grid, "traversals")
    if not runs:
        return _empty()
    found = {title: run.arrays("samples/traversals.npz", "traversals", "deviations") for title, run in runs.items()}
    rows = [each["traversals"][0, i] for each in found.values() for i in range(NUM_TRAVERSED)]
    names = [f"{title}: {i + 1}" for title in found for i in range(NUM_TRAVERSED)]
    columns = [f"{deviation:+.1f}" for deviation in next(iter(found.values()))["deviations"]]
    return rows_figure(np.stack(rows), row_names=names, column_names=columns)


def _first_seeds(folder: Path, grid: str, name: str) -> dict[str, Workdir]:
    """Variant -> its run of seed 0; variants without published samples `name` are left out."""
    runs = {title: folder / grid / f"{stem}-0" for stem, title in names_of(folder, grid).items()}
    return {title: Workdir(run) for title, run in runs.items() if (run / "samples" / f"{name}.npz").exists()}


def _empty() -> Figure:
    """The picture of a grid without samples."""
    figure = Figure(figsize=(4.4, 0.6), facecolor="white")
    figure.text(0.5, 0.5, NOT_RUN, ha="center", va="center", color=QUIET)
    return figure
