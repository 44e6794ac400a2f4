"""Configs as plain values: reading them, and comparing the settings that a job depends on."""

import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError


def plain(config: ConfigDict) -> dict[str, Any]:
    """The config as JSON has it."""
    return json.loads(config.to_json())


def read_config(path: pathlib.Path) -> dict[str, Any]:
    """A JSON file of settings as plain values. Raises `UserError` where it cannot be read or holds something else."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); bring back a copy, or choose another --workdir") from error
    if not isinstance(stored, dict):
        raise UserError(f"{path} holds no config; bring back a copy, or choose another --workdir")
    return stored


def value_of(settings: Any, name: str) -> Any:
    """The value of a dotted setting, or a whole section; None where there is none."""
    for part in name.split("."):
        settings = settings.get(part) if isinstance(settings, Mapping) else None
    return settings


def selected(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The settings and sections that `names` lists, nested as they are in the config."""
    found: dict[str, Any] = {}
    for name in names:
        put(found, name, value_of(settings, name))
    return found


def put(settings: dict[str, Any], name: str, value: Any) -> None:
    """Sets a dotted setting; sections that are missing are added."""
    *sections, last = name.split(".")
    for section in sections:
        settings = settings.setdefault(section, {})
    settings[last] = value


def replaced(settings: Mapping[str, Any], names: Sequence[str], value: Any) -> dict[str, Any]:
    """A copy in which those of the settings `names` that exist have this value."""
    copy = json.loads(json.dumps(settings))
    for name in names:
        if has(copy, name):
            put(copy, name, value)
    return copy


def without(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A copy without the settings `names`."""
    copy = json.loads(json.dumps(settings))
    for name in names:
        if has(copy, name):
            section, _, last = name.rpartition(".")
            del (value_of(copy, section) if section else copy)[last]
    return copy


def has(settings: Mapping[str, Any], name: str) -> bool:
    """Whether the setting or section exists, if only as None."""
    section, _, last = name.rpartition(".")
    holder = value_of(settings, section) if section else settings
    return isinstance(holder, Mapping) and last in holder


def with_new_names(
    settings: Mapping[str, Any], renamed: Mapping[str, str | Mapping[str, str]], wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """A copy in which settings under an older name have their new name, where `wanted` has that."""
    copy = json.loads(json.dumps(settings))
    for old, new in renamed.items():
        if isinstance(new, Mapping):  # values of a setting
            if has(copy, old):
                put(copy, old, new.get(value_of(copy, old), value_of(copy, old)))
        elif has(copy, old) and has(wanted, new):
            section, _, last = old.rpartition(".")
            put(copy, new, (value_of(copy, section) if section else copy).pop(last))
    return copy


def with_implied(settings: Mapping[str, Any], implied: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which the settings of `implied` that are missing have their value there, where `wanted` has them.

    A section that is missing is added where `implied` has a value for each of its settings in `wanted`.
    """
    copy = json.loads(json.dumps(settings))
    for name, value in implied.items():
        section = name.rpartition(".")[0]
        if not has(wanted, name) or has(copy, name):
            continue
        if not has(copy, section) and all(f"{section}.{each}" in implied for each in value_of(wanted, section)):
            put(copy, section, {})
        if isinstance(value_of(copy, section), Mapping):
            put(copy, name, value)
    return copy


def with_absolute(settings: Mapping[str, Any], folders: Sequence[str]) -> dict[str, Any]:
    """A copy in which the settings `folders` have absolute paths, from the current folder on. A section's name stands
    for all its settings."""
    copy = json.loads(json.dumps(settings))
    for name in folders:
        for each in settings_of(copy, name):
            if isinstance(value := value_of(copy, each), str):
                put(copy, each, absolute(value))
    return copy


def settings_of(settings: Mapping[str, Any], name: str) -> list[str]:
    """A setting by itself; of a section all its settings."""
    value = value_of(settings, name)
    return [f"{name}.{key}" for key in value] if isinstance(value, Mapping) else [name]


def absolute(folder: str) -> str:
    """The absolute path of a folder, ~ the home. An address such as gs://bucket, and "", are returned as they are."""
    return folder if not folder or "://" in folder else os.path.abspath(os.path.expanduser(folder))


def differences(
    stored: Mapping[str, Any],
    wanted: Mapping[str, Any],
    names: Sequence[str],
    passed: Sequence[str] = (),
    *,
    strict: bool = False,
) -> list[str]:
    """A clause for each setting, of those that `names` lists, that differs; `passed` are not compared.

    A section that `stored` lacks is a difference. A setting that it lacks is one only if `strict`, and not where
    `wanted` has None.
    """
    ignored = tuple(f"{name}{end}" for name in passed for end in (" ", "."))
    newer = {name for name in names if "." in name and has(stored, name.partition(".")[0]) and not has(stored, name)}
    found = [
        line
        for name in names
        if strict or name not in newer
        for line in differences_of(value_of(stored, name), value_of(wanted, name), name, strict=strict)
    ]
    return [line for line in dict.fromkeys(found) if not line.startswith(ignored)]


def differences_of(stored: Any, wanted: Any, name: str, *, strict: bool = False) -> Iterator[str]:
    """A clause for each setting of a section that a stored config states otherwise; if `strict`, or does not state."""
    if isinstance(stored, Mapping) and isinstance(wanted, Mapping):
        for key in sorted({*stored, *(wanted if strict else ())}):
            yield from differences_of(stored.get(key), wanted.get(key), f"{name}.{key}", strict=strict)
    elif stored != wanted:
        yield f"{name} is {stored!r} there and {wanted!r} here"
