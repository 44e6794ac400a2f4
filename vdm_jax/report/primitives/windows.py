"""Decision windows as cells of a table."""

from collections.abc import Mapping


def window_cells(windows: Mapping[str, float | None], errors: Mapping[str, float | None] | None = None) -> list[str]:
    """The timestep of each share, with its standard error where that is known; "never" where it is never reached."""
    told = []
    for level, time in windows.items():
        error = (errors or {}).get(level)
        told.append("never" if time is None else f"{time:.0f}" if error is None else f"{time:.0f} ± {error:.1f}")
    return told
