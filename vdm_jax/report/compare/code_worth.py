"""The worth of a code: bounds with and without it, and the log SNRs at which w helps.

½ [E||eps - eps_hat(z)||² - E||eps - eps_hat(z, w)||²] against log SNR, for optimal denoisers: its area is
I(w; z_0) - I(w; z_1) (by dI/dSNR = ½ mmse, Guo et al. 2005). The network without w is the unconditional run of the
same data and U-Net, or any other setting:

    python -m vdm_jax.report.compare.code_worth --against=SETTING WORKDIR …
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from vdm_jax.base.ending import exit_code
from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.statistics import Difference, mean_and_error, paired_difference
from vdm_jax.report.compare.paired import IMAGES, bound_over_images, bound_over_seeds, ends, of_common_seeds
from vdm_jax.report.compare.study import Measured, Setting, read_settings
from vdm_jax.report.primitives.figures import area, band
from vdm_jax.report.primitives.style import GREY, INK, line_look, panel

CURVES = "evaluate_curves.npz"


@dataclass(frozen=True)
class Worth:
    """A setting compared with another one, usually the one without a code.

    Curves are means over seeds or images, in nats per unit of log SNR. The differences of D + R are those of the common
    seeds: paired seed by seed, and over test images as the mean over the seeds of each image; None where there are no
    pairs.
    """

    name: str
    excess: Measured  # difference of D + R, nats: below zero is better
    over_seeds: Difference | None
    over_images: Difference | None
    saved: Measured  # the area under the curve, nats
    logsnr: Float[np.ndarray, " m"]
    curve: Float[np.ndarray, " m"]
    error: Float[np.ndarray, " m"]


def baseline_of(setting: Setting, settings: Sequence[Setting]) -> Setting | None:
    """The setting without a code that has the same data and U-Net; None if there is none, or several."""

    def place(one: Setting) -> list:
        return [_data_of(one), (one.runs[0].config.get("model") or {}).get("unet")]

    without = [other for other in settings if other.runs[0].is_unconditional and not other.runs[0].reads_labels]
    others = [other for other in without if place(other) == place(setting)]
    return others[0] if len(others) == 1 and not setting.runs[0].is_unconditional else None


def _data_of(setting: Setting) -> list:
    """The data without their folder, and the number of dimensions."""
    run = setting.runs[0]
    return [{key: value for key, value in (run.config.get("data") or {}).items() if key != "dir"}, run.num_dims]


def worth_of(setting: Setting, baseline: Setting) -> Worth | None:
    """The worth of a setting relative to a baseline; None if a file is missing.

    Differences are paired seed by seed if both have several common seeds, and image by image between two single runs
    on the same test images. Otherwise they are differences of means.

    All log SNRs use the same images and noise, so their errors are correlated. For a single unpaired run, the error of
    the area is at most the area under the error.
    """
    shared = of_common_seeds(setting, baseline)
    setting, baseline = shared or (setting, baseline)
    paired = shared is not None and len(setting.runs) > 1
    ours, theirs = setting.measured("bound_nats"), baseline.measured("bound_nats")
    curves = [[run.arrays(CURVES, "logsnr", "own", "own_se") for run in one.runs] for one in (setting, baseline)]
    if ours is None or theirs is None or any(run is None for runs in curves for run in runs):
        return None
    logsnr = curves[0][0]["logsnr"]
    if any(not np.array_equal(run["logsnr"], logsnr) for runs in curves for run in runs):
        return None
    with_code, without = (np.stack([run["own"] for run in runs]) for runs in curves)
    if paired:
        bounds = [np.array([run.evaluate["bound_nats"] for run in one.runs]) for one in (setting, baseline)]
        excess, saved, curve, error = _differences(logsnr, bounds, [with_code, without], "seeds")
    elif (each := _by_image(setting, baseline, len(logsnr))) is not None:
        excess, saved, curve, error = _differences(logsnr, *each, "images")
    else:
        over: Literal["seeds", "images"] = "seeds" if ours.over == theirs.over == "seeds" else "images"
        curve = without.mean(0) - with_code.mean(0)
        error = np.hypot(*(_own_error(runs) for runs in curves))
        saved = Measured(area(logsnr, curve), math.hypot(*(_area_error(runs) for runs in curves)), over)
        excess = Measured(ours.mean - theirs.mean, math.hypot(ours.error, theirs.error), over)
    differences = [find(setting, baseline) if shared else None for find in (bound_over_seeds, bound_over_images)]
    return Worth(setting.name, excess, *differences, saved, logsnr, curve, error)


def _by_image(setting: Setting, baseline: Setting, num_points: int) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    """(D + R [N], curves [N', M]) of both, with M = `num_points`, if both are single runs that were evaluated on the
    same test images (at least two); else None."""
    runs = (*setting.runs, *baseline.runs)
    found = [run.arrays(IMAGES, "bound_nats", "own") for run in runs]
    data = {(run.evaluate.get("provenance") or {}).get("data") for run in runs}
    if len(runs) != 2 or None in data or len(data) > 1 or any(arrays is None for arrays in found):
        return None
    bounds, curves = ([arrays[name].astype(np.float64) for arrays in found] for name in ("bound_nats", "own"))
    same = bounds[0].shape == bounds[1].shape and curves[0].shape == curves[1].shape
    whole = curves[0].shape[1:] == (num_points,) and min(len(bounds[0]), len(curves[0])) > 1
    return (bounds, curves) if same and whole else None


def _differences(
    logsnr: np.ndarray, bounds: Sequence[np.ndarray], curves: Sequence[np.ndarray], over: Literal["seeds", "images"]
) -> tuple[Measured, Measured, np.ndarray, np.ndarray]:
    """(excess, saved, curve, error of the curve) of bounds [N] and curves [N', M] with and without the code."""
    curve = paired_difference(curves[1], curves[0], over)
    saved = mean_and_error(np.array([area(logsnr, each) for each in curves[1] - curves[0]]), over)
    excess = paired_difference(bounds[0], bounds[1], over)
    excess, saved = (Measured(float(one.mean), float(one.error), over) for one in (excess, saved))
    return excess, saved, curve.mean, curve.error


def _own_error(runs: Sequence[dict[str, np.ndarray]]) -> Float[np.ndarray, " m"]:
    """The error of the mean curve over seeds, or over images for a single run."""
    if len(runs) == 1:
        return runs[0]["own_se"]
    return mean_and_error(np.stack([run["own"] for run in runs]), "seeds").error


def _area_error(runs: Sequence[dict[str, np.ndarray]]) -> float:
    """The error of the mean area over seeds, or a bound on it for a single run."""
    if len(runs) == 1:
        return area(runs[0]["logsnr"], runs[0]["own_se"])
    return float(mean_and_error(np.array([area(run["logsnr"], run["own"]) for run in runs]), "seeds").error)


def worths(settings: Sequence[Setting]) -> list[Worth]:
    """The worth of every setting that has a baseline, in their order."""
    pairs = [(setting, baseline_of(setting, settings)) for setting in settings]
    found = [worth_of(setting, baseline) for setting, baseline in pairs if baseline is not None]
    return [worth for worth in found if worth is not None]


def worths_against(name: str, settings: Sequence[Setting]) -> list[Worth]:
    """The worth of every other setting relative to the setting `name`. Raises `UserError` if there is no such setting
    or if one cannot be compared with it."""
    baseline = choose("--against", name, {setting.name: setting for setting in settings})
    found = []
    for setting in settings:
        if setting is baseline:
            continue
        if _data_of(setting) != _data_of(baseline):
            raise UserError(f"{setting.name} and {name} have different data; their curves cannot be compared")
        if (worth := worth_of(setting, baseline)) is None:
            need = f"evaluate.json and {CURVES} of both, at the same log SNRs"
            raise UserError(f"{setting.name} cannot be compared with {name}; the comparison needs {need}")
        found.append(worth)
    if not found:
        raise UserError(f"there is no setting to compare with {name}; add workdirs of another setting")
    return found


def worth_table(found: Sequence[Worth], against: str = "unconditional") -> str:
    """A Markdown table, one row for each setting. Columns of intervals that no setting has are omitted.

    against: name of the setting that they are compared with.
    """
    columns = {
        "setting": [one.name for one in found],
        f"D + R above {against}, nats": [str(one.excess) for one in found],
        "95% t interval, paired seed by seed": [ends(one.over_seeds) for one in found],
        "95% t interval, paired image by image": [ends(one.over_images) for one in found],
        f"saved {'by w' if against == 'unconditional' else 'beside it'}, nats": [str(one.saved) for one in found],
        "half of it above log SNR": [_middle(one) for one in found],
    }
    columns = {
        title: cells
        for title, cells in columns.items()
        if not title.startswith("95%") or any(cell != "—" for cell in cells)
    }
    rows = [list(columns), ["---"] * len(columns), *map(list, zip(*columns.values(), strict=True))]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _middle(one: Worth) -> str:
    """The log SNR above which half of the area lies; a dash if the area is within two errors of zero."""
    if not one.saved.mean > 2 * one.saved.error:
        return "—"
    order = np.argsort(one.logsnr)
    x, y = one.logsnr[order].astype(float), one.curve[order].astype(float)
    below = np.concatenate([[0.0], np.cumsum((y[1:] + y[:-1]) / 2 * np.diff(x))])
    return f"{np.interp(below[-1] / 2, np.maximum.accumulate(below), x):.1f}"


def worth_figure(found: Sequence[Worth]) -> Figure:
    """A curve for each setting with ± 2 standard errors."""
    size = (7.4, max(4.1, 1.2 + 0.17 * len(found)))
    label = "without w − with own w,  nats / log SNR"
    figure, axes = panel(title="What a code is worth", xlabel="log SNR", ylabel=label, size=size)
    axes.axhline(0, color=GREY, linewidth=1.0)
    for i, one in enumerate(found):
        order = np.argsort(one.logsnr)
        band(axes, one.logsnr[order], one.curve[order], one.error[order], *line_look(i), one.name)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8, labelcolor=INK)
    return figure


def main(arguments: list[str] | None = None) -> int:
    """Prints the table. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m vdm_jax.report.compare.code_worth", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--against", required=True, help="the setting that the others are compared with")
    parser.add_argument("workdirs", nargs="+", help="workdirs of evaluated runs")
    options = parser.parse_args(arguments)
    try:
        print(worth_table(worths_against(options.against, read_settings(options.workdirs)), options.against))
    except UserError as error:
        print(f"code_worth: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(exit_code("code_worth", main))
