"""Checks of the settings of latent diffusion: every mistake is found before a job starts."""

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.diffusion.objective import WEIGHTINGS
from vdm_jax.diffusion.samplers import make_times
from vdm_jax.diffusion.schedules import SCHEDULES, Schedule, make_schedule
from vdm_jax.experiments.common.checks import SEED, check_numbers, check_settings
from vdm_jax.experiments.common.models import latent_target, make_noise
from vdm_jax.experiments.common.networks import AUTO, NETWORKS
from vdm_jax.experiments.common.space.settings import check_space
from vdm_jax.experiments.latent_diffusion.samplings import MIXTURE, check_times, samplings_of
from vdm_jax.networks.latent_mlp import LATENT_MLPS

NUMBERS = (
    ("at least 0", lambda value: value >= 0, "sample.num_paths evaluate.coverage_images"),
    (
        "at least 1",
        lambda value: value >= 1,
        "evaluate.reader_images evaluate.reader_steps quality.num_seeds quality.batch_size",
    ),
    (*SEED, "quality.seed"),
    ("at least 2", lambda value: value >= 2, "evaluate.fitted_images quality.num_images"),
    ("1 to 1,000", lambda value: 1 <= value <= 1_000, "evaluate.denoising_parts"),
    ("0 for none, to 1,000", lambda value: 0 <= value <= 1_000, "evaluate.mixture_components"),
    ("0 to below 1", lambda value: 0 <= value < 1, "evaluate.sprite_tolerance"),
    ("1 to 65,536", lambda value: 1 <= value <= 65_536, "model.width model.channels model.num_heads model.patch"),
    ("1 to 1,000", lambda value: 1 <= value <= 1_000, "model.num_layers model.num_blocks"),
    ("-30 to 30", lambda value: abs(value) <= 30, "model.fourier_min model.fourier_max"),
)


def check_latent_diffusion(config: ConfigDict) -> None:
    """What can be judged before the space is trained. Raises `UserError` for a number out of range, an unknown name, a
    weighting that the schedule does not have, or more steps than its table."""
    check_settings(config, fewest_steps=0)
    check_space(config)
    check_numbers(config, NUMBERS)
    check_samplings(config)
    choose("model.network", config.model.network, dict.fromkeys((*NETWORKS, *LATENT_MLPS, AUTO)))
    latent_target(config.diffusion.target)
    noise = make_noise(config.diffusion)
    weighting, schedule = config.diffusion.weighting, config.diffusion.schedule
    choose("weighting", weighting, WEIGHTINGS)
    if schedule in SCHEDULES and weighting == "bound" and (why := make_schedule(schedule).no_bound):
        raise UserError(f"weighting='bound' with schedule={schedule!r}: {why}")
    check_samplers(config, noise if isinstance(noise, Schedule) else None)


def check_samplings(config: ConfigDict) -> None:
    """Raises `UserError` for a sampling that cannot be read, or one that needs exact curves where none are named."""
    for text, sampling in samplings_of(config.quality.samplers).items():
        if sampling.needs_curves and not config.quality.exact:
            why = f"config.quality.samplers: {text!r} needs config.quality.exact, a folder of exact curves of the space"
            raise UserError(f"{why}; measure them with configs/probes.py:latents-exact")
        if sampling.start == MIXTURE and not config.evaluate.mixture_components:
            raise UserError(f"config.quality.samplers: {text!r} needs config.evaluate.mixture_components of at least 1")


def check_samplers(config: ConfigDict, schedule: Schedule | None) -> None:
    """Raises `UserError` where a table adds noise at fewer entries than a sampler has steps. None: a learned one."""
    if schedule is None:
        return
    make_times(schedule, config.sample.num_steps, config.sample.grid)
    for text, sampling in samplings_of(config.quality.samplers).items():
        try:
            check_times(sampling, schedule)
        except UserError as error:
            raise UserError(f"config.quality.samplers: {text!r}: {error}") from error
