"""Config files: where they are, what they return, and the config that a workdir holds."""

import os
import pathlib
import runpy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ml_collections import ConfigDict

import vdm_jax
from vdm_jax.base.ending import first_line
from vdm_jax.base.errors import UserError, suggestion
from vdm_jax.launch.kind import Kind
from vdm_jax.launch.settings import plain, read_config, settings_of, value_of, with_absolute
from vdm_jax.launch.store import as_today

DEFAULT = "configs/digits.py"
EXPECTED = {bool: "True or False", int: "a whole number", float: "a number", tuple: "values with commas, such as 8,16"}


def root() -> pathlib.Path:
    """The folder that holds `configs/`: the checkout, or the installed package."""
    folders = [pathlib.Path(path) for path in vdm_jax.__path__]
    return next((folder for folder in folders if (folder / "configs" / "base.py").is_file()), folders[0])


def find(value: str) -> str:
    """FILE[:VARIANT] with a path that opens from here. A FILE is looked for in the current folder, then in `root()`.

    Raises `UserError`.
    """
    name, colon, variant = value.partition(":")
    for path in (pathlib.Path(name), root() / name):
        if path.is_file():
            return f"{path}{colon}{variant}"
    there = sorted(file.relative_to(root()).as_posix() for file in root().glob("configs/[!_]*.py"))
    raise UserError(f"config file {name!r} not found; expected one of {there}{suggestion(name, there)}")


def load_config(config: str | ConfigDict) -> ConfigDict:
    """The config that FILE[:VARIANT] returns, or a copy of `config`. Raises `UserError`, whatever a file raises."""
    if not isinstance(config, str):
        return config.copy_and_resolve_references()
    file, _, variant = find(config).partition(":")
    cannot = f"the config file cannot be run: {file}"
    try:
        get_config = runpy.run_path(file).get("get_config")
    except (Exception, SystemExit) as error:
        raise UserError(f"{cannot}: {_in_words(error)}") from error
    if not callable(get_config):
        raise UserError(f"{file} has no get_config(variant)")
    try:
        found = get_config(variant) if variant else get_config()
    except ValueError as error:  # of the files here, a sentence on the variant
        raise UserError(" ".join(str(error).split()) or f"{cannot}: ValueError in get_config") from error
    except (Exception, SystemExit) as error:
        raise UserError(f"{cannot}: get_config raises {_in_words(error)}") from error
    if not isinstance(found, ConfigDict):
        told = f"{file}: get_config(variant) returns {type(found).__name__}"
        raise UserError(f"{told}; expected an ml_collections.ConfigDict, such as that of configs/base.py")
    for name in ("kind", "name"):
        if not isinstance(found.get(name), str):
            raise UserError(f"{file}: the config has no {name!r}; expected a text, such as in configs/base.py")
    return found


@contextmanager
def naming_settings(config: ConfigDict) -> Iterator[None]:
    """Where `Kind.check` or `Kind.build` fails because of it: raises `UserError` that names a setting without a value
    or of another type than in configs/KIND.py. The command line refuses those; a config made in Python may hold
    anything."""
    try:
        yield
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        files = [root() / "configs" / f"{name}.py" for name in (config.kind, "base")]
        configs = (load_config(str(file)) for file in files if file.is_file())
        usual = next((own for own in configs if own.kind == config.kind), ConfigDict())
        for name in flat(usual):
            section, _, last = name.rpartition(".")
            kind, like = (usual[section] if section else usual).get_type(last), usual[name]
            if (value := value_of(config.to_dict(), name)) is None and like is None or isinstance(value, (dict, list)):
                continue
            if not isinstance(value, (kind, int) if kind is float else kind):
                expected = EXPECTED.get(kind) if like is None or kind is tuple else f"a value like {like!r}"
                raise UserError(f"config.{name}={value!r}; expected {expected or kind.__name__}") from error
        raise


