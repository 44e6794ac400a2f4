"""Names for runs that differ in a few settings."""

from collections.abc import Iterable, Mapping
from typing import Any


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """The shortest ending of each dotted key that no other key shares: "train.seed" -> "seed"."""
    keys = sorted(set(keys))

    def ending(key: str, num_parts: int) -> str:
        return ".".join(key.split(".")[-num_parts:])

    short = {}
    for key in keys:
        lengths = range(1, key.count(".") + 2)
        alone = (n for n in lengths if [ending(other, n) for other in keys].count(ending(key, n)) == 1)
        short[key] = ending(key, next(alone, len(lengths)))
    return short


def describe(settings: Mapping[str, Any], short: Mapping[str, str]) -> str:
    """The settings in their order under their short names: "mode=target,seed=1"."""
    return ",".join(f"{short[key]}={_plain(value)}" for key, value in settings.items())


def _plain(value: Any) -> str:
    """The shortest exact form of a float: 10000 for 1e4, 0.001 for 1e-3."""
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value)
