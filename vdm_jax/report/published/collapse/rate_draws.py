"""The rate of a learned prior, which is estimated by noise: its spread over evaluations with other seeds."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vdm_jax.report.published.settings import NAMES
from vdm_jax.report.published.table import DASH, number, table

LEARNED = ("learned_prior", "target_learned_prior")
EVALUATIONS = "evaluation_seeds"  # folder of a run: K.json, its evaluation with seed K
Row = tuple[str, Float[np.ndarray, " e"], float, Float[np.ndarray, " e"]]  # name, rates, error over images, bounds


def rate_draws(data: str, folder: Path) -> str:
    """For each training R of the published evaluation, and the mean and the deviation over all evaluations of it."""
    columns = {
        "setting, training seed": lambda row: row[0],
        "R, nats, evaluation seed 0 (± over images)": lambda row: number(row[1][0], row[2]),
        "R, nats, mean ± deviation over evaluation seeds": lambda row: number(
            float(row[1].mean()), float(row[1].std(ddof=1))
        ),
        "D + R, nats, deviation over evaluation seeds": lambda row: f"{row[3].std(ddof=1):.2f}",
        "evaluations": lambda row: str(len(row[1])),
    }
    rows = [row for stem in LEARNED for seed in range(3) for row in _row(folder / data / f"{stem}-{seed}", stem, seed)]
    return table(rows, columns) if rows else DASH


def _row(run: Path, stem: str, seed: int) -> Iterator[Row]:
    paths = sorted(run.glob(f"{EVALUATIONS}/*.json"))
    if paths:
        records = [json.loads(path.read_text()) for path in (run / "evaluate.json", *paths)]
        rates, bounds = (np.array([record[key] for record in records]) for key in ("encoder_kl_nats", "bound_nats"))
        yield f"{NAMES[stem]}, {seed}", rates, records[0]["encoder_kl_nats_standard_error"], bounds
