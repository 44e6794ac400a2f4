"""results/spaces: when noise destroys features in latent spaces, beside the thesis' claims.

The records are GRID/VARIANT-SEED/table.json, such as small/vae-16-0.
"""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.statistics import paired_difference
from vdm_jax.report.compare.latent_sweep import ratios_figure
from vdm_jax.report.compare.space_sweep import (
    SpaceSetting,
    figure_of,
    spaces_table,
    speciation_table,
    windows_table,
)
from vdm_jax.report.primitives.space_windows import LOGSNR, OF_ALL, OF_HELD, SCALES, TIMESTEP, mean_window
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.page import Page
from vdm_jax.report.published.spaces.chains import chains, diffusers, normality, schedules
from vdm_jax.report.published.spaces.chains import settings_of as diffuser_settings
from vdm_jax.report.published.spaces.sampling import no_sprite, samplers, starts, times
from vdm_jax.report.published.table import interval, number, table

METHODS = {  # in the order of the tables
    "ae": "AE",
    "vae": "VAE",
    "beta4": "beta-VAE, 4",
    "beta10": "beta-VAE, 10",
    "beta60": "beta-VAE, 60",
    "dip1": "DIP-VAE I",
    "dip2": "DIP-VAE II",
    "conv": "CONV-VAE",
    "kl": "KL-VAE",
    "vq": "VQ-VAE",
}
GRIDS = {"small": "32x32", "full": "64x64"}
PUBLISHED = ("small",)  # grids with tables and figures on the page
LOST, LOST_IN_KL, EARLY = 600.0, 250.0, 100.0  # timesteps of the thesis' claims; EARLY: "from 0 on"
SIGNIFICANT = 2.0  # standard errors, where there is one seed


def settings_of(folder: Path, grid: str) -> dict[str, SpaceSetting]:
    """The spaces of a grid by variant, such as "vae-16", in the order of `METHODS` and of their sizes."""
    found: dict[str, list[Workdir]] = {}
    for path in sorted((folder / grid).glob("*-[0-9]/table.json")):
        found.setdefault(path.parent.name.rpartition("-")[0], []).append(Workdir(path.parent))
    order = sorted(found, key=lambda stem: (list(METHODS).index(stem.partition("-")[0]), _size(stem)))
    return {stem: SpaceSetting(title(stem), tuple(found[stem])) for stem in order}


def _size(stem: str) -> int:
    return int(stem.partition("-")[2] or 0)


def title(stem: str) -> str:
    """ "vae-16" -> "VAE, 16 latents"."""
    method, _, size = stem.partition("-")
    return f"{METHODS[method]}, {size} latent{'s' * (size != '1')}" if size else METHODS[method]


def of_grid(make: Callable[[Sequence[SpaceSetting]], str], grid: str, folder: Path) -> str:
    """A table of the spaces of a grid."""
    return make(list(settings_of(folder, grid).values()))


def drawn(grid: str, axis: str, key: str, folder: Path) -> Figure:
    """All windows of a grid; those of pixels, from results/probes, in the first row."""
    pixels = Workdir(folder.parent / "probes" / f"{grid}-linear").exact
    first = {"pixels": {"none": in_pixels(pixels)}} if pixels else {}
    return figure_of(list(settings_of(folder, grid).values()), axis, key, first)


