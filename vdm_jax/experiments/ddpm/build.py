"""From a config of kind "ddpm" to plain objects: the data set, also of sprites, and the DDPM."""

import math

import jax
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.objective import WEIGHTINGS
from vdm_jax.diffusion.samplers import make_times
from vdm_jax.experiments.common.build import DTYPES, Experiment, check_target, fixed_table, given, load
from vdm_jax.experiments.common.checks import check_batch, check_numbers, check_settings, check_splits
from vdm_jax.models.ddpm import Ddpm
from vdm_jax.networks.multiscale_unet import make_multiscale_unet
from vdm_jax.networks.network import Network
from vdm_jax.networks.sizes import MULTISCALE_SIZES

NUMBERS = (
    (
        "at least 1",
        lambda value: value >= 1,
        "model.num_heads model.patch evaluate.reader_images evaluate.reader_steps sample.num_paths",
    ),
    ("1 to 65,536", lambda value: 1 <= value <= 65_536, "model.channels"),
    ("1 to 1,000", lambda value: 1 <= value <= 1_000, "model.num_blocks"),
    ("0 to 1,000,000", lambda value: 0 <= value <= 1_000_000, "evaluate.coverage_images"),
    ("a number above 0", lambda value: 0 < value < math.inf, "evaluate.sprite_tolerance"),
)


def build_ddpm(config: ConfigDict, data: Dataset | None = None) -> Experiment:
    """Looks at every setting, loads the data, binds the network; nothing is compiled yet. Raises `UserError`.

    data: those of `config.data`, where they were loaded before.
    """
    check_settings(config)
    check_numbers(config, NUMBERS)
    schedule = fixed_table(config.diffusion)
    make_times(schedule, config.sample.num_steps, config.sample.grid)
    weighting = config.diffusion.weighting
    choose("weighting", weighting, WEIGHTINGS)
    if schedule.no_bound and weighting == "bound":
        raise UserError(f"weighting='bound' with schedule={config.diffusion.schedule!r}: {schedule.no_bound}")
    data = load(config.data) if data is None else data
    check_splits(data.name, train=len(data.train), test=len(data.test))
    check_batch(config.train, len(data.train), jax.device_count())
    return Experiment(config, data, make_ddpm(config, data))


def make_ddpm(config: ConfigDict, data: Dataset) -> Ddpm:
    """The model of `config.model` and `config.diffusion` for images like those of `data`."""
    check_target(config.diffusion.target, data.pixel_values)
    return Ddpm(
        unet=_unet(config.model, data.shape),
        fixed_schedule=fixed_table(config.diffusion),
        target=config.diffusion.target,
        weighting=config.diffusion.weighting,
        pixel_values=data.pixel_values,
        image_shape=data.shape,
    )


def _unet(config: ConfigDict, image_shape: tuple[int, int, int]) -> Network:
    size = choose("model.size", config.size, MULTISCALE_SIZES)
    size |= given(config, ("channels", "num_blocks", "multipliers", "attention", "patch"))
    unet = make_multiscale_unet(
        image_shape,
        **size,
        conditioning=config.conditioning,
        zero_init=config.zero_init,
        num_heads=config.num_heads,
        dropout=config.dropout,
        dtype=choose("dtype", config.dtype, DTYPES),
    )
    sides = [max(image_shape[:2]) // size.get("patch", 1) // 2**level for level in range(len(size["multipliers"]))]
    for side in given(config, ("attention",)).get("attention", ()):
        if side not in sides:
            raise UserError(f"model.attention has {side}; expected sides of the U-Net's levels, which are {sides}")
    return unet
