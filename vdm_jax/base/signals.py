"""SIGTERM as a request to stop, handled at the next convenient point."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _StopRequest(threading.Event):
    """A signal handler that records the signal."""

    def __call__(self, *_) -> None:
        self.set()


@contextmanager
def catch_sigterm() -> Iterator[Callable[[], bool]]:
    """Yields a function that returns whether SIGTERM has arrived. Restores the previous handler at the end.

    A nested context shares the signals of the outer one. Python delivers signals to the main thread only; in another
    thread nothing is caught.
    """
    came = _StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return
    before = signal.getsignal(signal.SIGTERM)
    if isinstance(before, _StopRequest):
        yield before.is_set
        return
    signal.signal(signal.SIGTERM, came)
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def sigterm_after(seconds: float | None) -> Iterator[None]:
    """The process sends itself SIGTERM after `seconds` (None: never). A signal that arrives late does not end it."""
    with catch_sigterm():
        timer = threading.Timer(seconds or 0, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        if seconds is not None:
            timer.start()
        try:
            yield
        finally:
            timer.cancel()
