"""SIGTERM as a wish to stop, not as death."""

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
