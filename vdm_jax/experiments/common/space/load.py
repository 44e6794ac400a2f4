"""Spaces from folders: a first stage in the format of Hugging Face diffusers, or a run of the kind autoencoder."""

import pathlib

import jax.numpy as jnp
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.pytrees import fingerprint
from vdm_jax.base.space import Space
from vdm_jax.data.dataset import Dataset
from vdm_jax.data.encoded import about_of
from vdm_jax.experiments.common.autoencoders import RENAMED, make_autoencoder
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.launch.settings import read_config, with_new_names
from vdm_jax.models.autoencoder import Autoencoder
from vdm_jax.networks.diffusers_weights import CONFIG, is_diffusers, read_diffusers

AUTOENCODER = "autoencoder"  # the kind
DIFFUSERS = "diffusers"  # what records call a foreign first stage


def load_space(folder: str | pathlib.Path, data: Dataset) -> Space:
    """The space of images like those of `data` that the weights in a folder make.

    folder: with config.json and *.safetensors of an AutoencoderKL or a VQModel of diffusers, or a run of the kind
    autoencoder. Raises `UserError` where it holds neither, or one that does not fit the images.
    """
    folder = pathlib.Path(folder)
    return diffusers_space(folder, data) if kind_of_space(folder) == DIFFUSERS else run_space(folder, data)


def kind_of_space(folder: pathlib.Path) -> str:
    """ "diffusers" or "autoencoder". Raises `UserError` where the folder holds neither."""
    way_out = f"name a run of kind {AUTOENCODER!r}, or a folder with a first stage of diffusers"
    if not (folder / CONFIG).is_file():
        raise UserError(f"{folder} holds no space: there is no {CONFIG}; {way_out}")
    if is_diffusers(folder):
        return DIFFUSERS
    config = read_config(folder / CONFIG)
    if config.get("kind") != AUTOENCODER:
        raise UserError(f"{folder} holds a run of kind {config.get('kind')!r}, which makes no space; {way_out}")
    if any((config.get("ensemble") or {}).values()):
        raise UserError(f"{folder} holds an ensemble of autoencoders; name one of its members, {folder}/members/NAME")
    return AUTOENCODER


def check_named(folder: pathlib.Path) -> None:
    """Raises `UserError` where the folder holds no space, or an autoencoder whose images are not encoded."""
    if kind_of_space(folder) == AUTOENCODER:
        about_of(folder)


def diffusers_space(folder: pathlib.Path, data: Dataset) -> Space:
    """The space of an AutoencoderKL, or of a VQModel, whose moments are those before the lookup of the codes.

    Both see 2 level / (K - 1) - 1, as in diffusers, whatever the pixel values of `data` are; `decode` returns pixel
    values of `data`. x is scaled and shifted as that library's pipelines do. The decoder has no likelihood.
    """
    backbone, params = read_diffusers(folder, data.shape)
    values = data.pixel_values
    top, low, high = len(values) - 1, float(values[0]), float(values[-1])

    def moments(params, levels):
        mean, logvar = backbone.encoder.apply(params["encoder"], levels.astype(jnp.float32) * (2 / top) - 1)
        return mean, None if logvar is None else jnp.exp(logvar)

    def decode(params, x):
        return low + (backbone.decoder.apply(params["decoder"], x) + 1) * ((high - low) / 2)

    return Space(
        name=folder.name,
        fingerprint=fingerprint(params),
        shape=backbone.latent_shape,
        params=params,
        moments=moments,
        decode=decode,
        log_prob=None,
        x_range=None,
    )


def run_space(folder: pathlib.Path, data: Dataset) -> Space:
    """The space of the run of the kind autoencoder in `folder`, with the weights that its config's evaluation names."""
    config, model = load_autoencoder(folder, data)
    params = load_weights(folder, model, config).params
    return model.space(params, folder.name, fingerprint(params))


def load_autoencoder(folder: pathlib.Path, data: Dataset) -> tuple[ConfigDict, Autoencoder]:
    """The config of the run of the kind autoencoder in `folder`, with the names of today, and its model."""
    today: dict[str, dict[str, None]] = {}
    for name in RENAMED.values():
        section, _, last = name.partition(".")
        today.setdefault(section, {})[last] = None
    config = ConfigDict(with_new_names(read_config(folder / CONFIG), RENAMED, today))
    return config, make_autoencoder(config, data)
