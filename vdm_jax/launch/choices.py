"""Settings without effect: a kind declares what each choice reads, and what no choice in force reads is refused.

A setting that the command line, a sweep's member or a `Need` sets to a new value must have an effect. What a config
file sets may have none, such as the range of a schedule after another schedule was typed: that is printed. Configs that
are handed to a kind in Python are not checked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.launch.settings import has, plain, value_of

MOST_NAMED = 6  # settings of a line


class Choice(NamedTuple):
    """A setting whose value decides which other settings are read.

    A setting that no choice lists is always read. One that is listed is read where a choice that is itself read lists
    it under its value: rate.mode="target" reads rate.target_nats where model.encoder="te" reads rate.mode.

    Attributes:
        setting: dotted, such as "rate.mode".
        reads: for each choice the settings that are read under it and not under all others. Names that the kind's
            config lacks are passed over.
        of: `of(settings)` -> the keys of `reads` in force under the plain config; None: the value itself. A value
            without a key is unknown: `Kind.build` reports it, and all that is listed counts as read.
        decides: `decides(settings)` -> the setting to blame where `of` reads several; None: `setting`.
    """

    setting: str
    reads: Mapping[str, tuple[str, ...]]
    of: Callable[[Mapping[str, Any]], Iterable[str]] | None = None
    decides: Callable[[Mapping[str, Any]], str] | None = None

    @property
    def listed(self) -> set[str]:
        """All settings that one of the choices reads."""
        return {name for names in self.reads.values() for name in names}

    def read(self, settings: Mapping[str, Any]) -> set[str]:
        """The settings that are read under the value in force."""
        keys = [str(value_of(settings, self.setting))] if self.of is None else self.of(settings)
        known = [key for key in keys if key in self.reads]
        return {name for key in known for name in self.reads[key]} if known else self.listed

    def blamed(self, settings: Mapping[str, Any]) -> str:
        """The setting that decides what is read."""
        return self.setting if self.decides is None else self.decides(settings)


def unread(choices: Sequence[Choice], config: ConfigDict) -> list[str]:
    """The settings of the config that are not read under its choices."""
    settings = plain(config)
    read = _read(choices, settings)
    return sorted(name for name in _listed(choices) - read if has(settings, name))


def refuse_unread(choices: Sequence[Choice], config: ConfigDict, before: ConfigDict, names: Iterable[str]) -> None:
    """Raises `UserError` for a setting of `names` that is not read in `config` and has another value than `before`."""
    without_effect, settings = unread(choices, config), plain(config)
    for name in names:
        if name in without_effect and value_of(settings, name) != value_of(plain(before), name):
            raise UserError(_sentence(choices, settings, name))


def check_typed(choices: Sequence[Choice], config: ConfigDict, before: ConfigDict, typed: Iterable[str]) -> None:
    """Raises `UserError` as `refuse_unread`. Prints the settings of `before`, the config file's or the workdir's, that
    were read there and are not now, and what was typed without effect."""
    typed = list(typed)
    refuse_unread(choices, config, before, typed)
    settings, passed = plain(config), set(unread(choices, before)) - set(typed)
    names = [
        name for name in unread(choices, config) if name not in passed and value_of(settings, name) not in (None, "")
    ]
    if names:
        by_reason: dict[str, list[str]] = {}
        for name in names:
            by_reason.setdefault(_in_force(choices, settings, name), []).append(name)
        told = "; ".join(f"{reason} does not read {_listing(own)}" for reason, own in by_reason.items())
        print(f"config: {told}", flush=True)


def _listed(choices: Sequence[Choice]) -> set[str]:
    return {name for choice in choices for name in choice.listed}


def _read(choices: Sequence[Choice], settings: Mapping[str, Any]) -> set[str]:
    """Those of the listed settings that are read."""
    listed, read = _listed(choices), set()
    while True:
        in_force = [choice for choice in choices if choice.setting not in listed or choice.setting in read]
        found = read.union(*(choice.read(settings) for choice in in_force))
        if found == read:
            return read
        read = found


def _deciding(choices: Sequence[Choice], settings: Mapping[str, Any], name: str) -> list[str]:
    """The settings in force that leave the setting out; in place of one that is left out itself, what decides it."""
    left_out = _listed(choices) - _read(choices, settings)
    found: list[str] = []
    for choice in choices:
        if name in choice.listed:
            is_out = choice.setting in left_out
            found += _deciding(choices, settings, choice.setting) if is_out else [choice.blamed(settings)]
    return list(dict.fromkeys(found))


def _in_force(choices: Sequence[Choice], settings: Mapping[str, Any], name: str) -> str:
    """ "diffusion.schedule='linear'": the choices in force that leave the setting out."""
    return " and ".join(f"{each}={value_of(settings, each)!r}" for each in _deciding(choices, settings, name))


def _ways(choices: Sequence[Choice], settings: Mapping[str, Any], name: str) -> str:
    """ "rate.mode=target where model.encoder=digits or te": the choices that would read the setting."""
    left_out, ways = _listed(choices) - _read(choices, settings), []
    for choice in choices:
        if keys := [key for key, names in choice.reads.items() if name in names]:
            where = f" where {_ways(choices, settings, choice.setting)}" if choice.setting in left_out else ""
            ways.append(f"{choice.setting}={_listing(keys, 'or')}{where}")
    return ", or ".join(ways)


def _sentence(choices: Sequence[Choice], settings: Mapping[str, Any], name: str) -> str:
    """Why a setting has no effect, what the choice in force reads, and which choices would read the setting."""
    deciding = _deciding(choices, settings, name)
    of_these = (choice.read(settings) for choice in choices if choice.setting in deciding)
    there = set().union(*of_these) & _read(choices, settings)
    read = sorted(each for each in there - set(deciding) if has(settings, each))
    reads = f"which reads {_listing(read)}" if read else "which reads no setting of its own"
    told = f"config.{name}={value_of(settings, name)!r} has no effect with {_in_force(choices, settings, name)}"
    return f"{told}, {reads}; it is read with {_ways(choices, settings, name)}"


def _listing(names: Sequence[str], last: str = "and") -> str:
    """ "a, b and c"; of many names the first ones."""
    names = list(names)
    if len(names) > MOST_NAMED:
        names = [*names[: MOST_NAMED - 1], f"{len(names) - MOST_NAMED + 1} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"
