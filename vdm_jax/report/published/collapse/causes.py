"""The tables of the studies of `configs/collapse_causes.py`: a useless input, decoders of several sizes, longer
training, and data whose entropy is known."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vdm_jax.report.compare.study import Setting
from vdm_jax.report.published.collapse.studies import (
    BETA1,
    CONTROL,
    LONGER,
    MODES_14,
    NONE,
    NOT_RUN,
    TARGET,
    Study,
    cost_of,
    gaps,
    numbers,
    paired,
    runs_of,
    seeds,
    shown,
    shown_cost,
)
from vdm_jax.report.published.table import DASH, number, table

FACTORS = {"shape": "accuracy", "scale": "R²", "orientation": "R²", "x": "R²", "y": "R²"}
LONGER_ROWS = (NONE, CONTROL, TARGET, BETA1, "target2_learned_prior")  # the settings of two studies, in their order
SPRITE_ROWS = (NONE, CONTROL, "learned_prior", TARGET)
LAST = 0.8  # share of a training after which its end is looked at
Cell = Callable[[Setting | None], str]


def mean(*place: str) -> Cell:
    """Mean ± standard error over seeds of a number of evaluate.json; of one seed the number."""

    def cell(one: Setting | None) -> str:
        found = paired(numbers(one, *place))
        if found is None:
            return NOT_RUN if one is None else DASH
        return number(float(found.mean), float(found.error))

    return cell


def decoder_table(studies: Sequence[Study], folder: Path) -> str:
    """One row a decoder that was run: D + R without a code, and of each setting above that."""
    stems = (NONE, CONTROL, BETA1, TARGET)
    studies = [study for study in studies if any(runs_of(study, stem, folder) for stem in stems)]
    if not studies:
        return NOT_RUN

    def cost(stem: str, against: str = NONE) -> Callable[[Study], str]:
        return lambda study: shown_cost(cost_of(study, stem, folder, against))

    def of(stem: str, *place: str) -> Callable[[Study], str]:
        return lambda study: mean(*place)(runs_of(study, stem, folder))

    columns = {
        "decoder, blocks x channels": lambda study: study.place,
        "no code: D + R, nats": of(NONE, "bound_nats"),
        "control above no code": cost(CONTROL),
        "beta 1 above no code": cost(BETA1),
        "rate target 10, learned prior, above no code": cost(TARGET),
        "rate target above the control": cost(TARGET, CONTROL),
        "beta 1: R, nats": of(BETA1, "encoder_kl_nats"),
        "rate target: R, nats": of(TARGET, "encoder_kl_nats"),
        "rate target: linear classifier on w, accuracy": of(TARGET, "linear_probe_accuracy"),
    }
    return table(studies, columns)


def longer_table(folder: Path) -> str:
    """The settings after a long training, beside a shorter one of the same seeds, and how far validation still
    falls."""
    stems = [stem for stem in LONGER_ROWS if runs_of(LONGER, stem, folder)]
    if not stems:
        return NOT_RUN

    def change(stem: str) -> str:
        return shown(paired(*(gaps(cost_of(study, stem, folder)) for study in (LONGER, MODES_14))))

    def of(*place: str) -> Callable[[str], str]:
        return lambda stem: mean(*place)(runs_of(LONGER, stem, folder))

    def beside(cell: Callable[[str], str]) -> Callable[[str], str]:
        return lambda stem: DASH if stem == NONE else cell(stem)

    columns = {
        "setting": LONGER.names.__getitem__,
        "D + R, nats": of("bound_nats"),
        "above no code after 5,000 updates": beside(lambda stem: shown_cost(cost_of(MODES_14, stem, folder))),
        "… after 12 epochs": beside(lambda stem: shown_cost(cost_of(LONGER, stem, folder))),
        "… difference of the two": beside(change),
        "R, nats": of("encoder_kl_nats"),
        "I(x; w), nats, lower bound": of("mi_lower_nats"),
        "linear classifier on w, accuracy": of("linear_probe_accuracy"),
        "label kept, share": of("guided_label_kept"),
        "validation D + R, fall in the last fifth of the training, nats": lambda stem: last_fall(
            runs_of(LONGER, stem, folder)
        ),
    }
    return table(stems, columns)


def last_fall(one: Setting) -> str:
    """The fall of the validation bound from `LAST` of the training to its end, for each seed."""
    falls = []
    for run in one.runs:
        steps, bounds = run.series("validation", "bound")
        if len(steps):
            falls.append(bounds[np.searchsorted(steps, LAST * steps[-1])] - bounds[-1])
    return ", ".join(f"{fall:.2f}" for fall in falls) or DASH


def sprite_table(study: Study, folder: Path) -> str:
    """Sprites, all of which are trained on: the distance of D + R to the entropy, and what the code holds."""
    stems = [stem for stem in SPRITE_ROWS if runs_of(study, stem, folder)]
    if not stems:
        return NOT_RUN

    def of(*place: str) -> Callable[[str], str]:
        return lambda stem: mean(*place)(runs_of(study, stem, folder))

    def factor(name: str) -> Callable[[str], str]:
        places = [(*of_whom, name, reader, "value") for of_whom, reader in READERS]
        return lambda stem: " / ".join(_plain(runs_of(study, stem, folder), *place) for place in places)

    columns = {
        "setting": study.names.__getitem__,
        "seeds": lambda stem: seeds(len(runs_of(study, stem, folder).runs)),
        "D + R above ln N, nats": of("bound_minus_entropy_nats"),
        "above no code": lambda stem: DASH if stem == NONE else shown_cost(cost_of(study, stem, folder)),
        "R, nats": of("encoder_kl_nats"),
        "I(x; w), nats, lower bound": of("mi_lower_nats"),
        **{f"{name}, {metric}": factor(name) for name, metric in FACTORS.items()},
    }
    return table(stems, columns)


READERS = ((("readout",), "linear"), (("readout",), "mlp"), (("readout_baselines", "untrained"), "linear"))


def _plain(one: Setting | None, *place: str) -> str:
    """The mean over seeds to two decimals."""
    found = list(numbers(one, *place).values())
    return f"{np.mean(found):.2f}" if found else DASH
