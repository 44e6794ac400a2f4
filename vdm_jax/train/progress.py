"""Progress of a training: a bar in a terminal, a few lines in a file."""

import math
import sys
import time

LINES_IN_A_FILE = 20


class Progress:
    """Shows steps, loss, images/s and remaining time on stderr: a bar, or lines without a terminal or without tqdm."""

    def __init__(self, num_steps: int, step: int):
        self.num_steps, self.step, self._first, self._last_line = num_steps, step, step, step
        self._began = time.perf_counter()
        self._bar = _make_bar(num_steps, step)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, step: int) -> None:
        """Records that `step` steps are done."""
        if self._bar is not None:
            self._bar.update(step - self.step)
        self.step = step

    def show(self, loss: float, images_per_second: float) -> None:
        """Shows the numbers of the steps since the last call. An unknown rate is NaN."""
        rate = "" if math.isnan(images_per_second) else f", {images_per_second:.0f} images/s"
        numbers = f"loss {loss:.4g}{rate}"
        if self._bar is not None:
            self._bar.set_postfix_str(numbers)
        elif self.step == self.num_steps or (self.step - self._last_line) * LINES_IN_A_FILE >= self.num_steps:
            self._last_line = self.step
            seconds_a_step = (time.perf_counter() - self._began) / (self.step - self._first)
            remaining = f"{seconds_a_step * (self.num_steps - self.step):.0f} s remaining"
            print(f"step {self.step} of {self.num_steps}: {numbers}, {remaining}", file=sys.stderr, flush=True)


def _make_bar(num_steps: int, step: int):
    """A bar of tqdm, or None without a terminal or without tqdm."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=num_steps, initial=step, desc="train", unit="step", dynamic_ncols=True)
