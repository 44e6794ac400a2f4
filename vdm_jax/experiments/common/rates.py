"""From `config.rate` to a rate mode and a prior of the code."""

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.diffusion.code_prior import DiffusionPrior, NormalPrior
from vdm_jax.diffusion.rate import RateMode
from vdm_jax.diffusion.rate_modes import make_rate_mode
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.networks.mlp import make_mlp_denoiser
from vdm_jax.networks.network import Network

# For each setting of `config.rate` the argument of the rate mode, and the default.
DEFAULTS = {
    "beta": ("beta", 1.0),
    "warmup_steps": ("warmup_steps", 1_000),
    "cycle_steps": ("cycle_steps", 1_000),
    "free_bits_nats": ("nats", 0.5),
    "target_nats": ("target", 10.0),
    "mmd_weight": ("mmd_weight", 1_000.0),
    "mmd_beta": ("beta", 0.0),
    "w_dropout": ("dropout", 0.2),
    "high_noise_weight": ("weight", 3.0),
    "high_noise_logsnr": ("logsnr", 0.0),
}
SETTINGS = {
    "fixed": ("beta",),
    "warmup": ("beta", "warmup_steps"),
    "cyclical": ("beta", "cycle_steps"),
    "free_bits": ("free_bits_nats",),
    "target": ("target_nats",),
    "mmd": ("mmd_weight", "mmd_beta"),
    "w_dropout": ("beta", "w_dropout"),
    "high_noise": ("beta", "high_noise_weight", "high_noise_logsnr"),
    "none": (),
}
PRIORS = ("normal", "diffusion")
PRIOR_DEFAULTS = {"prior_width": 128, "prior_blocks": 3, "prior_steps": 100}
# Least noise on w: a deviation of 0.007, far below that of a posterior. Most noise: w is almost gone.
PRIOR_GAMMAS = (-10.0, 5.0)
NO_LEARNED_PRIOR = {
    "free_bits": "whose bits are those of each dimension against N(0, 1)",
    "mmd": "which holds the codes to N(0, I)",
    "none": "under which nothing would train it",
}


def rate_mode(config: ConfigDict) -> RateMode:
    """The rate mode with its settings of `config.rate`; other settings must have their defaults. Raises `UserError`."""
    taken = choose("rate.mode", config.mode, SETTINGS)
    for setting, (_, default) in DEFAULTS.items():
        if setting not in taken and config[setting] != default:
            modes = [mode for mode, settings in SETTINGS.items() if setting in settings]
            raise UserError(
                f"rate.{setting}={config[setting]} has no effect in rate.mode={config.mode!r}, only in {modes}"
            )
    return make_rate_mode(config.mode, **{DEFAULTS[setting][0]: config[setting] for setting in taken})


def code_prior(config: ConfigDict, w_dim: int) -> tuple[Network | None, NormalPrior | DiffusionPrior]:
    """The network of a learned p(w), or None, and p(w); `w_dim` is 0 without an encoder."""
    choose("rate.prior", config.prior, dict.fromkeys(PRIORS))
    if config.prior == "normal":
        for setting, default in PRIOR_DEFAULTS.items():
            if config[setting] != default:
                raise UserError(f"rate.{setting}={config[setting]} has no effect with rate.prior='normal'")
        return None, NormalPrior()
    if not w_dim:
        raise UserError("rate.prior='diffusion' is a prior of the code; model.encoder='none' has none")
    if config.mode in NO_LEARNED_PRIOR:
        why = NO_LEARNED_PRIOR[config.mode]
        raise UserError(f"rate.prior='diffusion' does not go with rate.mode={config.mode!r}, {why}")
    if config.prior_width < 4 or config.prior_width % 2:
        raise UserError(f"rate.prior_width={config.prior_width}; expected an even number, at least 4")
    network = make_mlp_denoiser(w_dim, width=config.prior_width, num_blocks=config.prior_blocks)
    low, high = PRIOR_GAMMAS
    schedule = make_schedule("linear", gamma_min=low, gamma_max=high)
    return network, DiffusionPrior(network.apply, schedule, config.prior_steps)
