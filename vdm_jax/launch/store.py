"""A run's folder: it belongs to one config, and says so."""

import hashlib
import json
import os
import pathlib
from collections.abc import Iterator

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.launch.renamed import with_new_names
from vdm_jax.train.checkpoint import saved_checkpoints

# What a trained checkpoint depends on, where the kind has it; the other sections may change from job to job.
IDENTITY = ("data", "model", "diffusion", "rate", "train")

MEASURED = ("exact.jsonl", "probe", "chains.jsonl", "chain_probes")  # what a run of probes leaves as it goes


def plain(config: ConfigDict) -> dict:
    """The config as JSON has it."""
    return json.loads(config.to_json())


def identity_of(stated: dict) -> dict:
    """The sections that a checkpoint depends on, without the place of the data: these are known by their content."""
    sections = {name: stated[name] for name in IDENTITY if name in stated}
    if isinstance(data := sections.get("data"), dict) and "dir" in data:
        sections["data"] = data | {"dir": ""}
    return sections


def check(workdir: pathlib.Path, config: ConfigDict, data: str) -> None:
    """Raises `UserError` where the folder holds a run of another config, or of other data under the same name.

    `data`: the data set's fingerprint. With a constant learning rate `train.num_steps` may change: the run is then
    continued to the new length. A folder without a checkpoint holds no run yet, or one of measurements.
    """
    if not saved_checkpoints(workdir / "checkpoints"):
        if measured := [name for name in MEASURED if (workdir / name).exists()]:
            raise UserError(f"workdir {workdir} holds measurements, {measured[0]}; choose another --workdir")
        return
    stored, wanted = read_config(workdir / "config.json"), plain(config)
    kind = stored.get("kind", wanted["kind"])
    differences = list(differences_of(kind, wanted["kind"], "kind"))
    there, here = identity_of(stored), identity_of(wanted)
    differences += [line for name in IDENTITY for line in differences_of(there.get(name), here.get(name), name)]
    if wanted["train"]["learning_rate_schedule"] == "constant":
        differences = [line for line in differences if not line.startswith("train.num_steps ")]
    if differences:
        told = "; ".join(differences[:3])
        raise UserError(f"workdir {workdir} holds another config: {told}; choose another --workdir or set these back")
    there = read_config(workdir / "data.json").get("fingerprint")
    if there != data:
        raise UserError(f"workdir {workdir} was trained on other data of that name: {there} there, {data} here")


def check_place(folder: pathlib.Path, flag: str) -> None:
    """Raises `UserError` where the folder that `flag` names is none, or cannot be made or written; writes nothing."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"{there} is no folder; choose another --{flag}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{there} cannot be written; choose another --{flag}")


def owner(config: ConfigDict, data: str) -> str:
    """A digest of what a checkpoint depends on, as `check` compares it."""
    identity = identity_of(plain(config))
    if identity["train"]["learning_rate_schedule"] == "constant":
        identity["train"] = identity["train"] | {"num_steps": None}
    return hashlib.sha256(json.dumps([identity, data], sort_keys=True).encode()).hexdigest()[:16]


def claim(workdir: pathlib.Path, config: ConfigDict, data: str) -> None:
    """Writes `config.json` and `data.json`; `UserError` where that cannot be done."""
    try:
        write_json(workdir / "config.json", plain(config))
        write_json(workdir / "data.json", {"fingerprint": data})
    except OSError as error:
        raise UserError(f"workdir {workdir} cannot be written: {error}") from error


def read_config(path: pathlib.Path) -> dict:
    """A `config.json` (or `data.json`) as plain values, under the names of now; `UserError` where it is none."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); choose another --workdir") from error
    if not isinstance(stored, dict):
        raise UserError(f"{path} holds no config; choose another --workdir")
    return with_new_names(stored)


def differences_of(stored, wanted, name: str) -> Iterator[str]:
    """What a stored config says otherwise, a clause each."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for key in sorted(stored.keys()):  # a setting that came after the run says nothing about it
            yield from differences_of(stored[key], wanted.get(key), f"{name}.{key}")
    elif stored != wanted:
        yield f"{name} is {stored!r} there and {wanted!r} here"
