"""The section `space` of a config: where diffusion and probes live. Empty: in pixels."""

from typing import Any

from ml_collections import ConfigDict

from vdm_jax.base.errors import choose
from vdm_jax.experiments.common.build import not_empty
from vdm_jax.experiments.common.space.encoded import SCALES
from vdm_jax.launch.choices import Choice
from vdm_jax.launch.kind import Need

SPACE_IMPLIED: dict[str, Any] = {
    "space.workdir": "",
    "space.train": "",
    "space.scale": "none",
    "space.sampled": True,
}  # of files that are older than the section
NAME = "space"  # of the need
OF_A_SPACE = ("space.scale", "space.sampled")
SPACE_CHOICES: tuple[Choice, ...] = (  # a folder that is named is taken, whatever would be trained
    not_empty("space.workdir", "a folder", ())._replace(reads={"a folder": OF_A_SPACE, "": ("space.train",)}),
    not_empty("space.train", "a variant", OF_A_SPACE),
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
    """Raises `UserError` for settings of the section that cannot be."""
    choose("config.space.scale", config.space.scale, SCALES)
