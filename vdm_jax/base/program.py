"""Compiled programs: functions whose first arguments stay the same, such as the arrays of a population; and how long
programs take to compile, with a line for each that takes long.

JAX reports the start and the end of each compilation to its listeners (`jax.monitoring`). Programs may compile in
several threads at once.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
from jax import monitoring
from jax.tree_util import Partial

from vdm_jax.base.progress import duration, note

EVENT = "/jax/core/compile/backend_compile_duration"  # a scalar at the start, a duration at the end
NOTICEABLE = 1.0  # seconds; what comes from a cache takes less


class Program:
    """`jax.jit(function)` called with `bound` in front of its other arguments.

    bound: pytrees, such as functions that are a `Partial` with their arrays. They are arguments of the compiled
    program, which therefore holds no copy of them. options: of `jax.jit`; argument numbers do not count `bound`.
    """

    def __init__(self, function: Callable, *bound: Any, **options: Any) -> None:
        self.bound = bound
        shifted = {
            name: tuple(number + len(bound) for number in numbers) if name.endswith("argnums") else numbers
            for name, numbers in options.items()
        }
        self._jitted = jax.jit(function, **shifted)

    def __call__(self, *arguments: Any) -> Any:
        return self._jitted(*self.bound, *arguments)

    def lower(self, *arguments: Any) -> Any:
        """JAX's lowered program, which takes `bound` too: for its cost and memory."""
        return self._jitted.lower(*self.bound, *arguments)

    def compile(self, *arguments: Any) -> Callable:
        """The program compiled for these arguments, which calls for the remaining arguments alone."""
        return partial(self.lower(*arguments).compile(), *self.bound)


def as_partial(function: Callable) -> Partial:
    """The function as a pytree; one that is a `Partial` stays as it is."""
    return function if isinstance(function, Partial) else Partial(function)


class _Compiler:
    """What compiles now, by thread, and the seconds in which anything has compiled."""

    def __init__(self) -> None:
        self.words: Mapping[str, str] | None = None  # None: nothing is printed
        self._lock, self._timers = threading.Lock(), {}
        self._seconds, self._since = 0.0, 0.0
        monitoring.register_scalar_listener(self._starts)
        monitoring.register_event_duration_secs_listener(self._ends)

    def seconds(self) -> float:
        """The time in which programs have compiled, until now."""
        with self._lock:
            return self._seconds + (time.perf_counter() - self._since if self._timers else 0.0)

    def _starts(self, event: str, _: Any, fun_name: str = "", **__: Any) -> None:
        if event != EVENT:
            return
        timer = threading.Timer(NOTICEABLE, self._print, [f"compiling {self._name(fun_name)} …"])
        timer.daemon = True
        with self._lock:
            if not self._timers:
                self._since = time.perf_counter()
            self._timers[threading.get_ident()] = timer
        if self.words is not None:
            timer.start()

    def _ends(self, event: str, seconds: float, fun_name: str = "", **_: Any) -> None:
        if event != EVENT:
            return
        with self._lock:
            timer = self._timers.pop(threading.get_ident(), None)
            if timer is None:  # a JAX that does not report the start
                self._seconds += seconds
            elif not self._timers:
                self._seconds += time.perf_counter() - self._since
        if timer is not None:
            timer.cancel()
        if seconds >= NOTICEABLE:
            self._print(f"compiled {self._name(fun_name)} in {duration(seconds)}")

    def _print(self, text: str) -> None:
        if self.words is not None:
            note(text)

    def _name(self, program: str) -> str:
        """The words for a program that JAX calls "jit_NAME" or "jit(NAME)"; without words its name."""
        name = program.removeprefix("jit").strip("()_")
        return (self.words or {}).get(name, name.replace("_", " "))


_COMPILER = _Compiler()


def compiled_seconds() -> float:
    """The time in which programs have compiled in this process."""
    return _COMPILER.seconds()


@contextmanager
def announced(words: Mapping[str, str]) -> Iterator[None]:
    """Each program that compiles for more than a second is announced on stderr, and its duration when it is done.

    words: by the name of the compiled function, without underscores at its ends; others are called by their names.
    """
    before, _COMPILER.words = _COMPILER.words, words
    try:
        yield
    finally:
        _COMPILER.words = before
