"""Metrics and duration of the calls since the last row of the log. The metrics stay on the device."""

import math
import time

import jax
import numpy as np

from vdm_jax.train.state import Metrics


class Window:
    """Collects calls of the train step until `take`. Its clock excludes the first call, which compiles, and pauses."""

    def __init__(self, images_per_call: int):
        self._images_per_call = images_per_call
        self._calls: list[Metrics] = []
        self._timed_calls = 0
        self._seconds = 0.0
        self._started: float | None = None

    def add(self, metrics: Metrics) -> None:
        """Adds one call, and waits for the call before it: the device always has work, and the host is at most one
        call ahead."""
        self._calls.append(metrics)
        if self._started is None:  # the first call of the process includes compilation
            jax.block_until_ready(metrics)
            self.resume()
        else:
            self._timed_calls += 1
            jax.block_until_ready(self._calls[-2:-1])

    def pause(self) -> None:
        """Waits for every call and stops the clock."""
        jax.block_until_ready(self._calls)
        self._seconds += time.perf_counter() - self._started

    def resume(self) -> None:
        """Starts the clock."""
        self._started = time.perf_counter()

    def take(self) -> dict[str, float]:
        """Means of the metrics over the calls since the last `take` (NaN if every step was skipped), and
        "images_per_second" (NaN if no call was timed). Requires a paused clock."""
        return self.take_each(None)[0]

    def take_each(self, num_members: int | None) -> list[dict[str, float]]:
        """The same of each member where metrics are stacked, [M]. "images_per_second" is that of all together."""
        calls = jax.device_get(self._calls)
        if num_members is None:
            rows = [{name: _mean([call[name] for call in calls]) for name in calls[0]}]
        else:
            each = range(num_members)
            rows = [{name: _mean([call[name][i] for call in calls]) for name in calls[0]} for i in each]
        timed = self._timed_calls > 0
        rate = self._timed_calls * self._images_per_call / self._seconds if timed else math.nan
        self._calls, self._timed_calls, self._seconds = [], 0, 0.0
        return [row | {"images_per_second": rate} for row in rows]


def _mean(values: list[np.ndarray | np.floating]) -> float:
    values = np.asarray(values, np.float64)
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
