"""From a config of kind "vae_vdm" to the data set and the model."""

import jax
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.samplers import make_times
from vdm_jax.experiments.common.build import Experiment, load
from vdm_jax.experiments.common.checks import check_batch, check_data, check_settings
from vdm_jax.experiments.common.models import make_vae_vdm


def build(config: ConfigDict, folder: str = "") -> Experiment:
    """Checks every setting, loads the data and binds the networks; nothing is compiled yet. Raises `UserError`.

    folder: of the data, where `config.data` names none.
    """
    check_settings(config)
    data = load(config.data, folder)
    check_data(data, config.evaluate)
    model = make_vae_vdm(config, data)
    fewest_images = model.code.rate.fewest_images if model.code else 1
    check_batch(config.train, len(data.train), jax.device_count(), fewest_images)
    if config.sample.get("png_folder") and model.code and not model.code.has_prior:
        why = f"config.sample.png_folder=True: no images are drawn from a prior, as {model.code.no_bound}"
        raise UserError(f"{why}; leave it at False")
    parts = config.train.accumulate * jax.device_count()
    if model.code and model.code.rate.steered_by_held_out and len(data.validation) < parts:
        needs = f"config.rate.mode={config.rate.mode!r} needs {parts} validation images, one for each device and part"
        raise UserError(f"{needs} of a batch (config.train.accumulate); data {data.name!r} have {len(data.validation)}")
    if model.fixed_schedule:  # raises where a table has no such grid to sample over
        make_times(model.fixed_schedule, config.sample.num_steps, config.sample.grid)
    return Experiment(config, data, model)
