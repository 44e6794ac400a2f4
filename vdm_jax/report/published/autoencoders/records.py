"""Records of autoencoders, GRID/NAME-SEED/evaluate.json, and the columns that all tables share."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vdm_jax.base.statistics import mean_and_error
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.table import DASH, number

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
PRIOR, HOLES, INTERPOLATIONS = "prior_samples_on_data", "holes", "holes_of_interpolations"
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
        values, errors = zip(*(number_at(record, place) for record in row[1]), strict=True)
        if any(value is None for value in values):
            return DASH
        if len(values) == 1:
            return number(values[0]) if errors[0] is None else number(values[0], errors[0])
        found = mean_and_error(np.array(values, np.float64), "seeds")
        return number(float(found.mean), float(found.error))

    return text


def number_at(record: Mapping[str, Any], place: tuple[str, ...]) -> tuple[float | None, float | None]:
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
    "update evaluated": lambda row: ", ".join(dict.fromkeys(f"{record['checkpoint_step']:,}" for record in row[1])),
    "latents": cell("num_latents"),
    "reconstruction error, sum over an image": cell("reconstruction_sum"),
    "bound D + R, nats": cell("bound_nats"),
    "R, nats": cell("rate_nats"),
    "active units": cell("active_units"),
    "nearest sprite is the original, share": cell("nearest_sprite", "any"),
    "prior samples near a sprite, share": cell(PRIOR),
    "midpoints near no sprite, share": cell(HOLES),
    "steps of interpolations near no sprite, share": cell(INTERPOLATIONS),
}
