"""results/representations: codes of DRL, VDRL, VAE-VDMs and autoencoders compared, with their baselines."""

from functools import partial

from vdm_jax.report.primitives.code_measures import DISENTANGLEMENT, FEW, INFORMATION, READOUTS
from vdm_jax.report.published.page import Page
from vdm_jax.report.published.representations.figures import differences_figure, times_figure, worth_figure
from vdm_jax.report.published.representations.records import DATA
from vdm_jax.report.published.representations.tables import (
    costs_table,
    decoded_table,
    measures_table,
    times_table,
    worth_table,
)
from vdm_jax.report.published.representations.verdicts import headline, verdict_table

GROUPS = {"readouts": READOUTS, "few-labels": FEW, "information": INFORMATION}
OTHERS = {"costs": costs_table, "times": times_table, "decoded": decoded_table, "worth": worth_table}
TABLES = {f"{data}-{name}": partial(measures_table, data, group) for data in DATA for name, group in GROUPS.items()}
TABLES |= {f"{data}-{name}": partial(make, data) for data in DATA for name, make in OTHERS.items()}
if "sprites" in DATA:
    TABLES["sprites-disentanglement"] = partial(measures_table, "sprites", DISENTANGLEMENT)

PAGE = Page(
    "representations",
    tables={"headline": headline, "verdicts": verdict_table, **TABLES},
    figures={
        "figures/differences.png": differences_figure,
        "figures/worth.png": worth_figure,
        "figures/times.png": times_figure,
    },
)
