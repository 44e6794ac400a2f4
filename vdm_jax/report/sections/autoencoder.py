"""The page of an autoencoder: reconstruction, latent space, prior samples, readouts, disentanglement."""

from vdm_jax.report.sections.provenance import CONFIG, PROVENANCE

AUTOENCODER_PAGE = (CONFIG, PROVENANCE)
