"""What each choice of a denoising autoencoder reads."""

from vdm_jax.experiments.common.build import DATA, above
from vdm_jax.experiments.common.networks import LATENT_MLP_SETTINGS, NETWORKS, network_choices
from vdm_jax.launch.choices import Choice
from vdm_jax.networks.latent_mlp import LATENT_MLPS

OF_MLPS = tuple(f"model.{name}" for name in LATENT_MLP_SETTINGS)
OF_UNETS = ("model.size", "model.conditioning", "model.fourier_max", "model.dropout")
NETWORK = Choice(
    "model.network",
    dict.fromkeys(LATENT_MLPS, OF_MLPS)
    | {name: tuple(f"model.{own}" for own in kind.overrides) + OF_UNETS for name, kind in NETWORKS.items()},
)
BASINS = above("attractors.basin_grid", 1, ("attractors.basin_sigmas",))
DAE_CHOICES = (DATA, NETWORK, *network_choices("model")[1:], BASINS)
