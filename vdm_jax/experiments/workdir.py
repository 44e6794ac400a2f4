"""A run's folder: it belongs to one config, and says so."""

import json
import pathlib

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json

# What a trained checkpoint depends on; the other sections may change from job to job.
IDENTITY = ("data", "model", "diffusion", "rate", "train")


def check(workdir: pathlib.Path, config: ConfigDict) -> None:
    """Raises `UserError` where the folder holds a run of another config.

    With a constant learning rate `train.num_steps` may change: the run is then continued to the new length.
    """
    path = workdir / "config.json"
    if not path.exists():
        return
    stored = read_config(path)
    wanted = json.loads(config.to_json())
    differences = [line for name in IDENTITY for line in _differences(stored.get(name), wanted[name], name)]
    if wanted["train"]["learning_rate_schedule"] == "constant":
        differences = [line for line in differences if not line.startswith("train.num_steps ")]
    if differences:
        told = "; ".join(differences[:3])
        raise UserError(f"workdir {workdir} holds another config: {told}; choose another --workdir or set these back")


def read_config(path: pathlib.Path) -> dict:
    """A `config.json` as plain values; `UserError` where it is none."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); choose another --workdir") from error
    if not isinstance(stored, dict):
        raise UserError(f"{path} holds no config; choose another --workdir")
    return stored


def claim(workdir: pathlib.Path, config: ConfigDict) -> None:
    """Writes `config.json`; `UserError` where that cannot be done."""
    try:
        write_json(workdir / "config.json", json.loads(config.to_json()))
    except OSError as error:
        raise UserError(f"workdir {workdir} cannot be written: {error}") from error


def _differences(stored, wanted, name: str):
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for key in sorted(stored.keys() | wanted.keys()):
            yield from _differences(stored.get(key), wanted.get(key), f"{name}.{key}")
    elif stored != wanted:
        yield f"{name} is {stored!r} there and {wanted!r} here"
