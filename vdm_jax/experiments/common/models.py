"""From a config to its diffusion model: `make_model` for every kind that has one. No kind imports another."""

import dataclasses

import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.space import Space
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.code_prior import NormalPrior
from vdm_jax.diffusion.likelihood import GaussianLikelihood, LevelLikelihood
from vdm_jax.diffusion.objective import WEIGHTINGS
from vdm_jax.diffusion.prediction import TARGETS
from vdm_jax.diffusion.rate import FixedRate
from vdm_jax.diffusion.schedules import SCHEDULES, Schedule, make_schedule, settings_of
from vdm_jax.diffusion.score_matching.conditional import ALL_NOISE, Band
from vdm_jax.experiments.common.build import fixed_table, given
from vdm_jax.experiments.common.networks import (
    CONTROL,
    NO_ENCODERS,
    PIXEL_NETWORKS,
    make_denoiser,
    make_encoder_of,
    make_latent_denoiser,
)
from vdm_jax.experiments.common.rates import code_prior, rate_mode
from vdm_jax.models.code import CodeModel
from vdm_jax.models.conditional_score import ConditionalScoreModel
from vdm_jax.models.diffusion import DiffusionModel, DiffusionObjective, LearnedNoise
from vdm_jax.networks.gamma import LEARNED_GAMMAS, make_learned_gamma
from vdm_jax.networks.network import Network


def make_model(config: ConfigDict, data: Dataset, space: Space | None = None) -> DiffusionModel:
    """The diffusion model of a config of one of `MODELS`, for images like those of `data`, or for the latents of
    `space`. Raises `UserError`."""
    return choose("config.kind", config.kind, MODELS)(config, data, space)


def make_vae_vdm(config: ConfigDict, data: Dataset, space: None = None) -> DiffusionModel:
    """A VAE-VDM: the bound D + R in nats, a code or none, a fixed or learned schedule. With loss="conditional_score" a
    DRL or VDRL of the same networks, perhaps with labels."""
    diffusion, model = config.diffusion, config.model
    is_score = choose("diffusion.loss", diffusion.get("loss", "bound"), OF_VAE_VDM)
    of_encoder = is_score and model.encoder not in NO_ENCODERS
    of_time = of_encoder and model.encoder_time
    encoder, w_dim = make_encoder_of(model, data.shape, of_time)
    num_labels = _num_labels(model, data) if is_score else 0
    noise = make_noise(diffusion)
    if isinstance(noise, Schedule) and noise.no_bound:
        raise UserError(f"schedule={diffusion.schedule!r} cannot train this model: {noise.no_bound}")
    parts = dict(
        network=make_denoiser(
            model.unet,
            data.shape,
            section="model.unet",
            default="vdm",
            w_dim=w_dim + num_labels,
            dropout=model.dropout,
            dtype=model.dtype,
        ),
        noise=noise,
        objective=DiffusionObjective(
            loss="conditional_score" if is_score else "bound",
            weighting=diffusion.weighting,
            num_steps=diffusion.num_steps,
            minimise_variance=diffusion.schedule == "monotone" and diffusion.num_steps is None,
        ),
        code=_control(w_dim) if model.encoder == CONTROL else _code(config.rate, encoder, w_dim),
        **_of_levels(diffusion, data),
    )
    if not is_score:
        return DiffusionModel(**parts)
    if of_encoder:
        parts["code"] = dataclasses.replace(parts["code"], deterministic=model.deterministic, of_time=of_time)
    of_labels = {"num_labels": num_labels, "label_dropout": model.label_dropout} if num_labels else {}
    return ConditionalScoreModel(**parts, band=_band(diffusion.band_low, diffusion.band_high), **of_labels)


def _band(low: float | None, high: float | None) -> Band:
    """The band of log SNR with these ends; None for no limit."""
    return Band(ALL_NOISE.low if low is None else low, ALL_NOISE.high if high is None else high)


def _num_labels(model: ConfigDict, data: Dataset) -> int:
    """The classes that the network reads; 0 for none. Raises `UserError` for data without labels."""
    if not model.labels:
        return 0
    if not data.num_classes:
        raise UserError(f"model.labels=True: data {data.name!r} have no labels")
    if model.encoder == "none" and model.equal_capacity:
        raise UserError("model.labels=True takes the place of the code; leave model.equal_capacity at False")
    return data.num_classes


def make_ddpm(config: ConfigDict, data: Dataset, space: None = None) -> DiffusionModel:
    """A DDPM: the mean squared error of the noise, no code, a table of noise."""
    model, own = config.model, {"section": "model", "default": "multiscale", "networks": PIXEL_NETWORKS}
    return DiffusionModel(
        network=make_denoiser(model, data.shape, **own, dtype=model.dtype),
        noise=fixed_table(config.diffusion),
        objective=DiffusionObjective(loss="mean_square", weighting=config.diffusion.weighting),
        code=None,
        **_of_levels(config.diffusion, data),
    )


