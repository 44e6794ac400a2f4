"""Compiled functions whose first arguments stay the same, such as the arrays of a population."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax.tree_util import Partial


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
