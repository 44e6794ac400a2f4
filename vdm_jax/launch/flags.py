"""The command line: absl flags and one ml_collections config. Every mistake is reported in one sentence."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from absl import flags
from ml_collections import ConfigDict, config_flags

from vdm_jax.base.errors import UserError, choose
from vdm_jax.launch.config_files import (
    DEFAULT,
    EXPECTED,
    check_sections,
    default_of,
    find,
    flat,
    lay_over,
    load_config,
    make_absolute,
)
from vdm_jax.launch.kind import Kind, Kinds, RunOptions, jobs_of, kind_of
from vdm_jax.launch.names import name_after_data, named
from vdm_jax.launch.suggestions import nearest_flag, nearest_setting

OF_A_RUN = ("workdir", "jobs", "stop_after", "archive", "sweep", "dry_run")  # flags besides those of the config
MOST_SECONDS = 1e9  # timers take no more
FAULTS = (flags.Error, AttributeError, ImportError, KeyError, SyntaxError, TypeError, ValueError)


class Sweep(NamedTuple):
    """What the user typed about a sweep.

    Attributes:
        pattern: of the members' names.
        dry_run: whether the members are listed instead of run.
        jobs: of all members; None: each member's own.
    """

    pattern: str
    dry_run: bool
    jobs: list[str] | None


class Arguments(NamedTuple):
    """What the user typed.

    Attributes:
        config: locked, with all settings laid over it.
        workdir: folder of the run, or of the sweep.
        jobs: in the order typed.
        options: of the jobs.
        file: FILE.py[:VARIANT], with a path that opens from here.
        overrides: the settings that were typed.
        sweep: None for a single run.
        before: the config that they were laid over, the file's or the workdir's.
        dry_run: whether a single run is described instead of started.
    """

    config: ConfigDict
    workdir: pathlib.Path
    jobs: list[str]
    options: RunOptions
    file: str
    overrides: dict[str, Any]
    sweep: Sweep | None
    before: ConfigDict
    dry_run: bool = False


def parse(argv: Sequence[str], kinds: Kinds, default: str = DEFAULT) -> Arguments:
    """Reads `--config=FILE.py[:VARIANT] --config.KEY=VALUE --workdir=DIR --jobs=A,B --stop_after=SECONDS --archive=DIR
    --sweep[=PATTERN] --dry_run`.

    A FILE is looked for as `config_files.find` says. Without `--config`, the `config.json` of a workdir is used; that
    of a sweep's workdir is not. Settings that name a folder become absolute paths. Raises `UserError` for any mistake.
    """
    argv = _config_file_first(argv)
    default_config = default_of(_typed_workdir(argv), find(default))
    argv = ["--sweep=*" if argument in ("-sweep", "--sweep") else argument for argument in argv]
    file = _file(argv, default_config)
    own = load_config(file)
    kind = kind_of(kinds, own)
    check_sections(own, kind, file)
    _check_settings_exist(argv, own, kind)
    values = _parse_values(argv, default_config, own, kind)
    config, workdir = values.config, values.workdir
    overrides = config_flags.get_override_values(values["config"])
    if "kind" in overrides:
        raise UserError("config.kind cannot be set; choose another --config")
    if not config.name:
        raise UserError("--config.name= is empty; expected a name, or leave it out")
    name_after_data(config, own, overrides)
    before = own
    if values.sweep is not None:
        folder = workdir or f"results/runs/{named(pathlib.Path(file.partition(':')[0]).stem, own, config)}-sweep"
        sweep = Sweep(values.sweep, values.dry_run, values.jobs)
    else:
        folder, sweep = workdir or f"results/runs/{config.name}", None
        if workdir and not values["config"].present and os.path.isfile(os.path.join(workdir, "config.json")):
            lay_over(config, pathlib.Path(workdir), kind)
            before = config.copy_and_resolve_references()
            config.update_from_flattened_dict(overrides)
    make_absolute(config, kind)
    jobs = own_jobs(config, kind, values.jobs)
    options = RunOptions(values.stop_after, pathlib.Path(values.archive) if values.archive else None)
    if (options.archive or options.stop_after) and not any(jobs_of(kind)[job].can_stop for job in jobs):
        raise UserError("--archive and --stop_after need a training job in --jobs")
    return Arguments(config, pathlib.Path(folder), jobs, options, file, overrides, sweep, before, values.dry_run)


def _typed_workdir(argv: Sequence[str]) -> str:
    """DIR of the last `--workdir=DIR` or `--workdir DIR`; "" where none is typed."""
    found = ""
    for argument, following in zip(argv, [*argv[1:], ""], strict=True):
        name, equals, value = argument.partition("=")
        if name in ("-workdir", "--workdir"):
            found = value if equals else following
    return found


def _parse_values(argv: Sequence[str], default_config: str, own: ConfigDict, kind: Kind) -> flags.FlagValues:
    """The values of the flags, checked. own: the config before them. Raises `UserError`."""
    values = flags.FlagValues()
    try:
        _define_config(values, argv, default_config)
        for define, name, default, meaning in (
            (flags.DEFINE_string, "workdir", "", "Folder of the run; default results/runs/NAME."),
            (flags.DEFINE_list, "jobs", None, "Jobs of this kind of config; default config.jobs, or all."),
            (flags.DEFINE_float, "stop_after", None, "Seconds of training, then save and stop as at SIGTERM."),
            (flags.DEFINE_string, "archive", "", "Folder from which the run is restored and into which it is packed."),
            (flags.DEFINE_string, "sweep", None, "Run the config file's get_sweep(), or members that match."),
            (flags.DEFINE_bool, "dry_run", False, "Describe the run, or list the members' commands."),
        ):
            define(name, default, meaning, flag_values=values)
        rest = values(argv)
    except flags.UnrecognizedFlagError as error:
        near = nearest_flag(error.flagname, ("config", *OF_A_RUN), list(flat(own)), kind.renamed)
        raise UserError(f"unknown flag {error.flagname!r}{f'; did you mean {near!r}?' if near else ''}") from error
    except flags.IllegalFlagValueError as error:
        raise UserError(_of_value(error, own)) from error
    except FAULTS as error:
        raise UserError(_sentence(error)) from error
    if rest[1:]:
        raise UserError(f"unexpected argument {rest[1]!r}; settings are written --config.KEY=VALUE")
    if values.stop_after is not None and not 0 < values.stop_after <= MOST_SECONDS:
        raise UserError(f"--stop_after={values.stop_after}; expected seconds, a number above 0 and at most 1e9")
    for name in ("workdir", "archive"):
        if values[name].present and not values[name].value:  # such as from a shell variable that is not set
            raise UserError(f"--{name}= names no folder; leave it out, or name one")
        if "://" in (values[name].value or ""):  # pathlib would make a folder gs: of it
            raise UserError(f"--{name}={values[name].value} is an address; expected a folder of this machine")
    if values.sweep is not None and (values.archive or values.stop_after):
        raise UserError("--archive and --stop_after are for one run, not for a sweep")
    return values


def own_jobs(config: ConfigDict, kind: Kind, typed: list[str] | None = None) -> list[str]:
    """The jobs that were typed, or the config's own, or all. Raises `UserError` for a name that is no job."""
    own, there_are = config.get("jobs", ""), list(jobs_of(kind))
    of_config = [job.strip() for job in own.split(",")] if own else there_are
    for what, jobs in (("job of config.jobs", of_config), ("job", typed or [])):
        for job in jobs:
            choose(what, job, dict.fromkeys(there_are))
    if typed == []:
        raise UserError(f"no job; expected --jobs with any of {sorted(there_are)}")
    return of_config if typed is None else typed


