"""A compiled program of ours with what must be known of it beside its time."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from vdm_jax.benchmarks.measure import Contender
from vdm_jax.benchmarks.roofline import Work, count_work


class Subject(NamedTuple):
    """`work` is that of one step; a call of `contender.run(1)` makes `steps_per_call` of them."""

    contender: Contender | None
    compiled: Any
    work: Work
    steps_per_call: int
    about: dict

    def timed_by(self, contender: Contender) -> "Subject":
        return self._replace(contender=contender)


def compile_subject(jitted: Callable, inputs: tuple, *, steps_per_call: int) -> Subject:
    """Compiles `jitted(*inputs)`, a loop of `steps_per_call` steps."""
    began = time.perf_counter()
    traced = jitted.trace(*inputs)
    compiled = traced.lower().compile()
    seconds = time.perf_counter() - began
    about = {"compile_seconds": seconds, "steps_per_call": steps_per_call, "memory_bytes": memory_of(compiled)}
    return Subject(None, compiled, count_work(traced, compiled, steps_per_call), steps_per_call, about)


def memory_of(compiled: Any) -> int | None:
    """Bytes a compiled program holds: its arguments and what it needs beside them; None where XLA does not tell."""
    analysis = compiled.memory_analysis()
    return None if analysis is None else analysis.argument_size_in_bytes + analysis.temp_size_in_bytes
