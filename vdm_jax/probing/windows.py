"""Windows: the timesteps at which 95%, 50% and 5% of a feature's information remain, and their standard errors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Real

from vdm_jax.diffusion.posterior import Feature

SHARES = (0.95, 0.5, 0.05)
LEAST_HELD = 0.01  # a smaller share of a feature at the first timestep has no windows of its own
ROUNDING = 1e-12  # a share this close to a level has reached it
Windows = dict[str, float | None]


class Noise(NamedTuple):
    """Ascending timesteps, and abar at each, which falls, or stays where no noise is added."""

    timesteps: Real[np.ndarray, " m"]
    abar: Float[np.ndarray, " m"]


def noise_of(timesteps: Real[np.ndarray, " m"], gammas: Float[np.ndarray, " m"]) -> Noise:
    """abar = sigmoid(-gamma)."""
    return Noise(timesteps, 1 / (1 + np.exp(np.asarray(gammas, np.float64))))


def crossing_times(
    noise: Noise, share: Float[np.ndarray, " m"], levels: Sequence[float] = SHARES
) -> dict[float, float | None]:
    """For each level the last time at which `share` is at or above it; None where it never falls to the level.

    share: the remaining part of what is known without noise (information, R²), 1 at first and 0 at last, not
    necessarily monotone. Between two timesteps by monotone cubics (Fritsch & Carlson 1980): the share over abar, on
    which alone it depends, and the time over √abar.
    """
    known = np.isfinite(share)
    noise, share = Noise(noise.timesteps[known], noise.abar[known]), share[known]
    found: dict[float, float | None] = {}
    for level in levels:
        above = np.where(share >= level)[0]
        falls = len(above) > 0 and above[-1] < len(share) - 1
        found[level] = _crossing(noise, share, level, int(above[-1])) if falls else None
    return found


def _crossing(noise: Noise, share: Float[np.ndarray, " m"], level: float, i: int) -> float:
    """The time between the timesteps i and i + 1 at which the share falls to the level."""
    from scipy.interpolate import PchipInterpolator
    from scipy.optimize import brentq

    times, abar = noise
    rests = np.flatnonzero(abar[1:] == abar[:-1])
    if i in rests or share[i] - level < ROUNDING:
        return float(times[i])
    run = slice(max(rests[rests < i] + 1, default=0), min(rests[rests > i], default=len(abar) - 1) + 1)
    rising, share, times = abar[run][::-1], share[run][::-1], times[run][::-1]
    known = PchipInterpolator(rising, share)
    at = brentq(lambda a: known(a) - level, abar[i + 1], abar[i], xtol=1e-15)
    return float(PchipInterpolator(np.sqrt(rising), times)(np.sqrt(at)))


def share_known(feature: Feature, curves: Mapping[str, Any]) -> Float[np.ndarray, "*m"]:
    """The remaining share of a feature's information: R² of a feature with values, I/H of the others."""
    return np.array(curves["r2"] if "r2" in curves else np.array(curves["information_nats"]) / feature.entropy)


def windows_of(noise: Noise, share: Float[np.ndarray, " m"]) -> Windows:
    """The timesteps at which 95%, 50% and 5% remain: {"95%": t, …}."""
    return {f"{level:.0%}": time for level, time in crossing_times(noise, share).items()}


def logsnr_windows(noise: Noise, share: Float[np.ndarray, " m"]) -> Windows:
    """The log SNR at which 95%, 50% and 5% remain, {"95%": log SNR, …}: that of `windows_of` in time.

    `crossing_times` finds abar first, and the time of that abar by cubics that reproduce a line. -√abar in the place
    of the time is therefore returned as it is.
    """
    found = windows_of(Noise(-np.sqrt(noise.abar), noise.abar), share)
    return {level: None if root is None else float(2 * np.log(-root) - np.log1p(-(root**2)))
            for level, root in found.items()}  # fmt: skip


def jackknife_errors(
    noise: Noise,
    without: Float[np.ndarray, "g m"],
    measure: Callable[[Noise, Float[np.ndarray, " m"]], Windows] = windows_of,
) -> Windows:
    """Standard errors of `measure` from the share without each of G independent groups (Tukey's jackknife).

    measure: `windows_of` or `logsnr_windows`. None where a window does not exist without some group, or for a single
    group.
    """
    groups = [measure(noise, share) for share in without]
    found: Windows = {}
    for level in groups[0]:
        times = [windows[level] for windows in groups]
        known = len(times) > 1 and None not in times
        found[level] = float(np.sqrt((len(times) - 1) * np.var(times))) if known else None
    return found


def describe_windows(
    noise: Noise, share: Float[np.ndarray, " m"], without: Float[np.ndarray, "g m"]
) -> dict[str, Windows | float]:
    """The windows of a feature for a record, over timesteps and over log SNR, with standard errors.

    {"windows", "windows_standard_error", "windows_logsnr", "windows_logsnr_standard_error"} are of the share of all
    information on the feature (of its variance for a feature with values). "held" is that share at the first timestep,
    where no noise is added: less than 1 where x does not determine the feature. {"held_windows", …} are the same four
    of the share of what is held; None where less than `LEAST_HELD` is.

    share: at each timestep; without: the same without each of G groups of batches.
    """
    held = float(share[0])
    parts = {"windows": (share, without)}
    if held >= LEAST_HELD:
        parts["held_windows"] = (share / held, without / without[:, :1])
    found: dict[str, Windows | float] = {"held": held}
    for name, (own, of_groups) in parts.items():
        for suffix, measure in (("", windows_of), ("_logsnr", logsnr_windows)):
            found[f"{name}{suffix}"] = measure(noise, own)
            found[f"{name}{suffix}_standard_error"] = jackknife_errors(noise, of_groups, measure)
    unknown: Windows = dict.fromkeys(found["windows"])
    return {f"held_{name}": dict(unknown) for name in found if name.startswith("windows")} | found
