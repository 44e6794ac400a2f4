"""Errors of the user. The message is one sentence that names the value and the choices."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class UserError(ValueError):
    """An invalid request. `launch.py` prints the message on stderr and exits with 2."""


class RunFailed(RuntimeError):
    """A valid request that could not be met. `launch.py` prints the message on stderr and exits with 1."""


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Raises the `UserError` of what is inside as "WHAT: sentence". what: the setting or the run that caused it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{what}: {error}") from error


def suggestion(name: str, choices: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` with the nearest choice, or an empty string if no choice is similar."""
    near = nearest(name, choices)
    return f"; did you mean {near!r}?" if near else ""


def nearest(name: str, choices: Iterable[str], cutoff: float = 0.5) -> str:
    """The choice that `name` most likely stands for; "" where none is similar.

    In this order: the same but for case, `-`, `_` and spaces; the initials of its words, such as lr for learning_rate;
    its beginning or its last words, where only one choice has these; the most similar spelling, from `cutoff` on.
    """
    there, bare = list(choices), _bare(name)
    for test in (
        lambda choice: _bare(choice) == bare,
        lambda choice: len(bare) > 1 and _initials(choice) == bare,
        lambda choice: len(bare) > 2 and (_bare(choice).startswith(bare) or choice.endswith(f"_{name}")),
    ):
        found = [choice for choice in there if test(choice)]
        if len(found) == 1:
            return found[0]
    return next(iter(difflib.get_close_matches(name, there, n=1, cutoff=cutoff)), "")


def _bare(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).lower()


def _initials(name: str) -> str:
    """ "lr" of learning_rate; "" of a single word."""
    words = re.split(r"[-_\s]", name.lower())
    return "".join(word[:1] for word in words) if len(words) > 1 else ""


def choose(what: str, name: str, choices: Mapping[str, T]) -> T:
    """`choices[name]`. Raises `UserError` that names the value, the choices and the nearest choice."""
    if name not in choices:
        raise UserError(f"{what}={name!r}; expected one of {sorted(choices)}{suggestion(name, choices)}")
    return choices[name]
