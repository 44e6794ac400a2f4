"""A compiled program of the library with its work, its memory and how it is timed."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from vdm_jax.benchmarks.measure import Contender
from vdm_jax.benchmarks.roofline import Work, count_work


class CompiledProgram(NamedTuple):
    """A program that makes `steps_per_call` steps a call.

    Attributes:
        contender: what is timed; None before `timed_by`.
        compiled: the compiled program.
        work: of one step.
        steps_per_call: steps of one call `contender.run(1)`.
        about: numbers for the record: seconds of compilation, steps a call, bytes.
    """

    contender: Contender | None
    compiled: Any
    work: Work
    steps_per_call: int
    about: dict

    def timed_by(self, contender: Contender) -> "CompiledProgram":
        """The same program with the function that is timed."""
        return self._replace(contender=contender)


def compile_program(jitted: Callable, inputs: tuple, *, steps_per_call: int) -> CompiledProgram:
    """Compiles `jitted(*inputs)`, a loop of `steps_per_call` steps."""
    began = time.perf_counter()
    traced = jitted.trace(*inputs)
    compiled = traced.lower().compile()
    seconds = time.perf_counter() - began
    about = {"compile_seconds": seconds, "steps_per_call": steps_per_call, "memory_bytes": memory_of(compiled)}
    return CompiledProgram(None, compiled, count_work(traced, compiled, steps_per_call), steps_per_call, about)


def memory_of(compiled: Any) -> int | None:
    """Bytes of the arguments and of the temporary memory of a compiled program; None where XLA does not report them."""
    analysis = compiled.memory_analysis()
    return None if analysis is None else analysis.argument_size_in_bytes + analysis.temp_size_in_bytes