def make_latent_diffusion(config: ConfigDict, data: Dataset, space: Space | None = None) -> DiffusionModel:
    """A diffusion model of the latents x of a space; nothing is read of `data`.

    A table of noise trains ||eps - eps_hat||²/D, a continuous or learned schedule the bound on -log p(x). Both have the
    bound, by p(x | z_0) = N(x; z_0/alpha_0, sigma_0²/alpha_0²). Raises `UserError` without a space.
    """
    if space is None:
        raise UserError("kind 'latent_diffusion' needs a space: set space.workdir, or space.train")
    diffusion = config.diffusion
    noise = make_noise(diffusion)
    is_table = isinstance(noise, Schedule) and noise.num_steps is not None
    choose("weighting", diffusion.weighting, WEIGHTINGS)
    return DiffusionModel(
        network=make_latent_denoiser(config.model, tuple(space.shape), latent_target(diffusion.target)),
        noise=noise,
        objective=DiffusionObjective(
            loss="mean_square" if is_table else "bound",
            weighting=diffusion.weighting,
            num_steps=None if is_table else diffusion.num_steps,
            minimise_variance=diffusion.schedule == "monotone" and diffusion.num_steps is None,
        ),
        prediction=diffusion.target,
        code=None,
        shape=tuple(space.shape),
        likelihood=GaussianLikelihood(),
        x_range=space.x_range,
    )


OF_VAE_VDM = {"bound": False, "conditional_score": True}  # diffusion.loss of the kind vae_vdm
MODELS = {"vae_vdm": make_vae_vdm, "ddpm": make_ddpm, "latent_diffusion": make_latent_diffusion}


def _of_levels(diffusion: ConfigDict, data: Dataset) -> dict:
    """The parts of a model that follow from the data and `config.diffusion`."""
    values = pixels_within(data.pixel_values, diffusion.get("pixel_max"))
    _check_target(diffusion.target, values)
    choose("weighting", diffusion.weighting, WEIGHTINGS)
    return {
        "prediction": diffusion.target,
        "shape": data.shape,
        "likelihood": LevelLikelihood(values),
        "x_range": (float(values[0]), float(values[-1])),
    }


def pixels_within(values: Float[np.ndarray, " k"], pixel_max: float | None) -> Float[np.ndarray, " k"]:
    """Pixel values scaled to a largest one of `pixel_max`; None: as they are."""
    return values if pixel_max is None else (values / values[-1] * pixel_max).astype(values.dtype)


def _check_target(target: str, pixel_values: Float[np.ndarray, " k"]) -> None:
    """Raises `UserError` for an unknown target, and for one that these pixels do not have."""
    choose("target", target, TARGETS)
    if target == "log_odds" and pixel_values.tolist() != [-1, 1]:
        problem = f"target='log_odds' is for pixels of -1 and 1, and these have {len(pixel_values)} values"
        raise UserError(f"{problem}; expected eps, x or v")


def latent_target(target: str) -> str:
    """Raises `UserError` for a target that latents do not have."""
    return choose("target", target, {name: name for name in TARGETS if name != "log_odds"})


def _code(rate: ConfigDict, encoder: Network | None, w_dim: int) -> CodeModel | None:
    """The code of `config.rate`; None without an encoder, whatever that says."""
    if encoder is None:
        return None
    prior_network, prior = code_prior(rate, w_dim)
    return CodeModel(encoder, w_dim, rate_mode(rate), prior, prior_network)


def _control(w_dim: int) -> CodeModel:
    """A code that is independent of the image; nothing is read of `config.rate`, for R is 0."""
    return CodeModel(None, w_dim, FixedRate(), NormalPrior(), None)


def make_noise(diffusion: ConfigDict) -> Schedule | LearnedNoise:
    """The schedule of `config.diffusion`, fixed or learned. Raises `UserError`."""
    name = choose("schedule", diffusion.schedule, {name: name for name in (*SCHEDULES, *LEARNED_GAMMAS)})
    if name in LEARNED_GAMMAS:
        gamma_range = (diffusion.gamma_min, diffusion.gamma_max)
        return LearnedNoise(make_learned_gamma(name, *gamma_range), gamma_range)
    taken = settings_of(name)
    if name.endswith("_continuous"):  # num_steps is the T of the bound alone there
        taken = tuple(setting for setting in taken if setting != "num_steps")
    return make_schedule(name, **given(diffusion, taken))
