"""SIGTERM as a request to stop: a job that saves its state asks for it, any other is ended by `Stopped`."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopped(BaseException):
    """SIGTERM has arrived. Like KeyboardInterrupt no `Exception`: nothing that handles errors handles it."""


class _StopRequest(threading.Event):
    """A signal handler that records the signal."""

    def __call__(self, *_) -> None:
        self.set()


class _Stop(_StopRequest):
    """A signal handler that records the signal and raises `Stopped`."""

    def __call__(self, *_) -> None:
        self.set()
        raise Stopped


@contextmanager
def catch_sigterm() -> Iterator[Callable[[], bool]]:
    """Yields a function that returns whether SIGTERM has arrived. Restores the previous handler at the end.

    A nested context shares the signals of the outer one. Python delivers signals to the main thread only; in another
    thread nothing is caught.
    """
    with _handled(_StopRequest()) as came:
        yield came.is_set


@contextmanager
def stop_at_sigterm() -> Iterator[None]:
    """SIGTERM raises `Stopped`, in this context and outside of `catch_sigterm`. In an outer context of either kind, or
    outside of the main thread, nothing changes."""
    if isinstance(_handler(), _StopRequest):
        yield
        return
    with _handled(_Stop()):
        yield


def raise_if_stopped() -> None:
    """Raises `Stopped` where SIGTERM has arrived but the exception was lost, as in a destructor."""
    handler = _handler()
    if isinstance(handler, _Stop) and handler.is_set():
        raise Stopped


def _handler() -> object:
    """What handles SIGTERM; None outside of the main thread, where nothing can be changed."""
    is_main = threading.current_thread() is threading.main_thread()
    return signal.getsignal(signal.SIGTERM) if is_main else None


@contextmanager
def _handled(own: _StopRequest) -> Iterator[_StopRequest]:
    """SIGTERM is handled by `own`, or by the handler of the outer context where that is of the same class."""
    before = _handler()
    if type(before) is type(own):
        yield before
        return
    if threading.current_thread() is not threading.main_thread():
        yield own
        return
    if isinstance(before, _StopRequest) and before.is_set():  # its exception was lost, as in a destructor
        own.set()
    signal.signal(signal.SIGTERM, own)
    try:
        yield own
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


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
