"""The hypotheses and claims of the source blog: each with its numbers and a verdict by their intervals."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from vdm_jax.base.statistics import Difference, paired_difference
from vdm_jax.report.compare.code_worth import CURVES
from vdm_jax.report.primitives.figures import area
from vdm_jax.report.published.collapse.causes import FACTORS
from vdm_jax.report.published.collapse.claims import CONFIRMED, ENDS, OPEN, REFUTED, CollapseClaim, claim_table, verdict
from vdm_jax.report.published.collapse.studies import (
    LONGER,
    MODES,
    MODES_14,
    NONE,
    NOT_RUN,
    SPRITES,
    TARGET,
    Study,
    cost_of,
    numbers,
    paired,
    runs_of,
    shown,
    sign_of,
)

OF_THE_BLOG = "beta1e4"  # the weight of the KL in the blog's code


def blog(folder: Path) -> str:
    """One row for each claim of the source blog and data set that was run."""
    return claim_table("claim of the blog", blog_claims(folder))


def blog_claims(folder: Path) -> list[CollapseClaim]:
    """Each claim of the source blog on every data set."""
    rows = [meaningful(study, folder) for study in (MODES, MODES_14, SPRITES)]
    rows += [useful(study, folder) for study in (MODES, MODES_14, LONGER, SPRITES)]
    rows += [unregularised(study, folder) for study in (MODES, MODES_14)]
    return rows + [larger(*ends, folder) for ends in ENDS]


def labels_read(study: Study, folder: Path, baseline: str = "untrained") -> dict[str, Difference]:
    """By setting the accuracy of a linear classifier on w less that on a baseline, such as w of the untrained
    encoder."""
    keys = ("linear_probe_accuracy", f"linear_probe_accuracy_{baseline}")
    settings = {name: runs_of(study, stem, folder) for stem, name in study.names.items()}
    gains = {name: paired(*(numbers(one, key) for key in keys)) for name, one in settings.items()}
    return {name: gain for name, gain in gains.items() if gain is not None}


def factors_read(study: Study, folder: Path) -> dict[str, Difference]:
    """By factor the score of a linear readout of w less that of the untrained encoder's, under the rate target."""
    one, places = runs_of(study, TARGET, folder), (("readout",), ("readout_baselines", "untrained"))
    gains = {name: paired(*(numbers(one, *place, name, "linear", "value") for place in places)) for name in FACTORS}
    return {name: gain for name, gain in gains.items() if gain is not None}


def meaningful(study: Study, folder: Path) -> CollapseClaim:
    """w is meaningful: labels or factors are read from it better than from the untrained encoder."""
    of_sprites = study is SPRITES
    gains = (factors_read if of_sprites else labels_read)(study, folder)
    text = "first hypothesis: the encoder learns a meaningful representation"
    if not gains:
        return CollapseClaim(text, study.data, NOT_RUN, NOT_RUN)
    names = {sign: [name for name, gain in gains.items() if _sign(gain) == sign] for sign in (1, -1, 0)}
    titles = {1: "Above the untrained encoder", -1: "Below it", 0: "Not decided"}
    groups = [f"{titles[sign]}: {'; '.join(found)}." for sign, found in names.items() if found]
    if not of_sprites:
        by_pca = labels_read(study, folder, "pca")
        above = [name for name, gain in by_pca.items() if _sign(gain) > 0]
        groups = [*groups, f"Above 16 principal components: {'; '.join(above) or 'none'}."] if by_pca else groups
    what = f"Factors, linear, {study.names[TARGET]}." if of_sprites else "Linear classifier on w."
    depends = f"depends on the {'factor' if of_sprites else 'setting of the rate'}"
    only = {frozenset({1}): CONFIRMED, frozenset({-1}): REFUTED, frozenset({0}): OPEN}
    found = only.get(frozenset(_sign(gain) for gain in gains.values()), depends)
    return CollapseClaim(text, study.data, " ".join([what, *groups]), found)


