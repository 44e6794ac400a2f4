"""The trained diffusion models of the forward process: a DDPM that is trained first, and its settings."""

from typing import Any

from ml_collections import ConfigDict

from vdm_jax.launch.config_files import flat, load_config
from vdm_jax.launch.kind import Need

NAME = "model"  # of the need


def variant(config: ConfigDict) -> str:
    """The config file of the DDPM, with its variant."""
    return f"configs/ddpm.py:{config.model.train}"


def overrides(config: ConfigDict) -> dict[str, Any]:
    """The settings of the DDPM that this config states: its data, the number of updates and of channels."""
    stated = {"train.num_steps": config.model.num_steps, "model.channels": config.model.channels}
    data = {f"data.{name}": config.data[name] for name in flat(config.data)}
    return data | {name: value for name, value in stated.items() if value is not None}


def needs_of_model(config: ConfigDict) -> dict[str, Need]:
    """The DDPM of `model.train`, where `model.workdir` names no trained model."""
    if config.model.workdir or not config.model.train:
        return {}
    return {NAME: Need(variant(config), overrides(config), ("train",), "model.workdir")}


def training_config(config: ConfigDict) -> ConfigDict:
    """The config of the DDPM that `model.train` names. Raises `UserError`."""
    own = load_config(variant(config))
    own.update_from_flattened_dict(overrides(config))
    return own
