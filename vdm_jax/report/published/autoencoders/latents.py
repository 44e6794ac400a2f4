"""The distance of the codes of all images from the prior N(0, I), at 32x32 and at 64x64."""

from collections.abc import Sequence
from pathlib import Path

from vdm_jax.report.published.autoencoders.records import VARIANTS, Row, cell, rows_of
from vdm_jax.report.published.autoencoders.tables import SIZES
from vdm_jax.report.published.autoencoders.thesis import GRID, spaces
from vdm_jax.report.published.table import table

OF_PRIOR = "of_prior_draws"


def latent_table(grid: str, folder: Path) -> str:
    """Moments, a Gaussian fit and the MMD of the aggregate posterior; of the biased ones what prior draws have."""
    columns = {
        "space": lambda row: row[0],
        "latents": cell("num_latents"),
        "‖E u‖": cell("aggregate", "mean_norm"),
        "‖E u‖ of prior draws": cell("aggregate", "mean_norm", OF_PRIOR),
        "leading eigenvalue of Cov u": cell("aggregate", "leading_eigenvalue"),
        "KL of the Gaussian fit, nats": cell("aggregate", "gaussian_kl"),
        "KL of prior draws, nats": cell("aggregate", "gaussian_kl", OF_PRIOR),
        "MMD²": cell("aggregate", "mmd"),
    }
    return table(_rows(grid, folder), columns)


def _rows(grid: str, folder: Path) -> Sequence[Row]:
    if grid != GRID:
        return rows_of(folder, grid, VARIANTS | {"vae-256": SIZES["vae-256"]})
    found = spaces(folder).values()
    return [(space.name, [run.evaluate for run in space.runs]) for space in found if space.runs]
