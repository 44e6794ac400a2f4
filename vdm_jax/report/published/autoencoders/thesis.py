"""The spaces of the thesis at 64x64: its reconstruction errors beside ours, and both by the number of latents.

The records are full/NAME-SEED. A space without a record stands in the table as "not run".
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from vdm_jax.report.compare.autoencoder_sweep import AGAINST_LATENTS, against_latents
from vdm_jax.report.compare.study import Setting
from vdm_jax.report.primitives.style import INK, QUIET, panel
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.autoencoders.records import AXES, Row
from vdm_jax.report.published.table import DASH, table

GRID = "full"
NOT_RUN = "not run"
METHODS = {  # the first part of a stem -> name
    "ae": "AE",
    "vae": "VAE",
    "beta4": "beta-VAE(4)",
    "beta10": "beta-VAE(10)",
    "beta60": "beta-VAE(60)",
    "dip1": "DIP-VAE",
    "dip2": "DIP-VAE II",
    "conv": "CONV-VAE",
    "kl": "KL-VAE",
    "vq": "VQ-VAE",
}
ERRORS: dict[str, tuple[str, ...]] = {  # stem -> its errors in tables 4.1 to 4.4; none: its name alone is in the thesis
    "vae-1024": ("24.25",),
    "conv": ("20.55",),
    "kl": ("3.65",),
    "vae-256": ("16.19", "16.17", "16.12"),
    "vae-128": ("21.18",),
    "vae-64": ("15.38",),
    "vae-16": ("52.11",),
    "vae-4": ("120.41",),
    "vae-1": ("302.81",),
    "ae-256": ("1.20",),
    "beta10-256": ("12.12",),
    "dip1-256": ("6.57",),
    **{f"{method}-{size}": () for method in ("beta10", "dip1") for size in (5, 16, 1024)},
    **{"vae-5": (), "ae-5": ()},
}


class ThesisSpace(NamedTuple):
    """A space at 64x64, of the thesis or another.

    Attributes:
        name: such as "VAE-256".
        errors: reconstruction errors of the thesis, summed over an image.
        runs: ours, one for each training seed; empty where none is published.
    """

    name: str
    errors: tuple[str, ...]
    runs: tuple[Workdir, ...]


def name_of(stem: str) -> str:
    """ "vae-256" -> "VAE-256", "conv" -> "CONV-VAE-4-16-16"."""
    method, _, size = stem.partition("-")
    return f"{METHODS.get(method, method)}-{size or '4-16-16'}"


def spaces(folder: Path) -> dict[str, ThesisSpace]:
    """The spaces of the thesis by stem, then all others that have a record."""
    runs: dict[str, list[Workdir]] = {stem: [] for stem in ERRORS}
    for path in sorted((folder / GRID).glob("*-[0-9]/evaluate.json")):
        runs.setdefault(path.parent.name.rpartition("-")[0], []).append(Workdir(path.parent))
    return {stem: ThesisSpace(name_of(stem), ERRORS.get(stem, ()), tuple(found)) for stem, found in runs.items()}


def thesis_table(folder: Path) -> str:
    """The three axes at 64x64 beside the reconstruction errors of the thesis."""

    def ours(read: Callable[[Row], str], missing: str, space: ThesisSpace) -> str:
        return read((space.name, [run.evaluate for run in space.runs])) if space.runs else missing

    columns = {
        "space": lambda space: space.name,
        "thesis: reconstruction error": lambda space: ", ".join(space.errors) or DASH,
        "ours: updates": lambda space: ", ".join(dict.fromkeys(_updates(run) for run in space.runs)) or NOT_RUN,
    }
    measured = {title: functools.partial(ours, read, DASH) for title, read in AXES.items() if title != "seeds"}
    return table(list(spaces(folder).values()), columns | measured)


def _updates(run: Workdir) -> str:
    """The number of updates that a run was trained for, from its log."""
    return f"{int(run.series('train', 'squared_error')[0].max(initial=0)):,}"


def sizes(name: str, folder: Path) -> Figure:
    """A number of the spaces by the number of latents, one line for each method. name: in `AGAINST_LATENTS`.

    Crosses are the thesis' VAEs, where it has the number.
    """
    title, unit, key, logarithmic = AGAINST_LATENTS[name]
    found = spaces(folder)
    settings = [Setting(space.name, space.runs) for space in found.values() if space.runs]
    figure = against_latents(settings, f"{title}, 64x64", unit, key, logarithmic=logarithmic)
    if figure is None:
        figure, _ = panel(title=f"{title}, 64x64: {NOT_RUN}", xlabel="number of latents", ylabel=unit)
        figure.axes[0].set_xscale("log", base=2)
    if key == "reconstruction_sum":
        axes = figure.axes[0]
        theirs = {
            int(stem[4:]): float(errors[0]) for stem, errors in ERRORS.items() if stem.startswith("vae-") and errors
        }
        axes.plot(*zip(*sorted(theirs.items()), strict=True), "x", color=INK, zorder=3)
        look = dict(ha="right", va="top", color=QUIET, fontsize=9)
        axes.text(0.98, 0.97, "×: VAEs of the thesis", transform=axes.transAxes, **look)
    return figure
