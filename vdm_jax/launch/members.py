"""The members of a sweep: the runs that `get_sweep()` of a config file lists, each with a name, folder and config."""

import fnmatch
import json
import pathlib
import re
import runpy
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, suggestion
from vdm_jax.base.names import describe, short_names
from vdm_jax.launch import flags
from vdm_jax.launch.choices import refuse_unread, unread
from vdm_jax.launch.config_files import same_settings
from vdm_jax.launch.kind import Kinds, chosen_jobs, kind_of
from vdm_jax.launch.run import check_run
from vdm_jax.launch.settings import plain, value_of
from vdm_jax.launch.store import CONFIG, check_place

UNSAFE = re.compile(r"[^A-Za-z0-9._+=,-]")  # in the name of a folder, or for a shell


class Member(NamedTuple):
    """One run of a sweep.

    Attributes:
        name: of its folder.
        config: with all settings.
        workdir: its folder, in that of the sweep.
        flags: --config, --workdir and settings that launch it alone.
        jobs: in their order.
    """

    name: str
    config: ConfigDict
    workdir: pathlib.Path
    flags: list[str]
    jobs: list[str]

    def command(self, launcher: Iterable[str], jobs: Iterable[str]) -> list[str]:
        """`launcher` with all flags of this member."""
        return [*launcher, *self.flags, f"--jobs={','.join(jobs)}"]


def make_members(arguments: flags.Arguments, kinds: Kinds) -> list[Member]:
    """Every member of the sweep, with the settings that were typed laid over all of them. Raises `UserError`."""
    file, colon, variant = arguments.file.partition(":")
    sweep, typed = load_sweep(file), arguments.sweep.jobs
    jobs = [] if typed is None else [f"--jobs={','.join(typed)}"]
    _check_apart(sweep, arguments.overrides | ({"variant": variant} if colon else {}))
    members, left_out, files = [], {}, {}
    for name, overrides in zip(names_of(sweep), sweep, strict=True):
        own_settings = {key: value for key, value in overrides.items() if key != "variant"}
        chosen = str(overrides.get("variant", variant))
        words = [f"--config={file}:{chosen}" if chosen else f"--config={file}", f"--workdir={arguments.workdir / name}"]
        try:
            own, words, left_out[name] = _parse(words, own_settings, arguments.overrides, jobs, kinds)
        except UserError as error:
            raise UserError(f"sweep member {name!r}: {error}") from error
        if own.config.kind != arguments.config.kind:
            both = f"{own.config.kind!r}, the file without a variant {arguments.config.kind!r}"
            raise UserError(f"sweep member {name!r} is of kind {both}; expected one kind for a sweep")
        files[name] = own.before
        in_order = chosen_jobs(kind_of(kinds, own.config), own.jobs)
        members.append(Member(name, own.config, arguments.workdir / name, words, in_order))
    _check_different(_matching(members, arguments.sweep.pattern), files, arguments)
    _tell_left_out(left_out, arguments)
    return members


def _parse(
    words: list[str], own: dict[str, Any], typed: dict[str, Any], jobs: list[str], kinds: Kinds
) -> tuple[flags.Arguments, list[str], list[str]]:
    """(arguments, flags, settings left out) of a member: of what was typed for all members, what it does not read.

    Raises `UserError`, also for a setting of its own that it does not read.
    """

    def parse(settings: dict[str, Any]) -> tuple[flags.Arguments, list[str]]:
        all_words = [*words, *(f"--config.{key}={value}" for key, value in settings.items())]
        return flags.parse(["launch.py", *all_words, *jobs], kinds), all_words

    found, all_words = parse(own | typed)
    choices = kind_of(kinds, found.config).choices
    refuse_unread(choices, found.config, found.before, own)
    left_out = [name for name in unread(choices, found.config) if name in typed]
    if left_out:
        found, all_words = parse(own | {key: value for key, value in typed.items() if key not in left_out})
    return found, all_words, left_out


def _tell_left_out(left_out: dict[str, list[str]], arguments: flags.Arguments) -> None:
    """Prints which members do not read what was typed. Raises `UserError` for a setting that none reads."""
    for key in arguments.overrides:
        names = [name for name, settings in left_out.items() if key in settings]
        if names and len(names) == len(left_out):
            raise UserError(f"--config.{key} has no effect: no member of this sweep reads it")
        if names:
            start = "# sweep" if arguments.sweep.dry_run else "sweep"  # a dry run's output is a script
            told = f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
            print(f"{start}: {key} is left out where it is not read, {len(names)} of {len(left_out)} members: {told}")


