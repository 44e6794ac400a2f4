"""Timing side by side: every contender in turn, round after round, so that what slows the machine slows them all."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

LONG = 1.0  # s of a second call from which on it needs no third to be trusted


@dataclass(frozen=True)
class Contender:
    """`run(n)` does n steps one after the other and returns when the last one is finished."""

    name: str
    run: Callable[[int], None]


class Timing(NamedTuple):
    """Seconds a step in each round."""

    rounds: list[float]

    @property
    def seconds(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.rounds)

    def record(self) -> dict:
        """Median and range, ready for JSON."""
        return {"seconds_per_step": self.seconds, "range": [min(self.rounds), max(self.rounds)]}


def side_by_side(contenders: Sequence[Contender], *, rounds: int, seconds: float) -> dict[str, Timing]:
    """Times all contenders for about `seconds` each, `rounds` times in turn; they are warmed up (compiled) first."""
    steps = {}
    for contender in contenders:
        contender.run(1)
        one = _time(contender, 1)
        if one < LONG:
            one = _time(contender, 1)
        steps[contender.name] = max(1, round(seconds / rounds / one))
    found: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            count = steps[contender.name]
            found[contender.name].append(_time(contender, count) / count)
    return {name: Timing(times) for name, times in found.items()}


def ratio(numerator: Timing, denominator: Timing) -> dict:
    """How many times as long `numerator` takes, round by round: median and range."""
    ratios = [a / b for a, b in zip(numerator.rounds, denominator.rounds, strict=True)]
    return {"median": statistics.median(ratios), "range": [min(ratios), max(ratios)]}


def _time(contender: Contender, count: int) -> float:
    began = time.perf_counter()
    contender.run(count)
    return time.perf_counter() - began
