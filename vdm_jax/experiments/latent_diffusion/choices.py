"""What each choice of a latent diffusion model reads."""

from vdm_jax.experiments.common.build import DATA, NOISE, above, by_data
from vdm_jax.experiments.common.networks import AUTO, LATENT_MLP_SETTINGS, NETWORKS, network_choices
from vdm_jax.experiments.common.space.settings import SPACE_CHOICES
from vdm_jax.experiments.latent_diffusion.samplings import samplings_of
from vdm_jax.launch.choices import Choice
from vdm_jax.launch.settings import value_of
from vdm_jax.networks.latent_mlp import LATENT_MLPS

OF_MLPS = tuple(f"model.{name}" for name in LATENT_MLP_SETTINGS)
OF_UNETS = ("model.size", "model.conditioning", "model.fourier_max", "model.dropout")
OF_EACH = {name: tuple(f"model.{own}" for own in kind.overrides) + OF_UNETS for name, kind in NETWORKS.items()}
NETWORK = Choice(
    "model.network",
    dict.fromkeys(LATENT_MLPS, OF_MLPS) | OF_EACH | {AUTO: (*OF_MLPS, *OF_EACH["multiscale"])},
)
# Of sprites modes are counted as well, and the network that reads them is trained for it.
SCORES = by_data(("evaluate.coverage_images",), ("evaluate.frechet_images",))
OF_READER = ("evaluate.sprite_tolerance", "evaluate.reader_images", "evaluate.reader_steps")
COVERAGE = above("evaluate.coverage_images", 2, OF_READER)
MIXTURE = above("evaluate.mixture_components", 1, ("evaluate.fitted_images",))
OF_SAMPLERS = (*(f"quality.{name}" for name in ("num_images", "num_seeds", "batch_size", "seed")), *OF_READER)
SAMPLINGS = Choice(
    "quality.samplers",
    {"with curves": (*OF_SAMPLERS, "quality.exact"), "without": OF_SAMPLERS, "": ()},
    lambda settings: [_of_samplers(value_of(settings, "quality.samplers"))],
)
OF_EVALUATION = (SAMPLINGS, SCORES, COVERAGE, MIXTURE)
LATENT_CHOICES = (DATA, *SPACE_CHOICES, NOISE, NETWORK, *network_choices("model")[1:], *OF_EVALUATION)


def _of_samplers(text: str) -> str:
    samplings = samplings_of(text).values()
    return "" if not samplings else "with curves" if any(sampling.needs_curves for sampling in samplings) else "without"
