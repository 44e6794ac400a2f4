"""Windows as cells of a table."""

from collections.abc import Mapping


def window_cells(windows: Mapping[str, float | None], errors: Mapping[str, float | None] | None = None) -> list[str]:
    """The timestep of each share ± its standard error, if known; "never" if the share is not reached."""
    cells = []
    for level, time in windows.items():
        error = (errors or {}).get(level)
        cells.append("never" if time is None else f"{time:.0f}" if error is None else f"{time:.0f} ± {error:.1f}")
    return cells
