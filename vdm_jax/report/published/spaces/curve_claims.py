"""The thesis' claims about when noise destroys features, decided by the exact curves in each space.

A verdict takes three trainings: of fewer the numbers are shown without one.
"""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vdm_jax.base.statistics import FEWEST, mean_and_error, paired_difference, t_quantile
from vdm_jax.report.compare.space_sweep import SpaceSetting
from vdm_jax.report.primitives.space_windows import OF_ALL, OF_HELD, TIMESTEP, Time, mean_window
from vdm_jax.report.published.table import interval, number

LOST, LOST_IN_KL, LEFT_IN_VQ, EARLY = 600.0, 250.0, 800.0, 100.0  # timesteps of the claims; EARLY: "from 0 on"
STRAIGHT = 0.05  # largest distance from a straight line that is called linear, as a share of what is held
LEVEL = 0.95  # of intervals over seeds
SHARES = {OF_ALL: "of all", OF_HELD: "of what is held"}
FAMILIES = {  # of spaces -> methods; the thesis says that all is lost by 600 of those of which nothing else is noted
    "VAE": ("vae",),
    "beta-VAE": ("beta4", "beta10", "beta60"),
    "DIP-VAE": ("dip1", "dip2"),
    "CONV-VAE": ("conv",),
    "KL-VAE": ("kl",),
    "AE (not in the thesis)": ("ae",),
    "VQ-VAE (not in the thesis)": ("vq",),
}
THESIS_PAIRS = {  # method of the more robust space -> of the less robust ones
    "vae": {"beta10": "VAE > beta-VAE, 10", "dip1": "VAE > DIP-VAE I", "dip2": "VAE > DIP-VAE II"},
    "beta10": {"dip1": "beta-VAE, 10 > DIP-VAE I", "dip2": "beta-VAE, 10 > DIP-VAE II"},
}
Spaces = Mapping[str, SpaceSetting]  # by variant, such as "vae-16"


class Found(NamedTuple):
    """What the records say on a claim."""

    numbers: str
    verdict: str

    def __str__(self) -> str:
        return f"{self.numbers}: {self.verdict}" if self.numbers else self.verdict


NOT_RUN, NOT_DECIDED, ONE_SEED = "not run", "not decided", "one seed, not decided"
Claim = Callable[[str], Found]  # of a scale


def not_run(scale: str) -> Found:
    """A claim without a run."""
    return Found("", NOT_RUN)


def method_of(stem: str) -> str:
    """ "vae-16" -> "vae"."""
    return stem.partition("-")[0]


def size_of(stem: str) -> int:
    """ "vae-16" -> 16; 0 where the name has no size."""
    return int(stem.partition("-")[2] or 0)


def claims_of_curves(found: Spaces) -> Iterable[tuple[str, Claim]]:
    """The claims that the exact curves in the spaces of a grid speak on."""
    yield from _lost(found)
    yield "latents lose from t = 0 on", functools.partial(lose_early, list(found.values()))
    yield "… and linearly", functools.partial(lose_linearly, list(found.values()))
    yield from _pairs(found)


def _lost(found: Spaces) -> Iterable[tuple[str, Claim]]:
    """All is lost by a time, for each family of spaces."""
    for family, methods in FAMILIES.items():
        if spaces := [one for stem, one in found.items() if method_of(stem) in methods]:
            yield f"all features are lost by t = {LOST:.0f}: {family}", functools.partial(lost_by, LOST, spaces)
    if "kl" in found:
        yield f"in the KL-VAE space by t = {LOST_IN_KL:.0f}", functools.partial(lost_by, LOST_IN_KL, [found["kl"]])
    if "vq" in found:
        text = f"in the VQ-VAE space 5% of a feature are left at t = {LEFT_IN_VQ:.0f}"
        yield text, functools.partial(left_at, LEFT_IN_VQ, found["vq"])


