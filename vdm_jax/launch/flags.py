"""The command line: absl flags and one ml_collections config, every mistake told in one sentence."""

import difflib
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from absl import flags
from ml_collections import ConfigDict, config_flags

from vdm_jax.base.errors import UserError, choose, suggestion
from vdm_jax.launch import store as workdirs

OF_A_RUN = ("workdir", "jobs", "stop_after", "archive", "sweep", "dry_run")  # flags beside those of the config
MOST_SECONDS = 1e9  # more than a timer takes is no time to wait for
FAULTS = (flags.Error, AttributeError, ImportError, KeyError, SyntaxError, TypeError, ValueError)


class Sweep(NamedTuple):
    """What was said of a sweep: which members, whether they are listed instead of run, and the jobs of all of them."""

    pattern: str
    dry_run: bool
    jobs: list[str] | None  # None: each member's own


class Arguments(NamedTuple):
    """What the user asked for: a locked config, a folder, the jobs in their order."""

    config: ConfigDict
    workdir: pathlib.Path
    jobs: list[str]
    stop_after: float | None  # seconds of training
    archive: pathlib.Path | None
    file: str  # FILE.py[:VARIANT], as it can be opened from here
    overrides: dict[str, Any]  # the settings that were typed
    sweep: Sweep | None


def parse(argv: Sequence[str], default_config: str, jobs_of: Callable[[ConfigDict], list[str]]) -> Arguments:
    """Reads `--config=FILE.py[:VARIANT] --config.KEY=VALUE --workdir=DIR --jobs=A,B --stop_after=SECONDS --archive=DIR
    --sweep[=PATTERN] --dry_run`.

    A FILE is looked for from here, then from the folder above that of `default_config`. Without `--config`, a workdir
    that holds a `config.json` brings its own; the workdir of a sweep does not. `jobs_of` tells the jobs of a config.
    Raises `UserError` for any mistake.
    """
    argv = _config_file_first(argv, pathlib.Path(default_config).parents[1])
    default_config = _default_for(argv, default_config)
    argv = ["--sweep=*" if argument in ("-sweep", "--sweep") else argument for argument in argv]
    _check_settings_exist(argv, default_config)
    values = _parse_values(argv, default_config)
    config, workdir = values.config, values.workdir
    overrides = config_flags.get_override_values(values["config"])
    if "kind" in overrides:
        kind = overrides["kind"]
        raise UserError(f"--config.kind={kind} is no choice: a config file has its kind; choose another --config")
    if not config.name:
        raise UserError("--config.name= is empty; expected a name, or leave it out")
    if values.sweep is not None:
        folder = workdir or f"results/runs/{pathlib.Path(_file(argv, default_config).partition(':')[0]).stem}-sweep"
        sweep = Sweep(values.sweep, values.dry_run, values.jobs)
    else:
        folder, sweep = workdir or f"results/runs/{config.name}", None
        stored = pathlib.Path(workdir, "config.json")
        if workdir and not values["config"].present and stored.is_file():
            own = workdirs.read_config(stored)
            _lay_over(config, own, stored)
            _tell_newer(config, own, stored)
            config.update_from_flattened_dict(overrides)
            folder = workdir
    archive = pathlib.Path(values.archive) if values.archive else None
    file = _file(argv, default_config)
    jobs = _chosen_jobs(values.jobs, config.get("jobs", ""), jobs_of(config))
    if (values.archive or values.stop_after) and ("train" not in jobs or config.kind == "probes"):
        raise UserError("--archive and --stop_after are for the training of a model; --jobs has none")
    return Arguments(config, pathlib.Path(folder), jobs, values.stop_after, archive, file, overrides, sweep)