def in_pixels(record: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """The features of an exact.json of pixels as those of a table.json, also of a record that lacks windows in log SNR.

    An image holds all of a feature but of the orientation, whose windows of what is held are those of all.
    """
    timesteps, abar = (np.array(record[key], np.float64) for key in ("timesteps", "abar"))
    found = {}
    for name, feature in record["features"].items():
        # √abar is nearly a line between timesteps, also before the first noise, where log SNR is not
        roots = {level: None if at is None else float(np.interp(at, timesteps, np.sqrt(abar)))
                 for level, at in feature["windows"].items()}  # fmt: skip
        logsnr = {level: None if root is None else 2 * math.log(root) - math.log1p(-(root**2))
                  for level, root in roots.items()}  # fmt: skip
        whole = {"windows_logsnr": logsnr, "held_windows_logsnr": logsnr, "held_windows": feature["windows"]}
        found[name] = [whole | dict(feature)]
    return found


# ---- claims of the thesis -------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """What the records say on a claim at one scale."""

    numbers: str
    verdict: str

    def __str__(self) -> str:
        return f"{self.numbers}: {self.verdict}" if self.numbers else self.verdict


NOT_DECIDED = Found("", "not decided")
Claim = Callable[[str], Found]  # of a scale


def claims(folder: Path) -> str:
    """One row for each claim and grid; a column for each scale."""
    rows = [(f"{text} ({size})", claim) for grid, size in GRIDS.items() if (found := settings_of(folder, grid))
            for text, claim in claims_of(found)]  # fmt: skip
    columns: dict[str, Callable[[tuple[str, Claim]], str]] = {"claim of the thesis": lambda row: row[0]}
    columns |= {name: lambda row, scale=scale: str(row[1](scale)) for scale, name in SCALES.items()}
    return table(rows, columns)


def claims_of(found: dict[str, SpaceSetting]) -> Iterable[tuple[str, Claim]]:
    """The claims that the spaces of a grid speak on."""
    others = [one for stem, one in found.items() if stem != "kl"]
    yield "all features are lost by t = 600", functools.partial(lost_by, LOST, others)
    if "kl" in found:
        yield "in the KL-VAE space by t = 250", functools.partial(lost_by, LOST_IN_KL, [found["kl"]])
    yield "latents lose from t = 0 on", functools.partial(lose_early, list(found.values()))
    pairs = [("vae", "beta10", "a VAE is more robust than a beta-VAE"), ("beta10", "dip1", "a beta-VAE than a DIP-VAE")]
    for first, second, text in pairs:
        for stem in found:
            method, _, size = stem.partition("-")
            if method == first and f"{second}-{size}" in found:
                pair = found[stem], found[f"{second}-{size}"]
                yield f"{text}, {size} latents", functools.partial(more_robust, *pair)
    for method in ("vae", "beta10", "dip1"):
        sizes = sorted((stem for stem in found if stem.partition("-")[0] == method and _size(stem)), key=_size)
        for smaller, larger in zip(sizes, sizes[1:], strict=False):
            text = f"{METHODS[method]}: {_size(larger)} latents are more robust than {_size(smaller)}"
            yield text, functools.partial(more_robust, found[larger], found[smaller])
    if "conv" in found and "kl" in found:
        yield "CONV-VAE is more robust than KL-VAE", functools.partial(more_robust, found["conv"], found["kl"])
    for stem in [stem for stem in found if _size(stem) == 1024]:
        for best, worst in (("conv", stem), (stem, "kl")):
            if best in found and worst in found:
                text = f"{title(best)} is more robust than {title(worst)}"
                yield text, functools.partial(more_robust, found[best], found[worst])


def lost_by(timestep: float, spaces: Sequence[SpaceSetting], scale: str) -> Found:
    """The last timestep at which 5% of a feature remains in one of the spaces."""
    last: tuple[float, str] = (-math.inf, "")
    for one in spaces:
        for name, parts in one.features(scale).items():
            at = mean_window(parts, OF_ALL, TIMESTEP)["5%"]
            if at is None and mean_window(parts, OF_ALL, TIMESTEP)["50%"] is not None:
                return Found(f"{name} in {one.name} keeps 5%", "refuted")
            if at is not None and at.at > last[0]:
                last = (
                    at.at,
                    f"5% of {name} in {one.name} at {number(at.at, math.nan if at.error is None else at.error)}",
                )
    if not last[1]:
        return NOT_DECIDED
    return Found(last[1], "confirmed" if last[0] <= timestep else "refuted")


def lose_early(spaces: Sequence[SpaceSetting], scale: str) -> Found:
    """How many features of spaces lose 5% of what is held within the first 100 timesteps."""
    ends = [mean_window(parts, OF_HELD, TIMESTEP)["95%"] for one in spaces for parts in one.features(scale).values()]
    times = [end.at for end in ends if end is not None]
    if not times:
        return NOT_DECIDED
    early = sum(time <= EARLY for time in times)
    verdict = "confirmed" if early == len(times) else "refuted" if not early else "for some"
    return Found(f"95% of what is held remain until {min(times):.0f} to {max(times):.0f}, {early} of {len(times)} "
                 f"until {EARLY:.0f} or less", verdict)  # fmt: skip


def more_robust(ours: SpaceSetting, theirs: SpaceSetting, scale: str) -> Found:
    """The difference of the timesteps with half of a feature remaining, mean over the features.

    Over three seeds and more by a t interval of paired differences; of one seed each by two standard errors of the
    curves, which say nothing about another training.
    """
    a, b = ours.features(scale), theirs.features(scale)
    halves = {}
    for name in a.keys() & b.keys():
        times = [[part["windows"]["50%"] for part in parts] for parts in (a[name], b[name])]
        if not any(None in each for each in times):
            halves[name] = times
    if not halves:
        return NOT_DECIDED
    first, second = (np.array([times[i] for times in halves.values()], np.float64).mean(0) for i in range(2))
    if len(first) == len(second) >= 3:
        difference = paired_difference(first, second, "seeds")
        low, high = (float(end) for end in difference.interval)
        text = f"{interval(difference)} timesteps"
    else:
        parts = [part[name][0] for name in halves for part in (a, b)]
        error = math.sqrt(sum((part["windows_standard_error"]["50%"] or 0.0) ** 2 for part in parts)) / len(halves)
        mean = float(first[0] - second[0])
        low, high, text = mean - SIGNIFICANT * error, mean + SIGNIFICANT * error, f"{number(mean, error)} timesteps"
    return Found(text, "confirmed" if low > 0 else "refuted" if high < 0 else "not decided")


PAGE = Page(
    "spaces",
    tables={"claims": claims, "schedules": schedules, "chains": chains, "normality": normality, "diffusers": diffusers}
    | {"samplers": samplers, "times": times, "starts": starts}
    | {
        f"{name}-{grid}": functools.partial(of_grid, make, grid)
        for grid in PUBLISHED
        for name, make in {
            "spaces": spaces_table,
            "windows": windows_table,
            "held-windows": functools.partial(windows_table, key=OF_HELD),
            "speciation": speciation_table,
        }.items()
    },
    figures={
        f"figures/{name}_{grid}{suffix}.png": functools.partial(drawn, grid, axis, key)
        for grid in PUBLISHED
        for name, key in (("windows", OF_ALL), ("held_windows", OF_HELD))
        for suffix, axis in (("", TIMESTEP), ("_logsnr", LOGSNR))
    }
    | {
        "figures/diffusers.png": lambda folder: ratios_figure(diffuser_settings(folder)),
        "figures/samplers.png": no_sprite,
    },
)