def load_sweep(file: str) -> list[dict[str, Any]]:
    """What `get_sweep()` of a config file returns: flat overrides, each a text, a number or a bool.

    Raises `UserError` where the function is missing or returns something else.
    """
    try:
        get_sweep = runpy.run_path(file).get("get_sweep")
        if get_sweep is None:
            raise UserError(f"{file} has no get_sweep()")
        sweep = get_sweep()
    except UserError:
        raise
    except Exception as error:  # a user's program may raise anything
        raise UserError(f"get_sweep() of {file} failed: {type(error).__name__}: {error}") from error
    if not isinstance(sweep, list | tuple) or not sweep or not all(isinstance(member, dict) for member in sweep):
        raise UserError(f"get_sweep() of {file} gives no list of flat overrides, such as [{{'train.seed': 1}}]")
    for key, value in [item for member in sweep for item in member.items()]:
        if not isinstance(key, str) or not isinstance(value, str | int | float):
            raise UserError(f"get_sweep() of {file} sets {key!r} to {value!r}; expected a text, a number or a bool")
    return list(sweep)


def names_of(sweep: list[dict[str, Any]]) -> list[str]:
    """The folder's name of each member: its variant, then its other overrides, such as "target,seed=1".

    A name states all that the member sets, so that names stay when the sweep grows. Raises `UserError` for equal names.
    """
    short = short_names(key for member in sweep for key in member if key != "variant")
    names: list[str] = []
    for member in sweep:
        others = {key: value for key, value in member.items() if key != "variant"}
        parts = [str(member["variant"])] if member.get("variant") else []
        parts += [describe(others, short)] if others else []
        names.append(UNSAFE.sub("_", ",".join(parts)).lstrip(".") or "default")
    folded = [name.casefold() for name in names]  # some file systems ignore case
    for name in names:
        if folded.count(name.casefold()) > 1:
            raise UserError(f"two members of the sweep are named {name!r}; each needs overrides of its own")
    return names


def select(members: list[Member], pattern: str) -> list[Member]:
    """The members whose name matches the shell pattern. Raises `UserError` where none does."""
    chosen = _matching(members, pattern)
    if not chosen:
        near = suggestion(pattern, [member.name for member in members])
        raise UserError(f"--sweep={pattern} matches no member; --sweep --dry_run lists them{near}")
    return chosen


def _matching(members: list[Member], pattern: str) -> list[Member]:
    return [member for member in members if fnmatch.fnmatchcase(member.name, pattern)]


def check(kinds: Kinds, members: list[Member], folder: pathlib.Path) -> None:
    """Checks settings, data and folder of every member, and of the runs that it needs, before the first is run. Raises
    `UserError`."""
    if (folder / CONFIG).exists():
        raise UserError(f"workdir {folder} holds a run of its own; choose another --workdir for the sweep")
    for member in members:
        try:
            check_place(member.workdir, "workdir")
            check_run(kinds, member.config, member.workdir, member.jobs)
        except UserError as error:
            raise UserError(f"sweep member {member.name!r}: {error}") from error


def _check_apart(sweep: list[dict[str, Any]], typed: dict[str, Any]) -> None:
    """Raises `UserError` where a setting was typed that the members set, and are named after."""
    for key in typed:
        if any(key in member for member in sweep):
            what = "a variant" if key == "variant" else f"--config.{key}"
            raise UserError(f"{what} was given, but {key} is what members of this sweep set themselves")


def _check_different(members: list[Member], files: Mapping[str, ConfigDict], arguments: flags.Arguments) -> None:
    """Raises `UserError` where two members are the same run under two names, and names what was typed that made them
    equal. files: of each member the config that its settings are laid over."""
    seen: dict[str, str] = {}
    for member in members:
        settings = json.dumps(same_settings(member.config, member.jobs), sort_keys=True)
        if settings in seen:
            typed = _typed_over(files[seen[settings]], files[member.name], arguments)
            end = f" under {' '.join(typed)}, and differ without; leave it out, or run one of them" if typed else ""
            raise UserError(f"sweep members {seen[settings]!r} and {member.name!r} have the same settings{end}")
        seen[settings] = member.name


def _typed_over(first: ConfigDict, second: ConfigDict, arguments: flags.Arguments) -> list[str]:
    """The flags that were typed for all members and set what these two configs differ in."""
    one, other = plain(first), plain(second)
    differing = [key for key in arguments.overrides if value_of(one, key) != value_of(other, key)]
    typed = [f"--config.{key}={arguments.overrides[key]}" for key in differing]
    jobs = arguments.sweep.jobs if one.get("jobs") != other.get("jobs") else None
    return typed if jobs is None else [*typed, f"--jobs={','.join(jobs)}"]
