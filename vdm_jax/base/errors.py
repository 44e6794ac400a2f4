"""Errors of the user. The message is one sentence that names the value and the choices."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


class UserError(ValueError):
    """An invalid request. `launch.py` prints the message on stderr and exits with 2."""


def suggestion(name: str, choices: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` with the nearest choice, or an empty string if no choice is similar."""
    near = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def choose(what: str, name: str, choices: Mapping[str, T]) -> T:
    """`choices[name]`. Raises `UserError` that names the value, the choices and the nearest choice."""
    if name not in choices:
        raise UserError(f"{what}={name!r}; expected one of {sorted(choices)}{suggestion(name, choices)}")
    return choices[name]
