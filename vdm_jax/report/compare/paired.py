"""D + R of two settings of common seeds: differences paired seed by seed, and image by image."""

import math
from dataclasses import replace

import numpy as np

from vdm_jax.base.statistics import Difference, paired_difference
from vdm_jax.report.compare.study import Setting
from vdm_jax.report.primitives.workdir import is_number

IMAGES = "evaluate_images.npz"
ROUNDING = 1e-9


def of_common_seeds(ours: Setting, theirs: Setting) -> tuple[Setting, Setting] | None:
    """Both settings with the runs of the seeds that both have, in the order of `ours`; None if there is no such
    seed."""
    seeds = [seed for seed in ours.seeds if seed in theirs.seeds]
    if not seeds:
        return None
    runs = [dict(zip(one.seeds, one.runs, strict=True)) for one in (ours, theirs)]
    ours, theirs = (
        replace(one, runs=tuple(of_seed[seed] for seed in seeds))
        for one, of_seed in zip((ours, theirs), runs, strict=True)
    )
    return ours, theirs


def bound_over_seeds(ours: Setting, theirs: Setting) -> Difference | None:
    """D + R of `ours` minus `theirs`, nats, paired seed by seed. None where a run has no bound."""
    bounds = [[run.evaluate.get("bound_nats") for run in one.runs] for one in (ours, theirs)]
    if not all(is_number(value) for one in bounds for value in one):
        return None
    return paired_difference(*(np.array(one, np.float64) for one in bounds), "seeds")


def bound_over_images(ours: Setting, theirs: Setting) -> Difference | None:
    """D + R of `ours` minus `theirs`, nats, the mean over seeds of each test image, paired over the images.

    Its error is of other images under the trainings at hand. None where a run has no numbers of each image, or other
    images than the other runs.
    """
    runs = (*ours.runs, *theirs.runs)
    found = [run.arrays(IMAGES, "bound_nats") for run in runs]
    if any(arrays is None for arrays in found):
        return None
    bounds = [arrays["bound_nats"].astype(np.float64) for arrays in found]
    data = {(run.evaluate.get("provenance") or {}).get("data") for run in runs}
    if len(data) > 1 or len({values.shape for values in bounds}) > 1:
        return None
    a, b = (np.mean(part, axis=0) for part in (bounds[: len(ours.runs)], bounds[len(ours.runs) :]))
    return paired_difference(a, b, "images")


def ends(found: Difference | None) -> str:
    """`[low, high]` of the interval to two digits of half of it; a dash where there is none."""
    if found is None or found.interval is None:
        return "—"
    low, high = (float(end) for end in found.interval)
    decimals = decimals_of((high - low) / 2)
    return "[{}, {}]".format(*(fixed(end, decimals) for end in (low, high)))


def decimals_of(half: float) -> int:
    """Decimals that show two digits of half of an interval; two where that is a rounding error."""
    return max(0, 1 - math.floor(math.log10(half))) if half > ROUNDING else 2


def fixed(value: float, decimals: int) -> str:
    """The value to so many decimals; without the sign of a zero."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}"
