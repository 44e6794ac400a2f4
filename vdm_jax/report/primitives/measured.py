"""A number with its standard error as text and as rows of a table."""

import json
import math
from collections.abc import Mapping
from html import escape
from typing import Any

from vdm_jax.report.primitives.workdir import Workdir, flatten, is_number

ERROR_SUFFIXES = ("_standard_error", "_se")


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


def standard_error(values: dict[str, Any], key: str) -> float | None:
    """`KEY_standard_error` or `KEY_se` of `values`; None if neither is a number."""
    found = [values[key + suffix] for suffix in ERROR_SUFFIXES if is_number(values.get(key + suffix))]
    return float(found[0]) if found else None


def without_errors(values: dict[str, Any]) -> dict[str, Any]:
    """The entries that are not the standard error of another entry."""
    errors = {key + suffix for key in values for suffix in ERROR_SUFFIXES}
    return {key: value for key, value in values.items() if key not in errors}


def flat_rows(workdir: Workdir, values: dict, names: Mapping[str, str]) -> list[list[str]]:
    """(name, value ± error) of every number in `values`, as markup. `names`: key -> name, where the key in words is
    not the name."""
    flat = flatten(values)
    shown = without_errors(flat)
    return [
        [row_name(workdir, key, value, names), measured(value, standard_error(flat, key))]
        for key, value in shown.items()
    ]


def row_name(workdir: Workdir, key: str, value: object, names: Mapping[str, str]) -> str:
    """The name of the entry in words. Under it the reason, if the entry has no value."""
    why = workdir.reason(key) if value is None else None
    name = escape(
        names.get(key) or key.replace("frechet", "Fréchet").replace("fid_", "FID_").replace(".", ": ").replace("_", " ")
    )
    return f'{name}<br><span class="reason">{escape(why)}</span>' if why else name
