"""Tables of the spaces at 32x32: the three axes, paired differences, readouts, scores of disentanglement."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from vdm_jax.base.statistics import mean_and_error, paired_difference
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.autoencoders.records import (
    AXES,
    HOLES,
    INTERPOLATIONS,
    PRIOR,
    VARIANTS,
    Row,
    cell,
    number_at,
    rows_of,
)
from vdm_jax.report.published.table import interval, number, table

BETAS = ("0.04", "0.1", "0.3", "0.6")  # weights of the rate below 1
FACTORS = ("shape", "orientation", "scale", "x", "y")
PAIRS = (  # of variants whose difference is published
    ("vae-16", "ae-16"),
    ("beta4-16", "vae-16"),
    ("beta10-16", "beta4-16"),
    ("dip1-16", "vae-16"),
    ("beta10-16", "dip1-16"),
    ("dip2-16", "vae-16"),
    ("conv", "vae-16"),
    ("kl", "vae-16"),
    ("vq", "vae-16"),
)
OF_STRUCTURE = tuple((stem, "vae-256") for stem in ("conv", "kl", "vq"))  # of 256 latents each
SIZES = {f"vae-{size}": f"VAE, {size}" for size in (1, 4, 16, 64, 256)}  # as `VARIANTS`
OF_SIZES = tuple((stem, "vae-16") for stem in SIZES if stem != "vae-16")
BASELINES = {  # title -> the variant whose records hold it, and its name there
    "raw pixels": ("ae-16", "pixels"),
    "16 principal components": ("ae-16", "pca"),
    "256 principal components": ("conv", "pca"),
    "untrained encoder of the AE": ("ae-16", "untrained"),
    "untrained encoder of the CONV-VAE": ("conv", "untrained"),
    "untrained encoder of the KL-VAE": ("kl", "untrained"),
}
LENGTHS = (250, 500, 1_000, 2_000, 3_000)  # updates
OF_LENGTHS = ("vae-16", "beta4-16", "beta10-16", "dip1-16", "dip2-16")
KUMAR_COLUMNS = ("Kumar et al.: Z-diff", "their SAP", "their reconstruction error")
KUMAR = {  # Kumar et al. (2018), 2D shapes of 64x64
    "VAE": ("0.813", "0.0417", "0.0017"),
    "beta-VAE, 4": ("0.807", "0.0811", "0.0032"),
    "beta-VAE, 60": ("0.957", "0.5503", "0.0113"),
    "DIP-VAE I, 10": ("0.987", "0.1889", "0.0018"),
    "DIP-VAE II, 5": ("0.953", "0.2188", "0.0023"),
}


def main_table(grid: str, folder: Path, variants: Mapping[str, str] = VARIANTS) -> str:
    """The three axes: reconstruction, the bound, samples and the space between images."""
    return table(rows_of(folder, grid, variants), {"variant": lambda row: row[0]} | AXES)


def beta_table(folder: Path) -> str:
    """Weights of the rate below 1: the error of the VAE, and what part it is of that at beta 1."""
    ones = [(name, records) for name, records in rows_of(folder, "small") if name == VARIANTS["vae-16"]]
    rows = rows_of(folder, "betas", {f"beta={beta}": beta for beta in BETAS})

    def share(row: Row) -> str:
        errors = ([record["reconstruction_sum"] for record in records] for records in (row[1], ones[0][1]))
        found = mean_and_error(np.divide(*errors), "seeds")
        return number(float(found.mean), float(found.error))

    columns = {"beta": lambda row: row[0], "seeds": AXES["seeds"], "error, as a part of that of beta 1": share}
    return table(rows, columns | {title: read for title, read in AXES.items() if title != "seeds"})


def length_table(folder: Path) -> str:
    """The error on validation images as training goes on, mean and error over seeds."""

    def after(step: int, stem: str) -> str:
        runs = [Workdir(path) for path in sorted((folder / "small").glob(f"{stem}-[0-9]"))]
        curves = [dict(zip(*run.series("validation", "squared_error_of_mean"), strict=True)) for run in runs]
        found = mean_and_error(np.array([curve[step] for curve in curves]), "seeds")
        return number(float(found.mean), float(found.error))

    columns = {"variant": lambda stem: VARIANTS[stem]}
    return table(OF_LENGTHS, columns | {f"{step:,} updates": functools.partial(after, step) for step in LENGTHS})


def difference_table(
    folder: Path, pairs: Sequence[tuple[str, str]] = PAIRS, names: Mapping[str, str] = VARIANTS
) -> str:
    """Differences of variants in reconstruction error, prior samples and the space between images, paired by seed.

    Pairs of which a record is missing are left out.
    """
    records = dict(rows_of(folder, "small", {stem: stem for pair in pairs for stem in pair}))
    numbers = {
        "reconstruction error": "reconstruction_sum",
        "prior samples near a sprite, share": PRIOR,
        "midpoints near no sprite, share": HOLES,
        "steps of interpolations near no sprite, share": INTERPOLATIONS,
    }

    def cell_of(key: str) -> Callable[[tuple[str, str]], str]:
        def text(pair: tuple[str, str]) -> str:
            ours, theirs = (
                np.array([number_at(record, (key,))[0] for record in records[stem]], np.float64) for stem in pair
            )
            return interval(paired_difference(ours, theirs, "seeds"))

        return text

    columns = {"difference": lambda pair: " minus ".join(names[stem] for stem in pair)}
    there = [pair for pair in pairs if records.keys() >= set(pair)]
    return table(there, columns | {title: cell_of(key) for title, key in numbers.items()})


def readout_table(grid: str, folder: Path) -> str:
    """Linear and MLP readouts of every factor, then of `BASELINES`."""
    rows = rows_of(folder, grid)
    columns = {"representation": lambda row: row[0]} | {
        f"{factor}, {'accuracy' if factor == 'shape' else 'R²'}: linear; MLP": functools.partial(_both, factor)
        for factor in FACTORS
    }
    records = dict(rows)
    baselines = [
        (title, [{"readout": record.get("readout_baselines", {}).get(key)} for record in records[VARIANTS[stem]]])
        for title, (stem, key) in BASELINES.items()
        if VARIANTS[stem] in records
    ]
    return table(rows + baselines, columns)


def _both(factor: str, row: Row) -> str:
    return "; ".join(cell("readout", factor, reader)(row) for reader in ("linear", "mlp"))


def score_table(grid: str, folder: Path) -> str:
    """The scores of disentanglement."""
    columns = {
        "variant": lambda row: row[0],
        "Z-diff": cell("disentanglement", "z_diff"),
        "FactorVAE": cell("disentanglement", "factor_vae"),
        "MIG": cell("disentanglement", "mig"),
        "SAP": cell("disentanglement", "sap"),
        "DCI, L1: D": cell("disentanglement", "dci_l1"),
        "DCI, trees: D": cell("disentanglement", "dci"),
        "DCI, trees: completeness": cell("disentanglement", "dci", "completeness"),
        "DCI, trees: informativeness": cell("disentanglement", "dci", "informativeness"),
    }
    return table(rows_of(folder, grid), columns)


def kumar_table(grid: str, folder: Path) -> str:
    """Kumar et al.'s scores beside ours."""
    columns = {
        "variant": lambda row: row[0],
        **{title: functools.partial(_theirs, i) for i, title in enumerate(KUMAR_COLUMNS)},
        "ours: Z-diff": cell("disentanglement", "z_diff"),
        "SAP": cell("disentanglement", "sap"),
        "squared error a pixel": cell("reconstruction_per_pixel"),
    }
    return table([row for row in rows_of(folder, grid) if row[0] in KUMAR], columns)


def _theirs(column: int, row: Row) -> str:
    return KUMAR[row[0]][column]
