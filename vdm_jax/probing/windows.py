"""Decision windows: when is a feature destroyed, when is it decided, and how well is that known?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from vdm_jax.diffusion.optimal import Feature

SHARES = (0.95, 0.5, 0.05)
Windows = dict[str, float | None]


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


def share_known(feature: Feature, curves: Mapping[str, Any]) -> Float[np.ndarray, "*m"]:
    """What is left of what there is to know: R² of a feature with values, I/H of the others."""
    return np.array(curves["r2"] if "r2" in curves else np.array(curves["information_nats"]) / feature.entropy)


def windows_of(timesteps: np.ndarray, share: Float[np.ndarray, " m"]) -> Windows:
    """The timesteps at which 95%, 50% and 5% is left: {"95%": t, …}."""
    return {f"{level:.0%}": time for level, time in crossing_times(timesteps.astype(float), share).items()}


def jackknife_errors(timesteps: np.ndarray, without: Float[np.ndarray, "g m"]) -> Windows:
    """Standard errors of `windows_of` by leaving out one of G independent groups at a time (Tukey's jackknife).

    without: the share without each group. None where a window is not found without some group, or for one group.
    """
    groups = [windows_of(timesteps, share) for share in without]
    found: Windows = {}
    for level in groups[0]:
        times = [windows[level] for windows in groups]
        known = len(times) > 1 and None not in times
        found[level] = float(np.sqrt((len(times) - 1) * np.var(times))) if known else None
    return found
