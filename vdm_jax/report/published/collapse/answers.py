"""Is there a setting with D + R no worse than without a code, and an informative code? For each data set, by the
intervals of its records."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vdm_jax.report.compare.paired import ends
from vdm_jax.report.published.collapse.studies import (
    CONTROL,
    LABELS,
    NOT_RUN,
    STUDIES,
    Cost,
    costs_of,
    listed,
    seeds,
    shown,
    shown_cost,
)
from vdm_jax.report.published.table import DASH, table

YES, NO, OPEN, EMPTY = "yes", "no", "not decided", "no informative code"


class Answer(NamedTuple):
    """The answer of a data set.

    Attributes:
        data: name of the data set.
        verdict: `YES`: D + R of an informative code is below that of no code; `NO`: above it for each; `OPEN`: neither;
            `EMPTY`: no code is informative; or "not run". Only settings with three seeds count.
        best: the setting that the verdict rests on.
        informative: settings whose code holds at least as much as the label.
        others: the other settings with a code.
    """

    data: str
    verdict: str
    best: Cost | None
    informative: Sequence[Cost]
    others: Sequence[Cost]


def least_nats(data: str) -> float:
    """What a code holds that is informative: as much as the label, the logarithm of the number of classes."""
    return math.log(LABELS[data])


def answer_of(data: str, folder: Path) -> Answer:
    """The answer of a data set from whatever records there are. Of a setting that was trained in two studies with one
    decoder the later one counts."""
    studies = [study for study in STUDIES if study.data == data]
    found = {(cost.stem, cost.study.place): cost for study in studies for cost in costs_of(study, folder)}
    costs = [cost for (stem, _), cost in found.items() if stem != CONTROL]
    informative = [cost for cost in costs if (cost.information or 0.0) >= least_nats(data)]
    others = [cost for cost in costs if cost not in informative]
    verdict, candidates = _judged(costs, informative)
    return Answer(data, verdict, _lowest(candidates), informative, others)


def _judged(costs: Sequence[Cost], informative: Sequence[Cost]) -> tuple[str, Sequence[Cost]]:
    """The verdict, and the settings of which the one with the lowest D + R is shown."""
    if not costs:
        return NOT_RUN, []
    if not informative:
        return EMPTY, []
    below, within = ([cost for cost in informative if cost.sign == sign] for sign in (-1, 0))
    if below:
        return YES, below
    judged = [cost for cost in informative if cost.sign is not None]
    return (OPEN, within or informative) if within or not judged else (NO, judged)


def _lowest(costs: Sequence[Cost]) -> Cost | None:
    return min(costs, key=lambda cost: float(cost.over_seeds.mean), default=None)


def sentence(answer: Answer) -> str:
    """The answer of a data set that was run in words, with its number and interval."""
    best = answer.best
    if best is None:
        none = f"none of {len(answer.others)} settings with a code holds {least_nats(answer.data):.1f} nats"
        return f"**{answer.data}: {EMPTY}**: {none} about the image."
    number = len(answer.informative)
    differs = f"{best.name} differs from no code by {_difference(best)}"
    if answer.verdict in (YES, NO) and number > 1:
        differs += f", the lowest of {number} settings with an informative code"
    differs += {
        YES: "; its interval is not corrected for their number" if number > 1 else "",
        NO: "",
        OPEN: "" if best.sign is None else "; an interval includes 0",
    }[answer.verdict]
    return f"**{answer.data}: {answer.verdict}.** {differs[0].upper()}{differs[1:]}."


def _difference(cost: Cost) -> str:
    """ "0.72 nats [0.38, 1.06] in D + R (3 seeds; over test images [0.4, 1.0])", or below three seeds each of them,
    "-7.8 and 8.8 nats in D + R (2 seeds)"."""
    found, of_images = cost.over_seeds, ends(cost.over_images)
    if found.interval is None:
        return f"{listed(cost, ' and ')} nats in D + R ({seeds(found.n)})"
    about = seeds(found.n) if of_images == DASH else f"{seeds(found.n)}; over test images {of_images}"
    value, _, interval = shown(found).partition(" ")
    return f"{value} nats {interval} in D + R ({about})"


def answers_table(folder: Path) -> str:
    """One row a data set that was run."""
    answers = [answer for data in LABELS if (answer := answer_of(data, folder)).verdict != NOT_RUN]
    if not answers:
        return NOT_RUN

    def of_best(answer: Answer, cell) -> str:
        return DASH if answer.best is None else cell(answer.best)

    def least(answer: Answer) -> str:
        lowest = _lowest([cost for cost in answer.others if cost.sign is not None] or answer.others)
        return DASH if lowest is None else f"{over_seeds(lowest)}, {lowest.name}"

    def over_seeds(cost: Cost) -> str:
        return shown_cost(cost._replace(over_images=None))

    def over_images(cost: Cost) -> str:
        return DASH if cost.sign is None else ends(cost.over_images)

    columns = {
        "data": lambda answer: answer.data,
        "D + R lower, and informative?": lambda answer: answer.verdict,
        "setting": lambda answer: of_best(answer, lambda cost: cost.name),
        "D + R above no code, nats [95% interval]": lambda answer: of_best(answer, over_seeds),
        "… over test images": lambda answer: of_best(answer, over_images),
        "I(x; w), nats, lower bound": lambda answer: of_best(answer, lambda cost: f"{cost.information:.2f}"),
        "informative settings / with a code": lambda answer: (
            f"{len(answer.informative)} / {len(answer.informative) + len(answer.others)}"
        ),
        "lowest of the less informative": least,
    }
    return table(answers, columns)
