"""A number with its standard error as text and as rows of a table."""

import json
import math
from collections.abc import Mapping
from html import escape
from typing import Any

from vdm_jax.report.primitives.workdir import Place, Workdir, is_number, leaves

ERROR_SUFFIXES = ("_standard_error", "_se")
VALUE, ERROR, NUM = "value", "standard_error", "num"  # of a nested entry


def measured(value: object, error: object = None) -> str:
    """`measured_text` as markup."""
    text, plus_minus, error_text = measured_text(value, error).partition(" ± ")
    return escape(text) + (f' <span class="error">± {escape(error_text)}</span>' if plus_minus else "")


def measured_text(value: object, error: object = None) -> str:
    """`value ± error` to two digits of the error. Without an error, four digits of the value."""
    if value is None:
        return "—"
    if not is_number(value):
        return value if isinstance(value, str) else json.dumps(value)
    if not math.isfinite(value):
        return "not finite"
    if not is_number(error) or not math.isfinite(error) or error <= 0:
        return plain(value)
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def plain(value: int | float) -> str:
    """A number without an error, to four digits; whole numbers in full."""
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    size = abs(value)
    return f"{value:,.0f}" if 1e4 <= size < 1e9 else f"{value:.4g}"


def error_places(place: Place) -> list[Place]:
    """The places of the standard error of the number at `place`: KEY_standard_error beside KEY, and "standard_error"
    beside "value" in a nested entry."""
    nested = [(*place[:-1], ERROR)] if place[-1] == VALUE else []
    return nested + [(*place[:-1], place[-1] + suffix) for suffix in ERROR_SUFFIXES]


def error_at(found: Mapping[Place, Any], place: Place) -> float | None:
    """The standard error of the number at `place` among leaves; None if there is none."""
    return next((float(found[each]) for each in error_places(place) if is_number(found.get(each))), None)


def entry(values: object, *place: str) -> tuple[float | None, float | None, int | None]:
    """(value, standard error, N) of the number at a place of nested dicts, None where there is none.

    It is a plain number with KEY_standard_error beside it, or an entry {"value", "standard_error", "num"}."""
    *path, key = place
    for name in path:
        values = values.get(name) if isinstance(values, dict) else None
    if not isinstance(values, dict):
        return None, None, None
    found = values.get(key)
    if is_number(found):
        return float(found), standard_error(values, key), None
    if not isinstance(found, dict) or not is_number(found.get(VALUE)):
        return None, None, None
    error, number = found.get(ERROR), found.get(NUM)
    return float(found[VALUE]), float(error) if is_number(error) else None, number if is_number(number) else None


def standard_error(values: dict[str, Any], key: str) -> float | None:
    """`KEY_standard_error` or `KEY_se` of `values`; None if neither is a number."""
    return error_at({(name,): value for name, value in values.items()}, (key,))


def without_errors(values: dict[str, Any]) -> dict[str, Any]:
    """The entries that are not the standard error of another entry."""
    errors = {key + suffix for key in values for suffix in ERROR_SUFFIXES}
    return {key: value for key, value in values.items() if key not in errors}


def rows_of(workdir: Workdir, values: dict[str, Any], names: Mapping[str, str]) -> list[list[str]]:
    """(name, value ± error) of every leaf of `values`, as markup. `names`: key -> name, where the key in words is not
    the name."""
    found = leaves(values)
    errors = {each for place in found for each in error_places(place)}
    return [
        [row_name(workdir, place, value, names), measured(value, error_at(found, place))]
        for place, value in found.items()
        if place not in errors
    ]


def row_name(workdir: Workdir, place: Place, value: object, names: Mapping[str, str]) -> str:
    """The name of the leaf in words. Under it the reason, if the leaf has no value."""
    key = place[0]
    why = workdir.reason(key) if value is None and len(place) == 1 else None
    place = place[:-1] if len(place) > 1 and place[-1] == VALUE else place
    words = (part.replace("frechet", "Fréchet").replace("fid_", "FID_").replace("_", " ") for part in place)
    name = escape(names[key] if len(place) == 1 and key in names else ": ".join(words))
    return f'{name}<br><span class="reason">{escape(why)}</span>' if why else name
