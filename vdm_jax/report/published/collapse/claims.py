"""What makes a code cost more than it saves: each cause with its numbers and a verdict by their intervals."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from vdm_jax.base.statistics import Difference
from vdm_jax.report.published.collapse.answers import least_nats
from vdm_jax.report.published.collapse.studies import (
    BETA1,
    CONTROL,
    CORNERS,
    DECODERS,
    LONGER,
    MNIST,
    MODES_14,
    NONE,
    NOT_RUN,
    SIZES,
    SPRITES,
    SPRITES_SMALL,
    TARGET,
    Cost,
    Study,
    cost_of,
    gaps,
    numbers,
    paired,
    runs_of,
    seeds,
    shown,
    shown_cost,
    sign_of,
)
from vdm_jax.report.published.table import table

CONFIRMED, REFUTED, OPEN = "confirmed", "refuted", "not decided"
# Of each data set the studies whose control is shown: the first one that has records.
WITH_CONTROL = ((DECODERS[SIZES.index("2x32")], *DECODERS), (LONGER, MODES_14, *CORNERS), (SPRITES,), (SPRITES_SMALL,))
ENDS = ((DECODERS[0], DECODERS[-1]), CORNERS)  # smallest and largest decoder of a data set


class CollapseClaim(NamedTuple):
    """A claim, the data, the numbers here, and the verdict."""

    text: str
    data: str
    here: str
    verdict: str


def verdict(found: Difference | None) -> str:
    """Whether a number is positive, by its interval; "not decided" where that includes 0 or there is none."""
    if found is None:
        return NOT_RUN
    if found.interval is None:
        return f"{OPEN}: {seeds(found.n)}"
    return {1: CONFIRMED, -1: REFUTED, 0: f"{OPEN}: the interval includes 0"}[sign_of(found)]


def of_cost(cost: Cost | None) -> str:
    """The verdict on a positive cost, by seeds and by images."""
    if cost is None or cost.sign is None:
        return verdict(cost and cost.over_seeds)
    return {1: CONFIRMED, -1: REFUTED, 0: f"{OPEN}: an interval includes 0"}[cost.sign]


def cause_claims(folder: Path) -> list[CollapseClaim]:
    """What may make a code cost more than it saves, each on every data set where it was tested."""
    studies = [_first_with(CONTROL, candidates, folder) for candidates in WITH_CONTROL]
    rows = [cost_claim("reading a useless input costs", study, CONTROL, NONE, folder) for study in studies]
    rows += [cost_claim("a rate costs more than its code saves", study, TARGET, CONTROL, folder) for study in studies]
    rows += [decoder_claim(*ends, folder) for ends in ENDS]
    short, long = (gaps(cost_of(study, TARGET, folder)) for study in (MODES_14, LONGER))
    fall = paired(short, long)
    here = (
        f"rate target above no code, 5,000 updates less 12 epochs: {shown(fall)}; after 12 epochs {shown(paired(long))}"
    )
    found, end = verdict(fall), cost_of(LONGER, TARGET, folder)
    if found == CONFIRMED and end is not None and end.sign == 1:
        found = "in part: the gap falls and stays above 0"
    return [*rows, CollapseClaim("the training was too short: the gap closes with more of it", MNIST, here, found)]


def _first_with(stem: str, studies: Sequence[Study], folder: Path) -> Study:
    return next((study for study in studies if cost_of(study, stem, folder) is not None), studies[0])


def cost_claim(text: str, study: Study, stem: str, against: str, folder: Path) -> CollapseClaim:
    """That one setting has a higher D + R than another one of the same decoder."""
    cost = cost_of(study, stem, folder, against)
    here = f"{study.names[stem]} less {study.names[against]}: {shown_cost(cost)}"
    return CollapseClaim(text, f"{study.data}, {study.place}", here, of_cost(cost))


def causes(folder: Path) -> str:
    """One row for each cause and data set."""
    return claim_table("cause", cause_claims(folder))


def decoder_claim(small: Study, large: Study, folder: Path) -> CollapseClaim:
    """The decoder was too powerful: under beta 1 a smaller one holds a code, as much as the label."""
    text = "the decoder was too powerful: under beta 1 a smaller one keeps an informative code"
    rates = [numbers(runs_of(study, BETA1, folder), "encoder_kl_nats") for study in (small, large)]
    more, held = paired(*rates), paired(rates[0])
    extra = paired(*(gaps(cost_of(study, TARGET, folder)) for study in (small, large)))
    here = (
        f"R of {small.place}: {shown(held)}; less that of {large.place}: {shown(more)}; cost of the rate target, "
        f"{small.place} less {large.place}: {shown(extra)}"
    )
    data, least = f"{small.data}, {small.place} and {large.place}", least_nats(small.data)
    if more is None or more.interval is None:
        return CollapseClaim(text, data, here, verdict(more))
    low, high = (float(end) for end in held.interval)
    if sign_of(more) > 0:
        found = CONFIRMED if low > least else f"in part: it keeps more, but not clearly the label's {least:.1f} nats"
    else:
        found = REFUTED if high < least else f"{OPEN}: an interval includes 0 or the label's {least:.1f} nats"
    return CollapseClaim(text, data, here, found)


def claim_table(title: str, rows: Sequence[CollapseClaim]) -> str:
    """Markdown, one row for each claim and data set that was run; the headline lists what was not."""
    rows = [claim for claim in rows if claim.verdict != NOT_RUN]
    columns: dict[str, Callable[[CollapseClaim], str]] = {
        title: lambda claim: claim.text,
        "data": lambda claim: claim.data,
        "here": lambda claim: claim.here,
        "verdict": lambda claim: claim.verdict,
    }
    return table(rows, columns)
