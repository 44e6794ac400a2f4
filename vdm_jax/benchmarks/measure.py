"""Timing of several contenders in turn, in rounds, so that disturbances of the machine affect all of them."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

LONG = 1.0  # seconds; a shorter second call is timed again


@dataclass(frozen=True)
class Contender:
    """`run(n)` does n steps in sequence and returns when the last step is finished."""

    name: str
    run: Callable[[int], None]


class Timing(NamedTuple):
    """Seconds per step in each round."""

    rounds: list[float]

    @property
    def seconds(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.rounds)

    def record(self) -> dict:
        """Median and range as a JSON object."""
        return {"seconds_per_step": self.seconds, "range": [min(self.rounds), max(self.rounds)]}


def side_by_side(
    contenders: Sequence[Contender], *, rounds: int, seconds: float, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Timing]:
    """Times all contenders in `rounds` rounds, for about `seconds` each in all. They are compiled before.

    clock: in seconds. `time.process_time` leaves out what other programs take of a core.
    """
    steps = {}
    for contender in contenders:
        contender.run(1)
        one = _time(contender, 1, clock)
        if one < LONG:
            one = _time(contender, 1, clock)
        steps[contender.name] = max(1, round(seconds / rounds / one))
    found: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            count = steps[contender.name]
            found[contender.name].append(_time(contender, count, clock) / count)
    return {name: Timing(times) for name, times in found.items()}


def ratio(numerator: Timing, denominator: Timing) -> dict:
    """The ratio of the durations in each round: median and range."""
    ratios = [a / b for a, b in zip(numerator.rounds, denominator.rounds, strict=True)]
    return {"median": statistics.median(ratios), "range": [min(ratios), max(ratios)]}


def _time(contender: Contender, count: int, clock: Callable[[], float]) -> float:
    began = clock()
    contender.run(count)
    return clock() - began
