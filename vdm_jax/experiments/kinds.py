"""The kinds of experiment that a config file can name, one line a kind."""

from vdm_jax.experiments.autoencoder.kind import KIND as autoencoder
from vdm_jax.experiments.codes.kind import KIND as codes
from vdm_jax.experiments.dae.kind import KIND as dae
from vdm_jax.experiments.ddpm.kind import KIND as ddpm
from vdm_jax.experiments.degradation.kind import KIND as degradation
from vdm_jax.experiments.exact.kind import KIND as exact
from vdm_jax.experiments.forward_process.kind import KIND as forward_process
from vdm_jax.experiments.latent_diffusion.kind import KIND as latent_diffusion
from vdm_jax.experiments.probes.kind import KIND as probes
from vdm_jax.experiments.score.kind import KIND as score
from vdm_jax.experiments.spaces.kind import KIND as spaces
from vdm_jax.experiments.vae_vdm.kind import KIND as vae_vdm

KINDS = {
    "vae_vdm": vae_vdm,
    "ddpm": ddpm,
    "exact": exact,
    "probes": probes,
    "autoencoder": autoencoder,
    "latent_diffusion": latent_diffusion,
    "spaces": spaces,
    "forward_process": forward_process,
    "dae": dae,
    "score": score,
    "degradation": degradation,
    "codes": codes,
}
