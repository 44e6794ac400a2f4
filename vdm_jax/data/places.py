"""Where data were found before. A workdir remembers it for a later job without the environment variable.

`known(before)` holds while a run is built. Loaders ask `found_before()` where neither a setting nor a variable finds
the data, and `report_found(folder)` says where they were found.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Place:
    """before: the folder that is remembered, "" for none. found: the folder of the data now, "" where there is none."""

    before: str = ""
    found: str = ""


_place: ContextVar[Place | None] = ContextVar("place", default=None)


@contextmanager
def known(before: str) -> Iterator[Place]:
    """Within it `found_before()` is `before`. Yields the place, whose `found` is set by `report_found`."""
    place = Place(before)
    token = _place.set(place)
    try:
        yield place
    finally:
        _place.reset(token)


def found_before() -> str:
    """The folder in which the data of this run were found before; "" where none is remembered."""
    place = _place.get()
    return "" if place is None else place.before


def report_found(folder: str) -> None:
    """Says in which folder the data were found."""
    if (place := _place.get()) is not None:
        place.found = folder


def moved() -> str:
    """What a message about missing data adds where a folder is remembered."""
    before = found_before()
    told = f"; the data of this run were found in {before!r}: --config.data.dir=FOLDER names their new place"
    return told if before else ""
