"""results/probes: when noise destroys a feature of a sprite, and when a sampler decides it."""

from vdm_jax.report.published import chain_tables, probe_tables
from vdm_jax.report.published.claims import claims
from vdm_jax.report.published.page import Page
from vdm_jax.report.published.probe_figures import FIGURES

PAGE = Page(
    "probes",
    tables={
        "exact-64": probe_tables.exact_64,
        "probes-64": probe_tables.probes_64,
        "claims": claims,
        "quick-32": probe_tables.quick_32,
        "seeds-32": probe_tables.seeds_32,
        "nets": probe_tables.nets,
        "images": probe_tables.images,
        "decided": chain_tables.decided,
        "at-400": chain_tables.at_400,
        "real-or-generated": chain_tables.real_or_generated,
        "distances": chain_tables.distances,
        "schedules": chain_tables.schedules,
        "coverage": chain_tables.coverage,
    },
    figures=FIGURES,
)
