"""Reads a folder that another process may be changing. Errors are one sentence."""

import gc
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from vdm_jax.base.errors import UserError

T = TypeVar("T")
READ_ATTEMPTS = 4


class Incomplete(Exception):
    """A checkpoint lacks a requested part: it belongs to another model, or it is being removed."""


class Unreadable(UserError):
    """Files are damaged or missing. `reason` is what the library says, for the end of a sentence."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what} cannot be read ({reason})")
        self.reason = reason


def read_patiently(what: str, read: Callable[[], T], attempts: int | None = None) -> T:
    """`read()`, repeated because a training may have removed the checkpoint meanwhile.

    Raises `UserError` at last: `Unreadable` that names `what`, unless the files belong to another model or their
    permissions are in the way.
    """
    attempts = attempts or READ_ATTEMPTS
    with quiet():
        for attempt in range(attempts):
            time.sleep(0.1 * (2**attempt - 1))
            try:
                return read()
            except UserError:
                raise
            except Incomplete as error:
                found = UserError(str(error))
            except Exception as error:  # orbax, tensorstore and json raise different errors for a truncated file
                found = Unreadable(what, reason_of(error))
                if "permission denied" in str(error).lower().replace("_", " "):
                    found = UserError(f"{what} cannot be read: permission denied; change its permissions")
            gc.collect()  # threads of the failed read report when they are collected: here the reports are suppressed
    raise found


def reason_of(error: Exception) -> str:
    """The class and the first line of an error. Of a long line, the beginning and the end, which names the cause."""
    text = str(error.args[0] if len(error.args) == 1 else error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text if len(text) <= 160 else f'{text[:80]} … {text[-80:]}'}"


@contextmanager
def quiet() -> Iterator[None]:
    """Suppresses the reports of orbax, asyncio and abandoned coroutines; the user gets one sentence instead."""
    loggers = [logger for name in ("absl", "asyncio") if not (logger := logging.getLogger(name)).disabled]
    unraisable = sys.unraisablehook
    with warnings.catch_warnings(action="ignore"):
        sys.unraisablehook = lambda _: None
        for logger in loggers:
            logger.disabled = True
        try:
            yield
        finally:
            sys.unraisablehook = unraisable
            for logger in loggers:
                logger.disabled = False