def _parse_values(argv: Sequence[str], default_config: str) -> flags.FlagValues:
    """The flags' values, each of them possible."""
    values = flags.FlagValues()
    try:
        _define_config(values, argv, default_config)
        for define, name, default, meaning in (
            (flags.DEFINE_string, "workdir", "", "Folder of the run; default results/runs/NAME."),
            (flags.DEFINE_list, "jobs", None, "Jobs of this kind of config; default config.jobs, or all."),
            (flags.DEFINE_float, "stop_after", None, "Seconds of training, then save and stop as at SIGTERM."),
            (flags.DEFINE_string, "archive", "", "Folder that brings the run and takes it along, in parts."),
            (flags.DEFINE_string, "sweep", None, "Run the config file's get_sweep(), or members that match."),
            (flags.DEFINE_bool, "dry_run", False, "With --sweep: list the members' commands."),
        ):
            define(name, default, meaning, flag_values=values)
        rest = values(argv)
    except flags.UnrecognizedFlagError as error:
        names = ["config", *OF_A_RUN, *(f"config.{name}" for name in _names(argv, default_config))]
        raise UserError(f"unknown flag {error.flagname!r}{suggestion(error.flagname, names)}") from error
    except FAULTS as error:
        raise UserError(_sentence(error)) from error
    if rest[1:]:
        raise UserError(f"unexpected argument {rest[1]!r}; settings are written --config.KEY=VALUE")
    if values.stop_after is not None and not 0 < values.stop_after <= MOST_SECONDS:
        raise UserError(f"--stop_after={values.stop_after}; expected seconds, a number above 0 and at most 1e9")
    for name in ("workdir", "archive"):
        if values[name].present and not values[name].value:  # as a variable of the shell that is not set
            raise UserError(f"--{name}= names no folder; leave it out, or name one")
    if values.sweep is not None and (values.archive or values.stop_after):
        raise UserError("--archive and --stop_after are for one run, not for a sweep")
    if values.dry_run and values.sweep is None:
        raise UserError("--dry_run lists what a sweep would run; add --sweep")
    return values


def _chosen_jobs(typed: list[str] | None, own: str, there_are: list[str]) -> list[str]:
    """Those typed, or the config's own, or all."""
    of_config = [job.strip() for job in own.split(",")] if own else there_are
    for what, jobs in (("job of config.jobs", of_config), ("job", typed or [])):
        for job in jobs:
            choose(what, job, dict.fromkeys(there_are))
    if typed == []:
        raise UserError(f"no job; expected --jobs with any of {sorted(there_are)}")
    return of_config if typed is None else typed


def _file(argv: Sequence[str], default_config: str) -> str:
    """FILE.py[:VARIANT] of `argv`, after `_config_file_first`, or the default, as short as it can be written here."""
    chosen = [argument.removeprefix("--config=") for argument in argv[1:2] if argument.startswith("--config=")]
    path, here = pathlib.Path(chosen[0] if chosen else default_config), pathlib.Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _define_config(values: flags.FlagValues, argv: Sequence[str], default_config: str) -> None:
    """Defines `--config`, and one flag for each `--config.KEY` in `argv`."""
    config_flags.DEFINE_config_file(
        "config",
        default_config,
        "Config file, with :VARIANT; --config.KEY=VALUE overrides.",
        flag_values=values,
        sys_argv=list(argv),
    )


def _config_file_first(argv: Sequence[str], root: pathlib.Path) -> list[str]:
    """`argv` with `--config=FILE`, found, before the settings that change it."""
    program, *arguments = argv
    chosen, others = [], []
    arguments = iter(arguments)
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if name not in ("-config", "--config"):
            others.append(argument)
            continue
        value = value if separator else next(arguments, "")
        if not value or value.startswith("-"):
            raise UserError("--config needs a file, such as --config=configs/digits.py")
        chosen = [f"--config={_find(value, root)}"]
    return [program, *chosen, *others]


def _default_for(argv: Sequence[str], default_config: str) -> str:
    """The config file that knows the settings of a workdir's own config, or `default_config`."""
    workdir = [argument.partition("=")[2] for argument in argv if argument.lstrip("-").startswith("workdir=")]
    stored = pathlib.Path(workdir[-1], "config.json") if workdir else None
    if stored is None or not stored.is_file():
        return default_config
    own = pathlib.Path(default_config).with_name(f"{workdirs.read_config(stored).get('kind')}.py")
    return str(own) if own.is_file() else default_config


