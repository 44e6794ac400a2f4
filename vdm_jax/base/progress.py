"""Progress of sweeps and jobs: bars in a terminal, elsewhere a few plain lines."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from vdm_jax.base.signals import raise_if_stopped

CLEAR = "\r\x1b[K"  # moves to the start of the terminal's line and clears it
SHORTEST, LONGEST, LINES = 10.0, 60.0, 20  # seconds between two lines of a stage without a terminal; about so many
MOST_POINTS = 128


class Pace:
    """How far a loop is, and how long it still takes.

    The first item, which compiles, does not count, nor does time in which other programs compiled. The rate is that of
    the second half of the remaining time: items may become faster or slower, and pauses come again.
    """

    def __init__(self, total: int, done: int, idle: Callable[[], float] = lambda: 0.0):
        """idle: seconds since the start of the process that do not count."""
        self.total, self.done, self._idle = total, done, idle
        self.began = time.perf_counter()
        self._points: list[tuple[float, int]] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.began

    def advance(self, done: int) -> None:
        """Records that `done` of `total` items are done."""
        self.done = done
        self._points.append((time.perf_counter() - self._idle(), done))
        if len(self._points) > MOST_POINTS:
            del self._points[1:-1:2]

    def remaining(self) -> float | None:
        """Seconds; None before two items are done."""
        if len(self._points) < 2 or self.done >= self.total:
            return None if self.done < self.total else 0.0
        (first, _), (last, done) = self._points[0], self._points[-1]
        since, already = [point for point in self._points[:-1] if point[0] <= (first + last) / 2][-1]
        return (last - since) / (done - already) * (self.total - done) if done > already else None


class Stage:
    """The progress of one loop, as a context: a bar of tqdm in a terminal; else, or without tqdm, lines on stderr.

    A line comes after 10 to 60 seconds, so that a stage of up to 20 minutes has about 20; of a longer one each comes
    after another twentieth of the time. A stage inside another is silent for a minute. Raises `Stopped` where SIGTERM
    has arrived.
    """

    def __init__(self, name: str, total: int, done: int = 0):
        from vdm_jax.base.program import compiled_seconds  # it prints by `note`

        self.name, self.pace = name, Pace(total, done, compiled_seconds)
        self._bar, self._has_printed, self._numbers = None, False, ""

    def __enter__(self) -> "Stage":
        _STAGES.append(self)
        self._bar = _make_bar(self.name, self.pace.total, self.pace.done)
        return self

    def __exit__(self, *exception: object) -> None:
        if self in _STAGES:  # outer loops may end first where an error ends both
            _STAGES.remove(self)
        if self._bar is not None:
            self._bar.close()
        elif self._has_printed:
            note(f"{self.place()} in {duration(self.pace.elapsed)}{self._numbers}")

    def place(self) -> str:
        """ "NAME: 3 of 12"."""
        return f"{self.name}: {self.pace.done:,} of {self.pace.total:,}"

    def advance(self, done: int) -> None:
        """Records that `done` items are done, and prints a line where one is due."""
        before, pace = self.pace.done, self.pace
        pace.advance(done)
        _LATEST[:] = [self.place()] if done < pace.total else []
        left = pace.remaining()
        told = "" if left is None else f", {duration(left)} left"
        if self._bar is not None:
            self._bar.set_postfix_str(f"{told}{self._numbers}".removeprefix(", "), refresh=False)
            self._bar.update(done - before)
        elif done < pace.total and self._is_due(left):
            self._has_printed = True
            note(f"{self.place()} ({done / pace.total:.0%}){told}{self._numbers}")
        raise_if_stopped()

    def show(self, numbers: str) -> None:
        """Numbers that are shown from now on."""
        self._numbers = f", {numbers}"

    def interval(self, left: float | None = None) -> float:
        """Seconds between two lines."""
        elapsed = self.pace.elapsed
        return max(SHORTEST, min(LONGEST, (elapsed + (left or 0.0)) / LINES), elapsed / LINES)

    def _is_due(self, left: float | None) -> bool:
        inner = _STAGES and _STAGES[0] is not self
        interval = max(LONGEST, _STAGES[0].interval()) if inner else self.interval(left)
        return time.perf_counter() - max(_LAST_LINE[0], self.pace.began) >= interval


_STAGES: list[Stage] = []  # those that run, the outermost first
_LATEST: list[str] = []  # where the latest loop is or was left
_LAST_LINE = [time.perf_counter()]  # when one was printed


def bar(name: str) -> Callable[[range], Iterator[int]]:
    """Wraps a range: `Stage` shows how much of it is done."""

    def over(items: range) -> Iterator[int]:
        with Stage(name, len(items)) as stage:
            for number, item in enumerate(items, 1):
                yield item
                stage.advance(number)

    return over


def place() -> str:
    """Where the latest loop was left, such as "evaluate: bound: 3 of 12"; "" where it was completed."""
    return "".join(_LATEST)


def forget_place() -> None:
    """What an earlier loop has left is no longer `place`."""
    _LATEST.clear()


def note(text: str) -> None:
    """Prints a line on stderr, above a bar that may be there."""
    line_was_printed()
    print(f"{CLEAR if sys.stderr.isatty() else ''}{text}", file=sys.stderr, flush=True)


def line_was_printed() -> None:
    """Lines that come at intervals wait from now on."""
    _LAST_LINE[0] = time.perf_counter()


def show_line(text: str) -> None:
    """Overwrites the last line of the terminal. Without a terminal it prints a line a minute."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"{CLEAR}{text[:width]}", end="", file=sys.stderr, flush=True)
    elif text and time.perf_counter() - _LAST_LINE[0] >= LONGEST:
        note(text)


def duration(seconds: float) -> str:
    """A duration in words: "35 s", "12 min", "2 h 05 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _make_bar(name: str, total: int, done: int):
    """A bar of tqdm, or None without a terminal or without tqdm. The remaining time is `Pace`'s."""
    if not sys.stderr.isatty():
        return None
    with suppress(ImportError):  # a bare accelerator host may lack it
        from tqdm import tqdm

        shape = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
        return tqdm(total=total, initial=done, desc=name, dynamic_ncols=True, leave=False, bar_format=shape)
    return None
