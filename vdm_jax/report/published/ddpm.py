"""results/ddpm: a DDPM of the digits under three schedules."""

import functools
from pathlib import Path

from matplotlib.figure import Figure

from vdm_jax.report.primitives.image_figures import grid_figure
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.page import Page
from vdm_jax.report.published.table import difference_over_seeds, interval, mean, setting, table

SEEDS = (0, 1, 2)
RECORDS = {  # name of the picture -> its images
    "real": "images/real.npz",
    "prior-linear": "digits-linear-0/samples/prior.npz",
    "prior-cosine": "images/prior-cosine.npz",
    "prior-dirac": "images/prior-dirac.npz",
}
SCHEDULES = {"linear": "linear", "cosine": "cosine", "dirac": "Dirac"}


def main_table(folder: Path) -> str:
    """The schedules, mean ± standard error over seeds; Fréchet distances beside the linear schedule."""
    found = {stem: setting(name, folder, SEEDS, f"digits-{stem}") for stem, name in SCHEDULES.items()}
    linear = found["linear"]

    def beside(one) -> str:
        return "0" if one is linear else interval(difference_over_seeds(one, linear, "frechet", "distance"))

    columns = {
        "schedule": lambda one: one.name,
        "loss": mean("loss"),
        "bound, nats": mean("bound_nats"),
        "… its error over images of a run, nats": mean("bound_nats_standard_error"),
        "Fréchet distance": mean("frechet", "distance"),
        "… minus that of the linear schedule [95% interval]": beside,
    }
    return table(list(found.values()), columns)


def grid(name: str, folder: Path) -> Figure:
    """A grid of 64 images."""
    return grid_figure(Workdir(folder).arrays(RECORDS[name], "images")["images"])


PAGE = Page(
    "ddpm",
    tables={"main": main_table},
    figures={f"figures/{name}.png": functools.partial(grid, name) for name in RECORDS},
)
