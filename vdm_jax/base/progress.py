"""Progress of sweeps and of the jobs after training."""

import shutil
import sys
from collections.abc import Callable, Iterable
from functools import partial

CLEAR = "\r\x1b[K"  # moves to the start of the terminal's line and clears it


def bar(name: str) -> Callable[[range], Iterable[int]]:
    """Wraps a range in a progress bar with rate and remaining time. Silent if stderr is not a terminal."""
    from tqdm import tqdm  # a bare accelerator host may lack it

    return partial(tqdm, desc=name, disable=None, dynamic_ncols=True, leave=False)


def show_line(text: str) -> None:
    """Overwrites the last line of the terminal. Silent if stderr is not a terminal."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"{CLEAR}{text[:width]}", end="", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """A duration in words: "35 s", "12 min", "2 h 05 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
