"""From a config to plain objects: the data set and the VAE-VDM; `build_ddpm.py` has the DDPM."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.data.dataset import Dataset
from vdm_jax.data.sources import load_data
from vdm_jax.diffusion.objective import TARGETS, WEIGHTINGS
from vdm_jax.diffusion.samplers import make_times
from vdm_jax.diffusion.schedules import SCHEDULES, Schedule, make_schedule
from vdm_jax.experiments.common.checks import check_batch, check_settings, check_splits
from vdm_jax.experiments.vae_vdm.rates import code_prior, rate_mode
from vdm_jax.models.diffuser import Diffuser
from vdm_jax.models.vae_vdm import VaeVdm
from vdm_jax.networks.encoder import make_encoder
from vdm_jax.networks.gamma import LEARNED_GAMMAS, make_learned_gamma
from vdm_jax.networks.network import Network
from vdm_jax.networks.sizes import ENCODER_SIZES, UNET_SIZES
from vdm_jax.networks.unet import make_unet

TABLE_SETTINGS = ("beta", "beta_1", "beta_T", "s", "t1", "t2", "total")
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@dataclass(frozen=True)
class Experiment:
    """What every job starts from; made once a process."""

    config: ConfigDict
    data: Dataset
    model: Diffuser


def build(config: ConfigDict, data: Dataset | None = None) -> Experiment:
    """Looks at every setting, loads the data, binds the networks; nothing is compiled yet. Raises `UserError`.

    data: those of `config.data`, where they were loaded before.
    """
    check_settings(config)
    data = load(config.data) if data is None else data
    check_splits(data.name, train=len(data.train), test=len(data.test))
    model = make_vae_vdm(config, data)
    check_batch(config.train, len(data.train), jax.device_count(), model.rate.fewest_images if model.encoder else 1)
    if model.fixed_schedule:  # raises where a table has no such grid to sample over
        make_times(model.fixed_schedule, config.sample.num_steps, config.sample.grid)
    return Experiment(config, data, model)


def load(config: ConfigDict) -> Dataset:
    """The data set of `config.data`."""
    settings = given(config, ("validation_size", "num_levels", "max_gib", "downsample", "split"))
    return load_data(config.source, name=config.name, data_dir=config.dir, **settings)


def make_vae_vdm(config: ConfigDict, data: Dataset) -> VaeVdm:
    """The model of `config.model`, `config.diffusion` and `config.rate` for images like those of `data`."""
    diffusion = config.diffusion
    encoder, w_dim = _encoder(config.model, data)
    prior_network, prior = code_prior(config.rate, w_dim if encoder else 0)
    schedule = _schedule(diffusion)
    check_target(diffusion.target, data.pixel_values)
    choose("weighting", diffusion.weighting, WEIGHTINGS)
    if isinstance(schedule, Schedule) and schedule.no_bound:
        raise UserError(f"schedule={diffusion.schedule!r} cannot train this model: {schedule.no_bound}")
    return VaeVdm(
        unet=_unet(config.model, data, w_dim),
        encoder=encoder,
        w_dim=w_dim if encoder else 0,
        code_prior=prior_network,
        prior=prior,
        gamma=None if isinstance(schedule, Schedule) else schedule,
        fixed_schedule=schedule if isinstance(schedule, Schedule) else None,
        gamma_range=(diffusion.gamma_min, diffusion.gamma_max),
        rate=rate_mode(config.rate),
        target=diffusion.target,
        weighting=diffusion.weighting,
        num_steps=diffusion.num_steps,
        minimise_variance=diffusion.schedule == "monotone" and diffusion.num_steps is None,
        pixel_values=data.pixel_values,
        image_shape=data.shape,
    )


def _schedule(diffusion: ConfigDict) -> Schedule | Network:
    name = choose("schedule", diffusion.schedule, {name: name for name in (*SCHEDULES, *LEARNED_GAMMAS)})
    if name in LEARNED_GAMMAS:
        for setting, value in given(diffusion, TABLE_SETTINGS).items():
            raise UserError(f"diffusion.{setting}={value} is no setting of schedule={name!r}; leave it unset")
        return make_learned_gamma(name, diffusion.gamma_min, diffusion.gamma_max)
    settings = given(diffusion, TABLE_SETTINGS)
    if name == "linear":
        settings |= given(diffusion, ("gamma_min", "gamma_max"))
    elif not name.endswith("_continuous"):  # there num_steps is the bound's T alone
        settings |= given(diffusion, ("num_steps",))
    return make_schedule(name, **settings)


def fixed_table(diffusion: ConfigDict) -> Schedule:
    """The table of noise that `config.diffusion` states. Raises `UserError` for a schedule that is none."""
    schedule = make_schedule(diffusion.schedule, **given(diffusion, ("num_steps", *TABLE_SETTINGS)))
    if schedule.num_steps is None:
        raise UserError(f"diffusion.schedule={diffusion.schedule!r} is no table of 1 … {diffusion.num_steps} steps")
    return schedule


def check_target(target: str, pixel_values: Float[np.ndarray, " k"]) -> None:
    """Raises `UserError` for what no network predicts, or not of these pixels."""
    choose("target", target, TARGETS)
    if target == "log_odds" and pixel_values.tolist() != [-1, 1]:
        told = f"target='log_odds' is for pixels of -1 and 1, and these have {len(pixel_values)} values"
        raise UserError(f"{told}; expected eps, x or v")


def given(config: ConfigDict, names: tuple[str, ...]) -> dict:
    """Those of the settings `names` that are set; a run's own file may be older than some of them."""
    return {name: config[name] for name in names if config.get(name) is not None}


def _encoder(config: ConfigDict, data: Dataset) -> tuple[Network | None, int]:
    """The encoder, or None, and the width of the code that the U-Net has room for."""
    dtype = choose("dtype", config.dtype, DTYPES)
    if config.encoder == "none":
        if config.equal_capacity and not config.w_dim:
            raise UserError("model.equal_capacity=True needs model.w_dim, the width of the code it goes without")
        return None, config.w_dim if config.equal_capacity else 0
    if config.equal_capacity:
        raise UserError(f"model.equal_capacity=True is for model.encoder='none', not for {config.encoder!r}")
    size = choose("model.encoder", config.encoder, ENCODER_SIZES | {"none": {}})
    size = size | given(config, ("w_dim",))
    if size["w_dim"] < 1:
        raise UserError(f"model.w_dim={size['w_dim']}; expected at least 1, or model.encoder='none' for no code")
    return make_encoder(data.shape, **size, dropout=config.encoder_dropout, dtype=dtype), size["w_dim"]


def _unet(config: ConfigDict, data: Dataset, w_dim: int) -> Network:
    unet = config.unet
    fourier = (unet.fourier_min, unet.fourier_max)
    return make_unet(
        data.shape,
        **choose("model.unet.size", unet.size, UNET_SIZES) | given(unet, ("channels", "num_blocks")),
        w_dim=w_dim,
        conditioning=unet.conditioning,
        zero_init=unet.zero_init,
        fourier=fourier if fourier[0] <= fourier[1] else None,
        num_heads=unet.num_heads,
        dropout=config.dropout,
        dtype=DTYPES[config.dtype],
    )