def _pairs(found: Spaces) -> Iterable[tuple[str, Claim]]:
    """One space is more robust than another."""
    for first, others in THESIS_PAIRS.items():
        for second, text in others.items():
            for stem in found:
                other = f"{second}-{size_of(stem)}"
                if method_of(stem) == first and other in found:
                    yield from _compared(f"{text}, {size_of(stem)} latents", found[stem], found[other])
    compared = False
    for method in ("vae", "beta10", "dip1"):
        sizes = sorted((stem for stem in found if method_of(stem) == method and size_of(stem)), key=size_of)
        for smaller, larger in zip(sizes, sizes[1:], strict=False):
            text, compared = f"{found[larger].name} > {size_of(smaller)}", True
            yield from _compared(text, found[larger], found[smaller])
    if not compared:
        yield "larger latents > smaller ones", not_run
    if "conv" in found and "kl" in found:
        yield from _compared("CONV-VAE > KL-VAE", found["conv"], found["kl"])
    largest = [stem for stem in found if size_of(stem) == 1024]
    if not largest:
        yield "of 1,024 latents CONV-VAE is best and KL-VAE worst", not_run
    for stem in largest:
        for best, worst in (("conv", stem), (stem, "kl")):
            if best in found and worst in found:
                yield from _compared(f"{found[best].name} > {found[worst].name}", found[best], found[worst])


def _compared(text: str, ours: SpaceSetting, theirs: SpaceSetting) -> Iterable[tuple[str, Claim]]:
    for share, words in SHARES.items():
        yield f"{text}: half {words}", functools.partial(more_robust, ours, theirs, share)


def ends_of(time: Time) -> tuple[float, float] | None:
    """The t interval of a mean over seeds; None below three seeds, of which no verdict is taken."""
    if time.reached < FEWEST["seeds"] or time.error is None:
        return None
    half = t_quantile(0.5 + LEVEL / 2, time.reached - 1) * time.error
    return time.at - half, time.at + half


def time_text(time: Time) -> str:
    """`at ± error`, and of how many seeds where some lack it."""
    some = "" if time.by_all else f" in {time.reached} of {time.runs} seeds"
    return number(time.at, math.nan if time.error is None else time.error) + some


def lost_by(timestep: float, spaces: Sequence[SpaceSetting], scale: str) -> Found:
    """Whether 5% of no feature remain after a timestep, by t intervals over seeds; the last feature is shown."""
    times = {
        f"5% of {name} in {one.name} until": time
        for one in spaces
        for name, parts in one.features(scale).items()
        if (time := mean_window(parts, OF_ALL, TIMESTEP)["5%"]) is not None
    }
    if not times:
        return Found("", NOT_DECIDED)
    last = max(times, key=lambda text: times[text].at)
    text = f"{last} {time_text(times[last])}"
    if ends_of(times[last]) is None:
        return Found(text, ONE_SEED)
    ends = [each for each in map(ends_of, times.values()) if each is not None]
    refuted, confirmed = any(low > timestep for low, _ in ends), all(high <= timestep for _, high in ends)
    return Found(text, "refuted" if refuted else "confirmed" if confirmed else NOT_DECIDED)


def left_at(timestep: float, space: SpaceSetting, scale: str) -> Found:
    """Whether 5% of a feature remain at a timestep: the last one, by the t interval over seeds."""
    opposite = {"confirmed": "refuted", "refuted": "confirmed"}
    found = lost_by(timestep, [space], scale)
    return found._replace(verdict=opposite.get(found.verdict, found.verdict))


