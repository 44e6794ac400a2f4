"""The command line: absl flags and one ml_collections config, every mistake told in one sentence."""

import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from absl import flags
from ml_collections import ConfigDict, config_flags

from vdm_jax.base.errors import UserError, choose, suggestion


class Arguments(NamedTuple):
    """What the user asked for: a locked config, a folder, the jobs in their order."""

    config: ConfigDict
    workdir: pathlib.Path
    jobs: list[str]


def parse(argv: Sequence[str], default_config: str, jobs: Iterable[str]) -> Arguments:
    """Reads `--config=FILE.py[:VARIANT] --config.KEY=VALUE --workdir=DIR --jobs=A,B`.

    Without `--config`, a workdir that holds a `config.json` brings its own. Raises `UserError` for any mistake.
    """
    values = flags.FlagValues()
    config_flags.DEFINE_config_file(
        "config", default_config, "Config file, with :VARIANT; --config.KEY=VALUE overrides.", flag_values=values
    )
    flags.DEFINE_string("workdir", "", "Folder of the run; default results/runs/NAME.", flag_values=values)
    flags.DEFINE_list("jobs", list(jobs), f"Any of {','.join(jobs)}, run in the order given.", flag_values=values)
    _require_config_file(argv)
    try:
        rest = values(list(argv))
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(_sentence(error)) from error
    if rest[1:]:
        raise UserError(f"unexpected argument {rest[1]!r}; settings are written --config.KEY=VALUE")
    for job in values.jobs:
        choose("job", job, {name: name for name in jobs})
    config, workdir = values.config, values.workdir
    stored = pathlib.Path(workdir, "config.json")
    if workdir and not values["config"].present and stored.is_file():
        config = _stored_config(stored, config, config_flags.get_override_values(values["config"]))
    return Arguments(config, pathlib.Path(workdir or f"results/runs/{config.name}"), values.jobs)


def _require_config_file(argv: Sequence[str]) -> None:
    for argument in argv[1:]:
        name, _, value = argument.lstrip("-").partition("=")
        path = pathlib.Path(value.partition(":")[0])
        if name == "config" and not path.is_file():
            there = sorted(str(file) for file in pathlib.Path("configs").glob("*.py"))
            raise UserError(
                f"config file {str(path)!r} not found; expected one of {there}{suggestion(str(path), there)}"
            )


def _stored_config(path: pathlib.Path, default: ConfigDict, overrides: dict) -> ConfigDict:
    try:
        config = ConfigDict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a config ({error}); give --config") from error
    for key in overrides:
        if key not in dict(_flat(config)):
            raise UserError(f"config.{key} is not in {path}{suggestion(key, dict(_flat(config)))}")
    config.update_from_flattened_dict(overrides)
    return config.lock()


def _flat(config: ConfigDict, prefix: str = ""):
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            yield from _flat(value, f"{prefix}{key}.")
        yield f"{prefix}{key}", value


def _sentence(error: Exception) -> str:
    """The last line of a nested traceback, without its class; absl's and ml_collections' own words otherwise."""
    lines = [line.strip() for line in str(error.args[0] if error.args else error).strip().splitlines() if line.strip()]
    if "Traceback (most recent call last):" in lines:
        return lines[-1].partition(": ")[2]
    return "; ".join(line.strip("'\"") for line in lines)
