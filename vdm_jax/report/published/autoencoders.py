"""results/autoencoders: ten variants at 32x32, weights of the rate below 1: reconstruction, samples, readouts and
scores of disentanglement."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.statistics import mean_and_error, paired_difference
from vdm_jax.report.primitives.image_figures import rows_figure
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.page import Page
from vdm_jax.report.published.table import DASH, interval, number, table

VARIANTS = {  # stem of the folders -> name
    "ae-16": "AE",
    "vae-16": "VAE",
    "beta4-16": "beta-VAE, 4",
    "beta10-16": "beta-VAE, 10",
    "beta60-16": "beta-VAE, 60",
    "dip1-16": "DIP-VAE I, 10",
    "dip2-16": "DIP-VAE II, 5",
    "conv": "CONV-VAE",
    "kl": "KL-VAE",
    "vq": "VQ-VAE",
}
BETAS = ("0.04", "0.1", "0.3", "0.6")  # weights of the rate below 1
FACTORS = ("shape", "orientation", "scale", "x", "y")
PRIOR = "prior_samples_on_data"
PAIRS = (  # of variants whose difference is published
    ("vae-16", "ae-16"),
    ("beta4-16", "vae-16"),
    ("beta10-16", "beta4-16"),
    ("dip1-16", "vae-16"),
    ("dip2-16", "vae-16"),
    ("conv", "vae-16"),
)
NUM_SHOWN = 12  # images of a row
NUM_TRAVERSED = 3  # latents of a variant
KUMAR_COLUMNS = ("Kumar et al.: Z-diff", "their SAP", "their reconstruction error")
KUMAR = {  # Kumar et al. (2018), 2D shapes of 64x64
    "VAE": ("0.813", "0.042", "0.0017"),
    "beta-VAE, 4": ("0.807", "0.081", "0.0032"),
    "beta-VAE, 60": ("0.957", "0.550", "0.0113"),
    "DIP-VAE I, 10": ("0.987", "0.189", "0.0018"),
    "DIP-VAE II, 5": ("0.953", "0.219", "0.0023"),
}
Row = tuple[str, list[dict[str, Any]]]


def rows_of(folder: Path, grid: str, variants: Mapping[str, str] = VARIANTS) -> list[Row]:
    """(name, records of all seeds) of each variant that has a record. variants: stem of the folders -> name."""
    found = []
    for stem, name in variants.items():
        records = [Workdir(path).evaluate for path in sorted((folder / grid).glob(f"{stem}-[0-9]"))]
        if records:
            found.append((name, records))
    return found


def cell(*place: str) -> Callable[[Row], str]:
    """The number at `place`: of one seed with the error of its record, of several the mean with that over seeds."""

    def text(row: Row) -> str:
        values, errors = zip(*(_number(record, place) for record in row[1]), strict=True)
        if any(value is None for value in values):
            return DASH
        if len(values) == 1:
            return number(values[0]) if errors[0] is None else number(values[0], errors[0])
        found = mean_and_error(np.array(values, np.float64), "seeds")
        return number(float(found.mean), float(found.error))

    return text


def _number(record: Mapping[str, Any], place: tuple[str, ...]) -> tuple[float | None, float | None]:
    """(value, standard error) of a flat number or of an entry."""
    at: Any = record
    for key in place:
        at = at.get(key) if isinstance(at, Mapping) else None
    found = at if isinstance(at, Mapping) else {"value": at}
    if len(place) == 1 and found.get("standard_error") is None:
        found = {**found, "standard_error": record.get(f"{place[0]}_standard_error")}
    value, error = (found.get(key) for key in ("value", "standard_error"))
    return (None if value is None else float(value)), (None if error is None else float(error))


AXES: Mapping[str, Callable[[Row], str]] = {  # reconstruction, the bound, samples and the space between images
    "seeds": lambda row: str(len(row[1])),
    "latents": cell("num_latents"),
    "reconstruction error, sum over an image": cell("reconstruction_sum"),
    "D + R, nats": cell("bound_nats"),
    "R, nats": cell("rate_nats"),
    "active units": cell("active_units"),
    "nearest sprite is the original, share": cell("nearest_sprite", "any"),
    "prior samples near a sprite, share": cell(PRIOR),
    "holes: midpoints near no sprite, share": cell("holes"),
    "steps of interpolations near no sprite, share": cell("holes_of_interpolations"),
}


def main_table(grid: str, folder: Path) -> str:
    """The three axes: reconstruction, the bound, samples and the space between images."""
    return table(rows_of(folder, grid), {"variant": lambda row: row[0]} | AXES)


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


def difference_table(folder: Path) -> str:
    """Differences of variants in reconstruction error and prior samples, paired by training seed."""
    numbers = {"reconstruction error": "reconstruction_sum", "prior samples near a sprite, share": PRIOR}

    def cell_of(key: str) -> Callable[[tuple[str, str]], str]:
        def text(pair: tuple[str, str]) -> str:
            ours, theirs = (
                np.array([_number(record, (key,))[0] for record in records], np.float64)
                for stem in pair
                for _, records in rows_of(folder, "small", {stem: stem})
            )
            return interval(paired_difference(ours, theirs, "seeds"))

        return text

    columns = {"difference": lambda pair: " minus ".join(VARIANTS[stem] for stem in pair)}
    return table(PAIRS, columns | {title: cell_of(key) for title, key in numbers.items()})


def readout_table(grid: str, folder: Path) -> str:
    """Linear and MLP readouts of every factor, and the representations that they are compared with."""
    rows = rows_of(folder, grid)
    columns = {"representation": lambda row: row[0]} | {
        f"{factor}, {'accuracy' if factor == 'shape' else 'R²'}: linear; MLP": functools.partial(_both, factor)
        for factor in FACTORS
    }
    baselines = [
        (name, [{"readout": record.get("readout_baselines", {}).get(key)} for record in rows[0][1]])
        for key, name in (
            ("pixels", "raw pixels"),
            ("pca", "16 principal components"),
            ("untrained", "untrained encoder"),
        )
    ]
    return table(rows + (baselines if rows else []), columns)


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
        "DCI, trees: D": cell("disentanglement", "dci"),
        "… completeness": cell("disentanglement", "dci", "completeness"),
        "… informativeness": cell("disentanglement", "dci", "informativeness"),
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


def prior_samples(folder: Path) -> Figure:
    """Decoded draws of the prior: one row for each variant whose first seed has published samples."""
    runs = _first_seeds(folder, "prior")
    return rows_figure(np.stack([run.images("prior")[:NUM_SHOWN] for run in runs.values()]), row_names=list(runs))


def interpolations(folder: Path) -> Figure:
    """Decodings between the codes of one pair of test images: one row for each variant."""
    runs = _first_seeds(folder, "interpolations")
    found = [run.arrays("samples/interpolations.npz", "first", "between", "last") for run in runs.values()]
    first, last = (found[0][key].astype(np.float64) for key in ("first", "last"))
    pair = int(((first - last) ** 2).sum((1, 2, 3)).argmax())  # the two images that differ most
    return rows_figure(np.stack([each["between"][pair] for each in found]), row_names=list(runs))


def traversals(folder: Path) -> Figure:
    """One leading latent of one test image moved over ± 2 deviations: three rows for each variant."""
    runs = _first_seeds(folder, "traversals")
    found = {title: run.arrays("samples/traversals.npz", "traversals", "deviations") for title, run in runs.items()}
    rows = [each["traversals"][0, i] for each in found.values() for i in range(NUM_TRAVERSED)]
    names = [f"{title}: {i + 1}" for title in found for i in range(NUM_TRAVERSED)]
    columns = [f"{deviation:+.1f}" for deviation in next(iter(found.values()))["deviations"]]
    return rows_figure(np.stack(rows), row_names=names, column_names=columns)


def _first_seeds(folder: Path, name: str) -> dict[str, Workdir]:
    """Variant -> its run of seed 0; variants without published samples `name` are left out."""
    runs = {title: folder / "small" / f"{stem}-0" for stem, title in VARIANTS.items()}
    return {title: Workdir(run) for title, run in runs.items() if (run / "samples" / f"{name}.npz").exists()}


PAGE = Page(
    "autoencoders",
    tables={
        "small": functools.partial(main_table, "small"),
        "readouts": functools.partial(readout_table, "small"),
        "disentanglement": functools.partial(score_table, "small"),
        "kumar": functools.partial(kumar_table, "small"),
        "differences": difference_table,
        "betas": beta_table,
    },
    figures={
        "figures/prior.png": prior_samples,
        "figures/interpolations.png": interpolations,
        "figures/traversals.png": traversals,
    },
)
