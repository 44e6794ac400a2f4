"""A run's folder: it belongs to one config, and says so."""

import json
import pathlib

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json

# What a trained checkpoint depends on; the other sections may change from job to job.
IDENTITY = ("data", "model", "diffusion", "rate", "train")


def claim(workdir: pathlib.Path, config: ConfigDict) -> None:
    """Writes `config.json`, or raises `UserError` where the folder holds a run of another config.

    With a constant learning rate `train.num_steps` may change: the run is then continued to the new length.
    """
    path = workdir / "config.json"
    wanted = json.loads(config.to_json())
    if path.exists():
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path} is not JSON ({error}); choose another --workdir") from error
        differences = [line for name in IDENTITY for line in _differences(stored.get(name), wanted[name], name)]
        if wanted["train"]["learning_rate_schedule"] == "constant":
            differences = [line for line in differences if not line.startswith("train.num_steps ")]
        if differences:
            raise UserError(f"workdir {workdir} holds another config: {'; '.join(differences[:3])}; choose another --workdir or set these back")
    try:
        write_json(path, wanted)
    except OSError as error:
        raise UserError(f"workdir {workdir} cannot be written: {error}") from error


def _differences(stored, wanted, name: str):
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for key in sorted(stored.keys() | wanted.keys()):
            yield from _differences(stored.get(key), wanted.get(key), f"{name}.{key}")
    elif stored != wanted:
        yield f"{name} is {stored!r} there and {wanted!r} here"
