"""The command line: absl flags and one ml_collections config, every mistake told in one sentence."""

import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from absl import flags
from ml_collections import ConfigDict, config_flags

from vdm_jax.base.errors import UserError, choose, suggestion
from vdm_jax.experiments import workdir as workdirs


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
    _require_config_file(argv)
    try:
        _define(values, argv, default_config, jobs)
        rest = values(list(argv))
    except (flags.Error, AttributeError, ImportError, KeyError, SyntaxError, TypeError, ValueError) as error:
        raise UserError(_sentence(error)) from error
    if rest[1:]:
        raise UserError(f"unexpected argument {rest[1]!r}; settings are written --config.KEY=VALUE")
    if not values.jobs:
        raise UserError(f"no job; expected --jobs with any of {sorted(jobs)}")
    for job in values.jobs:
        choose("job", job, {name: name for name in jobs})
    config, workdir = values.config, values.workdir
    stored = pathlib.Path(workdir, "config.json")
    if workdir and not values["config"].present and stored.is_file():
        config = _stored_config(stored, config, config_flags.get_override_values(values["config"]))
    return Arguments(config, pathlib.Path(workdir or f"results/runs/{config.name}"), values.jobs)


def _define(values: flags.FlagValues, argv: Sequence[str], default_config: str, jobs: Iterable[str]) -> None:
    """Defines the flags, one for each `--config.KEY` in `argv` among them: an unknown key raises here already."""
    config_flags.DEFINE_config_file(
        "config",
        default_config,
        "Config file, with :VARIANT; --config.KEY=VALUE overrides.",
        flag_values=values,
        sys_argv=list(argv),
    )
    flags.DEFINE_string("workdir", "", "Folder of the run; default results/runs/NAME.", flag_values=values)
    flags.DEFINE_list("jobs", list(jobs), f"Any of {','.join(jobs)}, run in the order given.", flag_values=values)


def _require_config_file(argv: Sequence[str]) -> None:
    for argument, following in zip(argv[1:], [*argv[2:], ""], strict=False):
        name, separator, value = argument.partition("=")
        value = value if separator else following
        path = pathlib.Path(value.partition(":")[0])
        if name in ("-config", "--config") and not path.is_file():
            there = sorted(str(file) for file in pathlib.Path("configs").glob("*.py"))
            raise UserError(
                f"config file {str(path)!r} not found; expected one of {there}{suggestion(str(path), there)}"
            )


def _stored_config(path: pathlib.Path, default: ConfigDict, overrides: dict) -> ConfigDict:
    config = ConfigDict(workdirs.read_config(path))
    if missing := sorted(set(default) - set(config)):
        raise UserError(f"{path} has no section {missing[0]!r}; give --config")
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
    message = error
    while isinstance(message, BaseException):  # a KeyError within an AttributeError, to show its text and not its repr
        message = message.args[0] if message.args else type(message).__name__
    lines = [line.strip() for line in str(message).splitlines() if line.strip()]
    if "Traceback (most recent call last):" in lines:
        return lines[-1].partition(": ")[2]
    if isinstance(error, (ImportError, SyntaxError)):
        return f"the config file cannot be run: {'; '.join(lines)}"
    unknown = isinstance(error, (AttributeError, KeyError)) and len(lines[0].split()) == 1
    return ("unknown setting " if unknown else "") + "; ".join(lines)
