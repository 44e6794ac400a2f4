"""The section `space` of a config: where diffusion and probes live. Empty: in pixels."""

import pathlib
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.experiments.common.build import not_empty
from vdm_jax.experiments.common.space.encoded import SCALES
from vdm_jax.experiments.common.space.load import check_named
from vdm_jax.launch.choices import Choice
from vdm_jax.launch.config_files import flat, load_config
from vdm_jax.launch.kind import Need
from vdm_jax.launch.settings import value_of

SPACE_IMPLIED: dict[str, Any] = {
    "space.workdir": "",
    "space.train": "",
    "space.scale": "none",
    "space.sampled": True,
}  # of files that are older than the section
NAME = "space"  # of the need
OF_A_SPACE = ("space.scale", "space.sampled")
SPACE_CHOICES: tuple[Choice, ...] = (
    Choice("space.workdir", {"DIR": OF_A_SPACE, "": ("space.train",)}, lambda settings: [_is_named(settings)]),
    not_empty("space.train", "VARIANT", OF_A_SPACE),
)
SPACE_FOLDERS = ("space.workdir",)  # of `Kind.folders`
SPACE_IGNORED = ("space.workdir", "space.train")  # the fingerprint says which space it is


def space_needs(config: ConfigDict) -> dict[str, Need]:
    """The space that is trained and encoded first, in WORKDIR/needs/space, where `space.workdir` names none.

    Its data are those of the config.
    """
    space = config.space
    if space.workdir or not space.train:
        return {}
    data = {f"data.{name}": config.data[name] for name in flat(config.data)}
    return {NAME: Need(trained_by(space.train), data, ("train", "encode"), "space.workdir")}


def trained_by(variant: str) -> str:
    """The config file of a space, with its variant."""
    return f"configs/autoencoder.py:{variant}"


def check_space(config: ConfigDict) -> None:
    """What can be judged before the data are read and the space is trained. Raises `UserError` for an unknown scale, as
    `check_variant`, and for a folder that `check_named` refuses."""
    choose("config.space.scale", config.space.scale, SCALES)
    check_variant(config.space)
    if config.space.workdir:
        check_named(pathlib.Path(config.space.workdir))


def check_variant(space: ConfigDict) -> None:
    """Raises `UserError` for an unknown variant of the space that is trained first, or one that makes no space.

    space: `config.space`.
    """
    if space.train and not space.workdir and load_config(trained_by(space.train)).model.conditional:
        why = f"config.space.train={space.train!r} is conditional: a code decodes to an image only with a label"
        raise UserError(f"{why}; choose another variant of configs/autoencoder.py")


def _is_named(settings: Mapping[str, Any]) -> str:
    return "DIR" if value_of(settings, "space.workdir") else ""
