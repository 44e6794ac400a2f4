"""A trained diffusion model whose chains are compared with the exact curves of the same data and noise."""

import pathlib
from dataclasses import dataclass
from typing import Any

from jax.tree_util import Partial
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.pytrees import fingerprint
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.prediction import Denoise
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.models import make_model
from vdm_jax.launch.settings import differences_of, plain, read_config

KINDS = ("ddpm", "vae_vdm")  # of models that are trained
SECTIONS = ("data", "model", "diffusion")  # of its config
DEPENDS_ON = (*SECTIONS, "train")  # sections that its weights depend on


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained model without a code.

    denoise: by the averaged weights, which it carries as a `Partial`. x_range: of the pixels. about: for the records,
    {"step", "weights", "fingerprint" of the weights, and the sections of the config that they depend on}.
    """

    denoise: Denoise
    x_range: tuple[float, float]
    about: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        return self.about["fingerprint"]


def load_trained(workdir: str, checkpoint: str, config: ConfigDict, data: Dataset) -> TrainedModel:
    """The model trained in `workdir`, a DDPM or an unconditional VAE-VDM, for probes of `config` and `data`.

    Raises `UserError` where there is none, or one of other data or another diffusion, or one with a code.
    """
    folder = pathlib.Path(workdir)
    stored, trained_on = (_read(folder / name, workdir) for name in ("config.json", "data.json"))
    if stored.get("kind") not in KINDS:
        raise UserError(f"config.chains.model={workdir} is of kind {stored.get('kind')!r}; expected one of {KINDS}")
    if lacking := [name for name in SECTIONS if not isinstance(stored.get(name), dict)]:
        raise UserError(f"config.chains.model={workdir}: its config.json has no {lacking[0]}")
    _refuse_others(workdir, stored, plain(config))
    if trained_on.get("fingerprint") != data.fingerprint:
        raise UserError(f"config.chains.model={workdir} was trained on other data of the name {config.data.name!r}")
    model = make_model(_as_config(stored), data)
    if model.code is not None:
        raise UserError(f"config.chains.model={workdir} has a code; expected a model without one")
    chosen = ConfigDict(dict(evaluate=dict(weights="ema", checkpoint=checkpoint)))
    weights = load_weights(folder, model, chosen)
    low, high = data.pixel_values[[0, -1]].tolist()
    about = {"step": weights.step, "weights": weights.kind, "fingerprint": fingerprint(weights.params)}
    about |= {name: stored[name] for name in DEPENDS_ON if name in stored}
    denoise = Partial(lambda params, z, t: model.denoise(params)(z, t), weights.params)
    return TrainedModel(denoise, (low, high), about)


def _read(path: pathlib.Path, workdir: str) -> dict[str, Any]:
    try:
        return read_config(path)
    except UserError as error:
        raise UserError(f"config.chains.model={workdir}: no trained model there, {path.name} cannot be read") from error


def _as_config(stored: dict[str, Any]) -> ConfigDict:
    """The kind and the sections; JSON has lists where a config has tuples."""
    sections = {name: part for name, part in stored.items() if isinstance(part, dict)}
    config = ConfigDict({"kind": stored["kind"]})
    for name, part in sections.items():
        config[name] = {key: tuple(value) if isinstance(value, list) else value for key, value in part.items()}
    return config


def _refuse_others(workdir: str, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises `UserError` where the probes have another source or name of the data, or another table of noise."""
    for section, names in (("data", ("source", "name")), ("diffusion", tuple(wanted["diffusion"]))):
        there, here = ({name: part.get(name) for name in names} for part in (stored[section], wanted[section]))
        if told := list(differences_of(there, here, section)):
            other = f"config.chains.model={workdir} is of other data or another diffusion than these probes"
            raise UserError(f"{other}: {'; '.join(told[:3])}")
