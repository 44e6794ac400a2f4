"""results/spaces: when noise destroys features in latent spaces, beside the thesis' claims.

The records are GRID/VARIANT-SEED/table.json, such as small/vae-16-0.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.compare.latent_sweep import ratios_figure
from vdm_jax.report.compare.space_sweep import (
    SpaceSetting,
    figure_of,
    spaces_table,
    speciation_table,
    windows_table,
)
from vdm_jax.report.primitives.space_windows import LOGSNR, OF_ALL, OF_HELD, SCALES, TIMESTEP
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.page import Page
from vdm_jax.report.published.spaces.chains import chains, diffusers, normality, real_or_generated, schedules
from vdm_jax.report.published.spaces.chains import settings_of as diffuser_settings
from vdm_jax.report.published.spaces.curve_claims import claims_of_curves, size_of
from vdm_jax.report.published.spaces.model_claims import claims_of_models
from vdm_jax.report.published.spaces.sampling import no_sprite, samplers, starts, times
from vdm_jax.report.published.spaces.thesis import diffusers_of_thesis
from vdm_jax.report.published.table import DASH, table

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


def settings_of(folder: Path, grid: str) -> dict[str, SpaceSetting]:
    """The spaces of a grid by variant, such as "vae-16", in the order of `METHODS` and of their sizes."""
    found: dict[str, list[Workdir]] = {}
    for path in sorted((folder / grid).glob("*-[0-9]/table.json")):
        found.setdefault(path.parent.name.rpartition("-")[0], []).append(Workdir(path.parent))
    order = sorted(found, key=lambda stem: (list(METHODS).index(stem.partition("-")[0]), size_of(stem)))
    return {stem: SpaceSetting(title(stem), tuple(found[stem])) for stem in order}


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


def claims(folder: Path) -> str:
    """One row for each claim, of exact curves one for each grid; a column for each scale."""
    rows = [(f"{text} ({size})", {scale: str(claim(scale)) for scale in SCALES})
            for grid, size in GRIDS.items() if (found := settings_of(folder, grid))
            for text, claim in claims_of_curves(found)]  # fmt: skip
    rows += [(text, {"none": str(found)}) for text, found in claims_of_models(folder)]
    columns = {"claim of the thesis": lambda row: row[0]}
    columns |= {name: lambda row, scale=scale: row[1].get(scale, DASH) for scale, name in SCALES.items()}
    return table(rows, columns)


PAGE = Page(
    "spaces",
    tables={"claims": claims, "schedules": schedules, "chains": chains, "real-or-generated": real_or_generated}
    | {"normality": normality, "diffusers": diffusers, "diffusers-full": diffusers_of_thesis}
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