def check_sections(config: ConfigDict, kind: Kind, file: str) -> None:
    """Raises `UserError` where a config lacks a section that the jobs of its kind read."""
    for section in dict.fromkeys(name.partition(".")[0] for job in kind.jobs.values() for name in job.reads):
        if not isinstance(config.get(section), ConfigDict):
            told = f"{file}: a config of kind {config.kind!r} has no section {section!r}"
            raise UserError(f"{told}; start from get_config of a file in {root() / 'configs'}")


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def default_of(workdir: str, default: str) -> str:
    """The config file with the settings of a workdir's own config, or `default`.

    configs/KIND.py or `default`, each in the current folder or in `root()`: the first that has the kind and all
    sections of that config.
    """
    path = pathlib.Path(workdir, "config.json")
    if not workdir or not os.path.isfile(path):  # no error for a name that no file system takes
        return default
    stored = read_config(path)
    names = [f"configs/{stored['kind']}.py"] if isinstance(stored.get("kind"), str) else []
    files = [folder / name for name in (*names, default, DEFAULT) for folder in (pathlib.Path(), root())]
    return next((str(file) for file in files if file.is_file() and _has_sections(file, stored)), default)


def _has_sections(file: pathlib.Path, stored: Mapping[str, Any]) -> bool:
    """Whether a config file has the kind of a stored config, and its sections."""
    try:
        config = load_config(str(file))
    except Exception:  # a user's program may raise anything
        return False
    sections = [name for name, value in stored.items() if isinstance(value, Mapping)]
    return stored.get("kind", config.get("kind")) == config.get("kind") and all(name in config for name in sections)


def lay_over(config: ConfigDict, workdir: pathlib.Path, kind: Kind) -> None:
    """Sets what `WORKDIR/config.json` holds. Settings that are newer than the file keep their default, and are named.

    Raises `UserError` for settings that the config does not have, and for values that do not fit.
    """
    path = workdir / "config.json"
    stored = as_today(kind, read_config(path), plain(config))
    sections = [name.partition(".")[0] for name in next(iter(kind.jobs.values())).reads]
    if missing := [name for name in sections if name in config and name not in stored]:
        raise UserError(f"{path} is no config of this program: no section {missing[0]!r}; give --config")
    _set_all(config, stored, path)
    there = set(flat(ConfigDict(stored)))
    if newer := [name for name in flat(config) if name not in there]:
        told = ", ".join(newer[:5]) + (f" and {len(newer) - 5} more" if len(newer) > 5 else "")
        end = "the defaults are used unless the command line sets them"
        print(f"{path} has no value for {told}; {end}", flush=True)


def make_absolute(config: ConfigDict, kind: Kind) -> None:
    """Makes the paths of folders absolute, so that what is stored holds in any folder."""
    settings = with_absolute(plain(config), kind.folders)
    names = [each for name in kind.folders for each in settings_of(settings, name)]
    found = {name: value_of(settings, name) for name in names}
    config.update_from_flattened_dict({name: path for name, path in found.items() if path})


def flat(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    """The dotted names of all settings and sections."""
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            yield from flat(value, f"{prefix}{key}.")
        yield f"{prefix}{key}"


def same_settings(config: ConfigDict, jobs: list[str]) -> Mapping[str, Any]:
    """All that makes two runs the same, whatever their names."""
    return plain(config) | {"name": "", "jobs": jobs}


def _set_all(config: ConfigDict, stored: dict[str, Any], path: pathlib.Path, prefix: str = "") -> None:
    """Sets each stored value, section by section."""
    foreign = f"{path} is no config of this program: "
    for key, value in stored.items():
        name = f"{prefix}{key}"
        if key not in config:
            raise UserError(f"{foreign}unknown setting {name!r}{suggestion(name, flat(config, prefix))}")
        before = config[key]
        if isinstance(before, ConfigDict) and isinstance(value, dict):
            _set_all(before, value, path, f"{name}.")
            continue
        try:
            if isinstance(before, ConfigDict) or isinstance(value, bool) != isinstance(before, bool):
                raise TypeError
            config[key] = value
        except (TypeError, ValueError):
            expected = "a section" if isinstance(before, ConfigDict) else f"a value like {before!r}"
            raise UserError(f"{foreign}{name} is {value!r}; expected {expected}") from None
