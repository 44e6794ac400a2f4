"""A trained diffusion model whose chains are compared with the exact curves of the same data and noise."""

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jax.tree_util import Partial
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.pytrees import fingerprint
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.prediction import Denoise
from vdm_jax.experiments.common.checkpoints import load_weights, step_of
from vdm_jax.experiments.common.jobs import LOG
from vdm_jax.experiments.common.models import MODELS, make_model
from vdm_jax.experiments.common.space.encoded import EncodedSpace
from vdm_jax.launch.settings import differences, differences_of, plain, read_config
from vdm_jax.launch.store import read_claim
from vdm_jax.train.metrics import read_metrics

LATENT = "latent_diffusion"  # the kind whose models live in a space
SECTIONS = ("data", "model", "diffusion")  # without which no model can be made
OF_VERSION_0_1 = (*SECTIONS, "rate", "train")  # sections of its config.json that the weights depend on


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained model without a code.

    denoise: by the averaged weights, which it carries as a `Partial`. x_range: of the pixels; None in a space without
    one. about: for the records, {"step", "weights", "fingerprint" of the weights, "validation" (scores of the training
    at that step, where its metrics have them), and the sections of the config that they depend on}.
    """

    denoise: Denoise
    x_range: tuple[float, float] | None
    about: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        return self.about["fingerprint"]


def load_trained(
    workdir: str,
    checkpoint: str,
    config: ConfigDict,
    data: Dataset,
    space: EncodedSpace | None = None,
    section: str = "chains",
    setting: str = "model",
) -> TrainedModel:
    """The model trained in `workdir` for probes of `config` and `data`; without a section `diffusion` in `config` under
    any table of noise.

    section, setting: of the config, which named the workdir; the section also has the setting `checkpoint`. In pixels
    the model is a DDPM or an unconditional VAE-VDM, in a space a latent diffusion model of that space. Raises
    `UserError` where there is none, or one of other data, another space or another diffusion, or one with a code.
    """
    named, folder = f"config.{section}.{setting}={workdir}", pathlib.Path(workdir)
    kind, stored = check_trained(workdir, config, space is not None, section, setting)
    there = read_stored(folder / "data.json", named).get("fingerprint")
    if there != data.fingerprint:
        name = f"of the name {config.data.name!r}"
        raise UserError(f"{named} was trained on other data {name}: on {there}, and these are {data.fingerprint}")
    if space is not None:
        _refuse_other_space(folder, named, stored, space)
    model = make_model(as_config(kind, stored), data, None if space is None else space.space)
    if model.code is not None:
        raise UserError(f"{named} has a code; expected a model without one")
    chosen = ConfigDict(dict(evaluate=dict(weights="ema", checkpoint=checkpoint)))
    weights = load_weights(folder, model, chosen, f"config.{section}.checkpoint")
    about = {"step": weights.step, "weights": weights.kind, "fingerprint": fingerprint(weights.params)}
    about |= {"validation": _validation_at(folder, weights.step)} | stored
    denoise = Partial(lambda params, z, t: model.denoise(params)(z, t), weights.params)
    return TrainedModel(denoise, model.x_range, about)


def check_trained(
    workdir: str, config: ConfigDict, in_space: bool, section: str = "chains", setting: str = "model"
) -> tuple[str, dict[str, Any]]:
    """(kind, settings that the weights depend on) of the model trained in `workdir`, from its small files alone.

    in_space: whether it lives in a space. Other arguments as of `load_trained`, which has more to judge. Raises
    `UserError`.
    """
    named, folder = f"config.{section}.{setting}={workdir}", pathlib.Path(workdir)
    kind, stored = stated_settings(folder, named)
    read_stored(folder / "data.json", named)
    fitting = tuple(sorted(name for name in MODELS if (name == LATENT) == in_space))
    if kind not in fitting:
        where = "in a space" if in_space else "in pixels"
        raise UserError(f"{named} is of kind {kind!r}; {where} expected one of {fitting}")
    if lacking := [name for name in SECTIONS if not isinstance(stored.get(name), dict)]:
        raise UserError(f"{named}: its config.json has no {lacking[0]}")
    if (pixel_max := stored["diffusion"].get("pixel_max")) is not None:
        raise UserError(f"{named} has pixels in ±{pixel_max:g}; expected those of the data")
    _refuse_others(named, stored, plain(config))
    return kind, stored


def _validation_at(folder: pathlib.Path, step: int) -> dict[str, float]:
    """{"bound", "loss", …} of the validation images at a step; {} where the metrics have none."""
    try:
        rows = read_metrics(folder / LOG)
    except UserError:
        return {}
    rows = [row for row in rows if row.get("split") == "validation" and row["step"] == step]
    return {name: value for row in rows for name, value in row.items() if name not in ("step", "split", "seconds")}


def stated_settings(folder: pathlib.Path, named: str = "") -> tuple[str | None, dict[str, Any]]:
    """(kind, settings that the weights depend on) of the model trained in a folder. Raises `UserError`.

    The claim of its training states them; in a folder of version 0.1, config.json. named: what named the folder.
    """
    stated = read_claim(folder, "train")
    if isinstance(stated.get("settings"), dict):
        return stated.get("kind"), stated["settings"]
    config = read_stored(folder / "config.json", named)
    return config.get("kind"), {name: config[name] for name in OF_VERSION_0_1 if name in config}


def is_about_model(about: Mapping[str, Any], folder: pathlib.Path, checkpoint: str) -> bool:
    """Whether a record's `TrainedModel.about` is of the checkpoint and the settings that are in the folder now."""
    try:
        step = step_of(folder, checkpoint)
        stated = stated_settings(folder)[1]
    except UserError:
        step, stated = None, {}
    of_step = ("data.dir", "train.num_steps", "train.writers")  # the step says how long it was trained
    there = [name for name in stated if name in about]
    return about.get("step") == step and not differences(about, stated, there, of_step)


