"""From `config.rate` to a rate mode and a prior of the code."""

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.diffusion.code_prior import DiffusionPrior, NormalPrior
from vdm_jax.diffusion.rate import RateMode
from vdm_jax.diffusion.rate_modes import make_rate_mode
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.launch.choices import Choice
from vdm_jax.networks.mlp import make_mlp_denoiser
from vdm_jax.networks.network import Network

# For each rate mode the settings of `config.rate` that it reads, and the arguments that they are.
SETTINGS = {
    "fixed": {"beta": "beta"},
    "warmup": {"beta": "beta", "warmup_steps": "warmup_steps"},
    "cyclical": {"beta": "beta", "cycle_steps": "cycle_steps"},
    "free_bits": {"free_bits_nats": "nats"},
    "target": {"target_nats": "target"},
    "mmd": {"mmd_weight": "mmd_weight", "mmd_beta": "beta"},
    "w_dropout": {"beta": "beta", "w_dropout": "dropout"},
    "high_noise": {"beta": "beta", "high_noise_weight": "weight", "high_noise_logsnr": "logsnr"},
    "none": {},
}
PRIORS = {"normal": (), "diffusion": ("prior_width", "prior_blocks", "prior_steps")}  # and what each reads
RATE_CHOICES = (
    Choice("rate.mode", {mode: tuple(f"rate.{name}" for name in names) for mode, names in SETTINGS.items()}),
    Choice("rate.prior", {prior: tuple(f"rate.{name}" for name in names) for prior, names in PRIORS.items()}),
)
# Least noise on w: a deviation of 0.007, far below that of a posterior. Most noise: w is almost gone.
PRIOR_GAMMAS = (-10.0, 5.0)
NO_LEARNED_PRIOR = {
    "free_bits": "whose bits are those of each dimension against N(0, 1)",
    "mmd": "which holds the codes to N(0, I)",
    "none": "under which nothing would train it",
}


def rate_mode(config: ConfigDict) -> RateMode:
    """The rate mode with its settings of `config.rate`. Raises `UserError`."""
    taken = choose("rate.mode", config.mode, SETTINGS)
    return make_rate_mode(config.mode, **{argument: config[setting] for setting, argument in taken.items()})


def code_prior(config: ConfigDict, w_dim: int) -> tuple[Network | None, NormalPrior | DiffusionPrior]:
    """The network of a learned p(w), or None, and p(w). Raises `UserError`."""
    choose("rate.prior", config.prior, PRIORS)
    if config.prior == "normal":
        return None, NormalPrior()
    if config.mode in NO_LEARNED_PRIOR:
        why = NO_LEARNED_PRIOR[config.mode]
        raise UserError(f"rate.prior='diffusion' does not go with rate.mode={config.mode!r}, {why}")
    if config.prior_width < 4 or config.prior_width % 2:
        raise UserError(f"rate.prior_width={config.prior_width}; expected an even number, at least 4")
    network = make_mlp_denoiser(w_dim, width=config.prior_width, num_blocks=config.prior_blocks)
    low, high = PRIOR_GAMMAS
    schedule = make_schedule("linear", gamma_min=low, gamma_max=high)
    return network, DiffusionPrior(network.apply, schedule, config.prior_steps)
