"""results/autoencoders: ten variants at 32x32, weights of the rate below 1, the thesis' spaces at 64x64.

The records are GRID/NAME-SEED, such as small/vae-16-0 and full/vae-256-0, and betas/beta=BETA-SEED.
"""

from functools import partial

from vdm_jax.report.published.autoencoders.latents import latent_table
from vdm_jax.report.published.autoencoders.pictures import interpolations, prior_samples, traversals
from vdm_jax.report.published.autoencoders.records import VARIANTS
from vdm_jax.report.published.autoencoders.tables import (
    OF_SIZES,
    OF_STRUCTURE,
    SIZES,
    beta_table,
    difference_table,
    kumar_table,
    length_table,
    main_table,
    readout_table,
    score_table,
)
from vdm_jax.report.published.autoencoders.thesis import GRID, sizes, thesis_table
from vdm_jax.report.published.page import Page

PAGE = Page(
    "autoencoders",
    tables={
        "small": partial(main_table, "small"),
        "differences": difference_table,
        "structure-differences": partial(difference_table, pairs=OF_STRUCTURE, names=VARIANTS | SIZES),
        "latents": partial(latent_table, "small"),
        "latents-full": partial(latent_table, GRID),
        "sizes": partial(main_table, "small", variants=SIZES),
        "size-differences": partial(difference_table, pairs=OF_SIZES, names=SIZES),
        "readouts": partial(readout_table, "small"),
        "disentanglement": partial(score_table, "small"),
        "kumar": partial(kumar_table, "small"),
        "thesis": thesis_table,
        "betas": beta_table,
        "lengths": length_table,
    },
    figures={
        "figures/prior.png": partial(prior_samples, "small"),
        "figures/interpolations.png": partial(interpolations, "small"),
        "figures/traversals.png": partial(traversals, "small"),
        "figures/size-error.png": partial(sizes, "reconstruction"),
        "figures/size-samples.png": partial(sizes, "on_data"),
        "figures/prior-full.png": partial(prior_samples, "full"),
        "figures/interpolations-full.png": partial(interpolations, "full"),
    },
)
