"""SIGTERM as a wish to stop, not as death."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Wish(threading.Event):
    """A signal handler that remembers."""

    def __call__(self, *_) -> None:
        self.set()


@contextmanager
def catch_sigterm() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether SIGTERM has come; the handler before is put back at the end.

    Within another one it shares what that one has caught. Signals belong to the main thread: in another one nothing is
    caught.
    """
    came = _Wish()
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return
    before = signal.getsignal(signal.SIGTERM)
    if isinstance(before, _Wish):
        yield before.is_set
        return
    signal.signal(signal.SIGTERM, came)
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def sigterm_after(seconds: float | None) -> Iterator[None]:
    """Within it the process sends itself SIGTERM after `seconds` (never for None), and survives one that comes late."""
    with catch_sigterm():
        timer = threading.Timer(seconds or 0, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        if seconds is not None:
            timer.start()
        try:
            yield
        finally:
            timer.cancel()