def _file(argv: Sequence[str], default_config: str) -> str:
    """FILE.py[:VARIANT] of `argv`, after `_config_file_first`, or the default. As short as it opens from here."""
    chosen = [argument.removeprefix("--config=") for argument in argv[1:2] if argument.startswith("--config=")]
    path, here = pathlib.Path(chosen[0] if chosen else default_config), pathlib.Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _define_config(values: flags.FlagValues, argv: Sequence[str], default_config: str) -> None:
    """Defines `--config` and one flag for each `--config.KEY` in `argv`."""
    config_flags.DEFINE_config_file(
        "config",
        default_config,
        "Config file, with :VARIANT; --config.KEY=VALUE overrides.",
        flag_values=values,
        sys_argv=list(argv),
    )


def _config_file_first(argv: Sequence[str]) -> list[str]:
    """`argv` with `--config=FILE`, its path found, before the settings that change it."""
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
        chosen = [f"--config={find(value)}"]
    return [program, *chosen, *others]


def _check_settings_exist(argv: Sequence[str], config: ConfigDict, kind: Kind) -> None:
    """Raises `UserError` for a `--config.KEY` that is no setting, naming the nearest, and for a section."""
    names = list(flat(config))
    for argument in argv[1:]:
        flag = argument.partition("=")[0].lstrip("-")
        key = flag.removeprefix("config.")
        if not argument.startswith("-") or key == flag:
            continue
        if key in names:
            if isinstance(config[key], ConfigDict):
                first = next(flat(config[key]))
                raise UserError(
                    f"{argument}: {key} is a section; set its settings, such as --config.{key}.{first}=VALUE"
                )
            continue
        near = nearest_setting(key, names, kind.renamed)
        raise UserError(f"unknown setting {key!r}{f'; did you mean {near!r}?' if near else ''}")


def _of_value(error: flags.IllegalFlagValueError, config: ConfigDict) -> str:
    """ "--config.train.num_steps=many; expected a whole number"."""
    flag = str(error).partition(": ")[0].removeprefix("flag ")  # "--NAME=VALUE"
    name = flag.lstrip("-").partition("=")[0]
    *sections, last = name.split(".")[1:] or [name]
    for section in sections:
        config = config[section]
    kind = config.get_type(last) if name != last else {"dry_run": bool, "stop_after": float}.get(name)
    expected = EXPECTED.get(kind)
    return f"{flag}; expected {expected}" if expected else _sentence(error)


def _sentence(error: Exception) -> str:
    """The last line of a nested traceback, without its class; otherwise the message of absl or ml_collections."""
    message = error
    while isinstance(message, BaseException):  # a KeyError within an AttributeError, to show its text and not its repr
        message = message.args[0] if message.args else type(message).__name__
    lines = [line.strip() for line in str(message).splitlines() if line.strip()]
    if "Traceback (most recent call last):" in lines:
        return lines[-1].partition(": ")[2]
    if isinstance(error, (ImportError, SyntaxError)):
        return f"the config file cannot be run: {'; '.join(lines)}"
    return "; ".join(lines)
