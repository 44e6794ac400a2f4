"""Decision windows: when is a feature destroyed, when is it decided."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

SHARES = (0.95, 0.5, 0.05)


def crossing_times(
    times: Float[np.ndarray, " m"], share: Float[np.ndarray, " m"], levels: Sequence[float] = SHARES
) -> dict[float, float | None]:
    """For each level the last time at which `share` is still at it or above, by linear interpolation.

    times rise; share is what is left of what was known without noise (information, R²), 1 at first and 0 at last, and
    may wiggle. None where it never falls to the level.
    """
    found: dict[float, float | None] = {}
    for level in levels:
        above = np.where(share >= level)[0]
        if len(above) == 0 or above[-1] == len(times) - 1:
            found[level] = None
            continue
        i = above[-1]
        fall = (share[i] - level) / (share[i] - share[i + 1])
        found[level] = float(times[i] + fall * (times[i + 1] - times[i]))
    return found
