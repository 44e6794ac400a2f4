"""A trained DDPM as a subject of the probes' experiments: of the same data and noise, or a sentence that says no."""

import pathlib
from dataclasses import dataclass
from typing import Any

from jax.tree_util import Partial
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.pytrees import fingerprint
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.gaussian import EpsFn
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.ddpm.build import make_ddpm
from vdm_jax.launch import store as workdirs

KIND = "ddpm"
SECTIONS = ("data", "model", "diffusion")  # of its config
DEPENDS_ON = (*SECTIONS, "train")  # sections that its weights depend on


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """`eps_fn(z, t)` by the averaged weights; `x_range` of the pixels. `about` goes into the records: {"step",
    "weights", "fingerprint" of the weights, and the sections of the config that they depend on}."""

    eps_fn: EpsFn
    x_range: tuple[float, float]
    about: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        return self.about["fingerprint"]


def load_trained(workdir: str, checkpoint: str, config: ConfigDict, data: Dataset) -> TrainedModel:
    """The DDPM trained in `workdir`, for probes of `config`. Raises `UserError` where there is none, or one of other
    data, of another grid of them, or of another diffusion."""
    folder = pathlib.Path(workdir)
    stored, trained_on = (_read(folder / name, workdir) for name in ("config.json", "data.json"))
    if stored.get("kind") != KIND:
        raise UserError(f"config.chains.model={workdir} is of kind {stored.get('kind')!r}; expected {KIND!r}")
    if lacking := [name for name in SECTIONS if not isinstance(stored.get(name), dict)]:
        raise UserError(f"config.chains.model={workdir}: its config.json has no {lacking[0]}")
    _refuse_others(workdir, stored, workdirs.plain(config))
    if trained_on.get("fingerprint") != data.fingerprint:
        raise UserError(f"config.chains.model={workdir} was trained on other data of the name {config.data.name!r}")
    model = make_ddpm(_as_config(stored), data)
    chosen = ConfigDict(dict(evaluate=dict(weights="ema", checkpoint=checkpoint)))
    weights = load_weights(folder, model, chosen)
    low, high = data.pixel_values[[0, -1]].tolist()
    about = {"step": weights.step, "weights": weights.kind, "fingerprint": fingerprint(weights.params)}
    about |= {name: stored[name] for name in DEPENDS_ON if name in stored}
    eps_fn = Partial(lambda params, z, t: model.eps_fn(params)(z, t), weights.params)
    return TrainedModel(eps_fn, (low, high), about)


def _read(path: pathlib.Path, workdir: str) -> dict[str, Any]:
    try:
        return workdirs.read_config(path)
    except UserError as error:
        raise UserError(f"config.chains.model={workdir}: no trained model there, {path.name} cannot be read") from error


def _as_config(stored: dict[str, Any]) -> ConfigDict:
    """JSON has lists where a config has tuples."""
    sections = {name: part for name, part in stored.items() if isinstance(part, dict)}
    return ConfigDict(
        {
            name: {key: tuple(value) if isinstance(value, list) else value for key, value in part.items()}
            for name, part in sections.items()
        }
    )


def _refuse_others(workdir: str, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises `UserError` where the probes state another source or name of the data, or another table of noise."""
    for section, names in (("data", ("source", "name")), ("diffusion", tuple(wanted["diffusion"]))):
        there, here = ({name: part.get(name) for name in names} for part in (stored[section], wanted[section]))
        if told := list(workdirs.differences_of(there, here, section)):
            raise UserError(f"config.chains.model={workdir} is another model than these probes': {'; '.join(told[:3])}")