def _find(value: str, root: pathlib.Path) -> str:
    """FILE[:VARIANT] with the file's path as it can be opened from here."""
    name, colon, variant = value.partition(":")
    for path in (pathlib.Path(name), root / name):
        if path.is_file():
            return f"{path}{colon}{variant}"
    there = sorted(file.relative_to(root).as_posix() for file in root.glob("configs/*.py"))
    raise UserError(f"config file {name!r} not found; expected one of {there}{suggestion(name, there)}")


def _names(argv: Sequence[str], default_config: str) -> list[str]:
    """Every setting and section of the config file asked for. Raises `UserError` where it brings no config."""
    chosen = [argument for argument in argv[1:] if argument.startswith("--config=")]
    values = flags.FlagValues()
    try:
        _define_config(values, [argv[0], *chosen], default_config)
        values([argv[0], *chosen])
        return list(_flat(values.config))
    except FAULTS as error:
        if "'get_config'" in str(error):
            file = _file([argv[0], *chosen], default_config).partition(":")[0]
            raise UserError(f"{file} has no get_config(variant)") from error
        raise UserError(_sentence(error)) from error


def _check_settings_exist(argv: Sequence[str], default_config: str) -> None:
    """`UserError` for a `--config.KEY` that is no setting, with the nearest that is: by its last name, then in full."""
    names = _names(argv, default_config)
    for argument in argv[1:]:
        flag = argument.partition("=")[0].lstrip("-")
        key = flag.removeprefix("config.")
        if not argument.startswith("-") or key == flag or key in names:
            continue
        last = difflib.get_close_matches(_last(key), [_last(name) for name in names], n=1, cutoff=0.7)
        alike = [name for name in names if _last(name) in last]
        near = difflib.get_close_matches(key, alike, n=1, cutoff=0.0)
        told = f"; did you mean {near[0]!r}?" if near else suggestion(key, names)
        raise UserError(f"unknown setting {key!r}{told}")


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _lay_over(config: ConfigDict, stored: dict[str, Any], path: pathlib.Path, prefix: str = "") -> None:
    """Sets what a `config.json` holds; settings that are newer than the file keep their default."""
    foreign = f"{path} is no config of this program: "
    if missing := [name for name in workdirs.IDENTITY if not prefix and name in config and name not in stored]:
        raise UserError(f"{foreign}no section {missing[0]!r}; give --config")
    for key, value in stored.items():
        name = f"{prefix}{key}"
        if key not in config:
            raise UserError(f"{foreign}unknown setting {name!r}{suggestion(name, _flat(config, prefix))}")
        before = config[key]
        if isinstance(before, ConfigDict) and isinstance(value, dict):
            _lay_over(before, value, path, f"{name}.")
            continue
        try:
            if isinstance(before, ConfigDict) or isinstance(value, bool) != isinstance(before, bool):
                raise TypeError
            config[key] = value
        except (TypeError, ValueError):
            expected = "a section" if isinstance(before, ConfigDict) else f"a value like {before!r}"
            raise UserError(f"{foreign}{name} is {value!r}; expected {expected}") from None


def _tell_newer(config: ConfigDict, own: dict[str, Any], path: pathlib.Path) -> None:
    """Says which settings a `config.json` is older than: they count as their default."""
    there = set(_flat(ConfigDict(own)))
    if newer := [name for name in _flat(config) if name not in there]:
        told = ", ".join(newer[:5]) + (f" and {len(newer) - 5} more" if len(newer) > 5 else "")
        print(f"{path} is older than {told}: as by default, unless typed", flush=True)


def _flat(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            yield from _flat(value, f"{prefix}{key}.")
        yield f"{prefix}{key}"


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
    return "; ".join(lines)