def lose_early(spaces: Sequence[SpaceSetting], scale: str) -> Found:
    """How many features of spaces lose 5% of what is held within the first 100 timesteps, by t intervals over seeds."""
    windows = [mean_window(parts, OF_HELD, TIMESTEP)["95%"] for one in spaces for parts in one.features(scale).values()]
    times = [time for time in windows if time is not None]
    if not times:
        return Found("", NOT_DECIDED)
    ends = [ends_of(time) for time in times]
    early = sum(each is not None and each[1] <= EARLY for each in ends)
    late = sum(each is not None and each[0] > EARLY for each in ends)
    first, last = min(time.at for time in times), max(time.at for time in times)
    text = f"95% of what is held until {first:.0f} to {last:.0f}"
    if not any(ends):
        return Found(text, ONE_SEED)
    text += f"; of {len(times)}, {early} until {EARLY:.0f} or less, {late} longer"
    verdicts = {(True, False): "confirmed", (False, True): "refuted"}
    whole = early + late == len(times)
    return Found(text, verdicts.get((early > 0, late > 0), "for some") if whole or early and late else NOT_DECIDED)


def lose_linearly(spaces: Sequence[SpaceSetting], scale: str) -> Found:
    """How far the share of what is held is from a straight line, from timestep 0 until 5% of it remain."""
    distances = [
        np.array([distance_from_line(part, times) for part, times in zip(parts, _timesteps(one, scale), strict=True)])
        for one in spaces
        for parts in one.features(scale).values()
        if all((part.get(OF_HELD) or {}).get("5%") is not None for part in parts)
    ]
    if not distances:
        return Found("", NOT_DECIDED)
    means = [float(each.mean()) for each in distances]
    text = f"largest distance from a straight line {min(means):.2f} to {max(means):.2f} of what is held"
    several = [each for each in distances if len(each) >= FEWEST["seeds"]]
    if len(several) < len(distances):
        return Found(text, ONE_SEED)
    over = [mean_and_error(each, "seeds") for each in several]
    least = [float(one.mean - t_quantile(0.5 + LEVEL / 2, one.n - 1) * one.error) for one in over]
    bent = sum(low > STRAIGHT for low in least)
    text += f"; of {len(least)}, {bent} above {STRAIGHT}"
    return Found(text, "refuted" if bent == len(least) else "for some" if bent else NOT_DECIDED)


def distance_from_line(part: Mapping[str, Any], timesteps: Float[np.ndarray, " m"]) -> float:
    """The largest distance of a feature's share of what is held from the line from 1 at 0 to 0.05 where it has that."""
    curves, end = part["exact"], part[OF_HELD]["5%"]
    share = np.array(curves["r2"] if "r2" in curves else curves["information_nats"], np.float64)
    until = timesteps < end
    return float(np.abs(share / share[0] - (1 - 0.95 * timesteps / end))[until].max())


def _timesteps(one: SpaceSetting, scale: str) -> list[Float[np.ndarray, " m"]]:
    return [np.array(run.record("table")["scales"][scale]["timesteps"], np.float64) for run in one.runs]


def more_robust(ours: SpaceSetting, theirs: SpaceSetting, share: str, scale: str) -> Found:
    """The difference of the timesteps with half of a feature remaining, mean over the features that all runs hold.

    share: `OF_ALL` or `OF_HELD`. The verdict takes the t interval of paired differences over three seeds.
    """
    a, b = ours.features(scale), theirs.features(scale)
    halves = {}
    for name in a:
        times = [[(part.get(share) or {}).get("50%") for part in parts.get(name, [])] for parts in (a, b)]
        if all(times) and not any(None in each for each in times):
            halves[name] = times
    if not halves:
        return Found("", NOT_DECIDED)
    first, second = (np.array([times[i] for times in halves.values()], np.float64).mean(0) for i in range(2))
    names = f"({', '.join(halves)})"
    if len(first) != len(second) or len(first) < FEWEST["seeds"]:
        return Found(f"{first.mean() - second.mean():.0f} timesteps {names}", ONE_SEED)
    difference = paired_difference(first, second, "seeds")
    low, high = (float(end) for end in difference.interval)
    text = f"{interval(difference)} timesteps {names}"
    return Found(text, "confirmed" if low > 0 else "refuted" if high < 0 else NOT_DECIDED)
