"""The section `space` of a config: where diffusion and probes live. Empty: in pixels."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from vdm_jax.base.errors import choose
from vdm_jax.experiments.common.build import not_empty
from vdm_jax.experiments.common.space.encoded import SCALES
from vdm_jax.launch.choices import Choice
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
    data = {f"data.{name}": value for name, value in config.data.items() if value is not None}
    need = Need(f"autoencoder.py:{space.train}", data, ("train", "encode"), "space.workdir")
    return {NAME: need}


def check_space(config: ConfigDict) -> None:
    """Raises `UserError` for an unknown scale."""
    choose("config.space.scale", config.space.scale, SCALES)


def _is_named(settings: Mapping[str, Any]) -> str:
    return "DIR" if value_of(settings, "space.workdir") else ""
