"""Fréchet distances drawn again with other seeds of the evaluation, whose spread is in their error."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vdm_jax.report.compare.study import Setting
from vdm_jax.report.primitives.workdir import Workdir, is_number
from vdm_jax.report.published.collapse.rate_draws import EVALUATIONS
from vdm_jax.report.published.collapse.studies import NONE, NOT_RUN, Study, runs_of
from vdm_jax.report.published.table import DASH, table

PRIOR, AGGREGATE = "frechet", "frechet_aggregate"
Draws = dict[tuple[int, int], float]  # (training seed, evaluation seed) -> distance


def draws_of(one: Setting | None, key: str) -> Draws:
    """The distances of every evaluation of every training."""
    found: Draws = {}
    for seed, run in zip(one.seeds, one.runs, strict=True) if one else ():
        for record in _evaluations(run):
            distance = (record.get(key) or {}).get("distance")
            if is_number(distance):
                found[seed, record.get("settings", {}).get("evaluate", {}).get("seed", 0)] = float(distance)
    return found


def _evaluations(run: Workdir) -> Iterator[dict]:
    yield run.evaluate
    for path in sorted(run.path.glob(f"{EVALUATIONS}/*.json")):
        yield json.loads(path.read_text())


def as_matrix(found: Draws) -> Float[np.ndarray, "s k"] | None:
    """Trainings x evaluations, of the evaluations that all trainings have; None where there is none."""
    trainings = sorted({seed for seed, _ in found})
    shared = [k for k in sorted({k for _, k in found}) if all((seed, k) in found for seed in trainings)]
    return np.array([[found[seed, k] for k in shared] for seed in trainings]) if shared else None


def with_errors(values: Float[np.ndarray, "s k"] | None) -> str:
    """`mean ± error over trainings ± error over draws`; a dash for an error of a single one."""
    if values is None:
        return DASH
    errors = []
    for axis in (1, 0):
        means = values.mean(axis)
        errors.append(f"{means.std(ddof=1) / np.sqrt(len(means)):.3f}" if len(means) > 1 else DASH)
    return f"{values.mean():.3f} ± {errors[0]} ± {errors[1]}"


def frechet_draws(study: Study, folder: Path) -> str:
    """One row a setting, with its differences to no code under the same draws."""
    found = {stem: one for stem in study.names if (one := runs_of(study, stem, folder)) is not None}
    found = {stem: one for stem, one in found.items() if draws_of(one, PRIOR)}
    if not found:
        return NOT_RUN
    none = draws_of(found.get(NONE), PRIOR)

    def beside(key: str) -> Callable[[str], str]:
        def cell(stem: str) -> str:
            own = draws_of(found[stem], key)
            return with_errors(as_matrix({place: own[place] - none[place] for place in own if place in none}))

        return cell

    def size(stem: str) -> str:
        own = as_matrix(draws_of(found[stem], PRIOR))
        images = found[stem].runs[0].evaluate[PRIOR].get("num_images")
        return f"{DASH if own is None else ' x '.join(map(str, own.shape))}, {images}"

    columns = {
        "setting": lambda stem: found[stem].name,
        "w from the prior": lambda stem: with_errors(as_matrix(draws_of(found[stem], PRIOR))),
        "… less no code": lambda stem: DASH if stem == NONE else beside(PRIOR)(stem),
        "w of test images": lambda stem: with_errors(as_matrix(draws_of(found[stem], AGGREGATE))),
        "… less no code, w of test images": lambda stem: DASH if stem == NONE else beside(AGGREGATE)(stem),
        "trainings x draws, images": size,
    }
    return table(list(found), columns)
