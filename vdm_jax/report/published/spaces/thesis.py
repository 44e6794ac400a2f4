"""Diffusion models in spaces of 64x64: the losses of the thesis' tables 4.5 to 4.8 beside ours.

The records are diffusion/full/SPACE-SEED/evaluate.json. A model without a record stands in the table as "not run".
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vdm_jax.report.primitives.latent_models import COLUMNS, TABLE
from vdm_jax.report.primitives.measured import entry, measured_text
from vdm_jax.report.primitives.workdir import Place, Workdir
from vdm_jax.report.published.table import DASH, table

NOT_RUN = "not run"
TRAINED, UNTRAINED, PRIOR, CODES = "trained", "untrained", "prior", "codes"
OURS: dict[str, Place] = {
    "ours: x loss per latent": ("x", "loss"),
    **{title: COLUMNS[title] for title in ("x loss / linear", "ε loss / linear", "no sprite")},
}
AFTER = ("kinds hit", "KL of kinds, nats", "Fréchet")


class ThesisModel(NamedTuple):
    """A model of the thesis' tables.

    Attributes:
        name: such as "DIFF-BVAE-5".
        losses: its denoising losses in the thesis, whose unit is not given there.
        tables: the tables that have it.
        space: the folder of our record without its seed, such as "beta10-5".
        row: our row in the table of the record.
    """

    name: str
    losses: tuple[float, ...]
    tables: str
    space: str
    row: str = TRAINED


THESIS_MODELS = (
    ThesisModel("DIFF-BVAE-1024", (4605.60,), "4.5, 4.6", "beta10-1024"),
    ThesisModel("DIFF-CONV-VAE-4-16-16", (1269.42,), "4.5", "conv"),
    ThesisModel("DIFF-KL-VAE-4-16-16", (12.81,), "4.5", "kl"),
    ThesisModel("DIFF-BVAE-256", (4590.39,), "4.6", "beta10-256"),
    ThesisModel("DIFF-BVAE-16", (4321.80,), "4.6", "beta10-16"),
    ThesisModel("DIFF-BVAE-5", (3934.41, 3934.87), "4.6, 4.8", "beta10-5"),
    ThesisModel("DIFF-BVAE-5-Untrained", (4932.97,), "4.6", "beta10-5", UNTRAINED),
    ThesisModel("DIFF-VAE-5", (3789.46, 3801.61), "4.7, 4.8", "vae-5"),
    ThesisModel("DIFF-AE-5", (4623.00,), "4.7", "ae-5"),
)


def diffusers_of_thesis(folder: Path) -> str:
    """The models of tables 4.5 to 4.8 with their losses and ours."""
    rows = [(model, Workdir(folder / "diffusion" / "full" / f"{model.space}-0").evaluate) for model in THESIS_MODELS]
    columns: dict[str, Callable[[tuple[ThesisModel, Mapping[str, Any]]], str]] = {
        "model": lambda row: row[0].name,
        "its table": lambda row: row[0].tables,
        "thesis: loss": lambda row: ", ".join(f"{loss:.2f}" for loss in row[0].losses),
        "variance of our latents": lambda row: _variance(row[1]),
    }
    columns |= {title: lambda row, place=place: _cell(row[1], row[0].row, place) for title, place in OURS.items()}
    columns["no sprite, N(0, I)"] = lambda row: _cell(row[1], PRIOR, COLUMNS["no sprite"])
    columns["no sprite, latents of test images"] = lambda row: _cell(row[1], CODES, COLUMNS["no sprite"])
    columns |= {title: lambda row, place=COLUMNS[title]: _cell(row[1], row[0].row, place) for title in AFTER}
    return table(rows, columns)


def _variance(record: Mapping[str, Any]) -> str:
    return f"{record['space']['variance']:.4g}" if record else NOT_RUN


def _cell(record: Mapping[str, Any], row: str, place: Place) -> str:
    """The number of a row of the table of models, with its error over images or samples."""
    value, error, _ = entry(record.get(TABLE, {}).get(row, {}), *place)
    return DASH if value is None else measured_text(value, error)
