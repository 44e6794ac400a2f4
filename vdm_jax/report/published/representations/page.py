"""results/representations: codes of DRL, VDRL, VAE-VDMs and autoencoders side by side, with their baselines."""

from functools import partial

from vdm_jax.report.primitives.code_measures import DISENTANGLEMENT, FEW, INFORMATION, READOUTS
from vdm_jax.report.published.page import Page
from vdm_jax.report.published.representations.figures import times_figure, worth_figure
from vdm_jax.report.published.representations.records import DATA
from vdm_jax.report.published.representations.tables import decoded_table, measures_table, worth_table
from vdm_jax.report.published.representations.verdicts import headline, verdict_table

GROUPS = {"readouts": READOUTS, "few-labels": FEW, "information": INFORMATION}
TABLES = {f"{data}-{name}": partial(measures_table, data, group) for data in DATA for name, group in GROUPS.items()}
TABLES |= {f"{data}-decoded": partial(decoded_table, data) for data in DATA}
TABLES |= {f"{data}-worth": partial(worth_table, data) for data in DATA}
TABLES["sprites-disentanglement"] = partial(measures_table, "sprites", DISENTANGLEMENT)

PAGE = Page(
    "representations",
    tables={"headline": headline, "verdicts": verdict_table, **TABLES},
    figures={"worth.png": worth_figure, "times.png": times_figure},
)