def unregularised(study: Study, folder: Path) -> CollapseClaim:
    """Only without the KL the code keeps structure."""
    gains = labels_read(study, folder)
    without, text = gains.pop(study.names["none"], None), "only the unregularised code keeps structure"
    if not gains or without is None:
        return CollapseClaim(text, study.data, NOT_RUN, NOT_RUN)
    best = max(gains, key=lambda name: float(gains[name].mean))
    here = (
        f"linear classifier on w, above the untrained encoder: no KL {shown(without)}; best with a KL, {best}: "
        f"{shown(gains[best])}"
    )
    if _sign(gains[best]) > 0:
        own = gains.get(study.names[OF_THE_BLOG])
        lost = own is not None and _sign(own) < 0
        found = f"holds at {study.names[OF_THE_BLOG]}, false with {best}" if lost else REFUTED
        return CollapseClaim(
            text, study.data, here + (f"; {study.names[OF_THE_BLOG]}: {shown(own)}" if lost else ""), found
        )
    all_lost = all(_sign(gain) < 0 for gain in gains.values())
    return CollapseClaim(text, study.data, here, CONFIRMED if all_lost and _sign(without) >= 0 else OPEN)


def _sign(found: Difference) -> int:
    return 0 if found.interval is None else sign_of(found)


def useful(study: Study, folder: Path) -> CollapseClaim:
    """The decoder uses w at every timestep, and more at the noisier ones."""
    text = "second hypothesis: w helps the denoiser at every timestep, and more at the noisier ones"
    data = f"{study.data}, {study.place}"
    cost = cost_of(study, TARGET, folder)
    curves = [] if cost is None else [[run.arrays(CURVES, "logsnr", "own") for run in one.runs] for one in cost[2:4]]
    if not curves or any(run is None for runs in curves for run in runs):
        return CollapseClaim(text, data, NOT_RUN, NOT_RUN)
    logsnr = curves[0][0]["logsnr"].astype(np.float64)
    ours, without = (np.stack([run["own"] for run in runs]).astype(np.float64) for runs in curves)
    middle, more = _noisier_half(logsnr, without - ours)
    curve = paired_difference(without, ours, "seeds")
    here = (
        f"{cost.ours.name}: saved below log SNR {middle:.1f} less above it, nats: {shown(more)}; most at log SNR "
        f"{float(logsnr[np.argmax(curve.mean)]):.1f}"
    )
    if curve.interval is not None:
        here += f"; pointwise interval above 0 at {np.mean(curve.interval[0] > 0):.0%} of log SNRs"
    return CollapseClaim(text, data, here, _of_use(more, curve))


def _noisier_half(logsnr: Float[np.ndarray, " m"], saved: Float[np.ndarray, "s m"]) -> tuple[float, Difference]:
    """The middle of the log SNRs, and the area of each seed's savings below it less that above it, nats."""
    order = np.argsort(logsnr)
    logsnr, saved = logsnr[order], saved[:, order]
    middle = float(logsnr[0] + logsnr[-1]) / 2
    grid = np.union1d(logsnr, [middle])
    rows = np.stack([np.interp(grid, logsnr, row) for row in saved])
    below, above = (
        np.array([area(grid[part], row[part]) for row in rows]) for part in (grid <= middle, grid >= middle)
    )
    return middle, paired_difference(below, above, "seeds")


def _of_use(more: Difference, curve: Difference) -> str:
    """The verdict on both halves of the claim. A pointwise interval that includes 0 does not refute its timestep."""
    found = verdict(more)
    if found != CONFIRMED or curve.interval is None or bool(np.all(curve.interval[0] > 0)):
        return found
    refuted = bool(np.any(curve.interval[1] < 0))
    return f"in part: more in the noisier half; {'not' if refuted else 'not decided'} at every timestep"


def larger(small: Study, large: Study, folder: Path) -> CollapseClaim:
    """A larger decoder has a lower bound."""
    bounds = [numbers(runs_of(study, NONE, folder), "bound_nats") for study in (small, large)]
    found = paired(*bounds)
    here = f"D + R without a code, {small.place} less {large.place}, nats: {shown(found)}"
    return CollapseClaim("a larger decoder fits better", small.data, here, verdict(found))