def read_stored(path: pathlib.Path, named: str) -> dict[str, Any]:
    """A JSON file of a trained run. named: what named its folder. Raises `UserError` where it cannot be read."""
    try:
        return read_config(path)
    except UserError as error:
        told = f"{named or path.parent}: no trained model there, {path.name} cannot be read"
        raise UserError(told) from error


def as_config(kind: str, stored: dict[str, Any]) -> ConfigDict:
    """The kind and the sections; JSON has lists where a config has tuples."""
    sections = {name: part for name, part in stored.items() if isinstance(part, dict)}
    config = ConfigDict({"kind": kind})
    for name, part in sections.items():
        config[name] = {key: tuple(value) if isinstance(value, list) else value for key, value in part.items()}
    return config


def _refuse_other_space(folder: pathlib.Path, named: str, stored: dict[str, Any], space: EncodedSpace) -> None:
    """Raises `UserError` where the model was trained in a space of other weights or another scale, or on means of
    latents where these are sampled, or the reverse."""
    there, here = read_claim(folder, "train").get("inputs", {}).get("space"), space.fingerprint
    if there != here:
        other = f"{named} was trained in another space than that of config.space, or at another"
        raise UserError(f"{other} config.space.scale: its space is {there}, this one {here}")
    sampled = stored.get("space", {}).get("sampled", True)
    if space.encoded.variance is not None and sampled != space.sampled:
        raise UserError(f"{named} has space.sampled={sampled}, these probes {space.sampled}")


def _refuse_others(named: str, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises `UserError` where the probes have another source or name of the data, or another table of noise."""
    for section, names in (("data", ("source", "name")), ("diffusion", tuple(wanted.get("diffusion", {})))):
        there, here = ({name: part.get(name) for name in names} for part in (stored[section], wanted.get(section, {})))
        if told := list(differences_of(there, here, section)):
            other = f"{named} is of other data or another diffusion than these probes"
            raise UserError(f"{other}: {'; '.join(told[:3])}")
