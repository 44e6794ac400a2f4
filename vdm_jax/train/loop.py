"""The training loop: steps, rows of the log, evaluations, checkpoints, and an orderly stop.

Rows of the log: {"step", "split": "train", means since the previous row or since the run was resumed, "skipped",
"images_per_second", "seconds"} and {"step", "split": "validation", the numbers of `evaluate`, "seconds"}. Seconds count
from the first start, without pauses.
"""

import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from vdm_jax.base.errors import RunFailed, UserError
from vdm_jax.base.signals import catch_sigterm
from vdm_jax.train.checkpoint import Checkpointer
from vdm_jax.train.metrics import MetricsLog
from vdm_jax.train.progress import Progress
from vdm_jax.train.state import Metrics, TrainState
from vdm_jax.train.window import Window


class TrainingFailed(RunFailed):
    """The training cannot continue. The message names the step, the cause and the last good checkpoint."""


class Result(NamedTuple):
    """The end of a run: "done" at `num_steps`, or "stopped" by SIGTERM with its state saved for a later start."""

    state: TrainState
    status: Literal["done", "stopped"]


def run(
    state: TrainState,
    train_step: Callable[[TrainState], tuple[TrainState, Metrics]],
    *,
    num_steps: int,
    batch_size: int,
    steps_per_call: int = 1,
    log_every: int,
    eval_every: int,
    checkpoint_every: int,
    evaluate: Callable[[TrainState], dict[str, float]],
    checkpointer: Checkpointer,
    log: MetricsLog,
    max_skipped_in_a_row: int = 20,
) -> Result:
    """Trains from `state.step` to `num_steps`; with 0 steps the first state is evaluated and saved. Donates `state`.

    Rows of the log after `state.step`, written by a run that was killed, are removed first. On SIGTERM the current
    call and the work that is due after it are finished, and the state is saved. A state whose latest update was
    skipped is never saved.

    Args:
        train_step: advances by `steps_per_call` steps; its data are bound.
        evaluate: numbers of the validation images, with "score" (lower is better). It is called every `eval_every`
            steps, at every checkpoint and at the end, so that each of these checkpoints has a score.
        log_every, eval_every, checkpoint_every: intervals in steps, multiples of `steps_per_call`.

    Raises:
        TrainingFailed: `max_skipped_in_a_row` updates in a row were skipped, or the latest update of the run was
            skipped and there is no checkpoint.
    """
    step = int(state.step)
    intervals = {"log_every": log_every, "eval_every": eval_every, "checkpoint_every": checkpoint_every}
    check_intervals(steps_per_call, intervals | ({"num_steps": num_steps} if num_steps else {}), start=step)
    write, window = make_write(log, step), Window(batch_size * steps_per_call)
    with catch_sigterm() as stop_requested, Progress(num_steps, step) as progress:
        while step < num_steps and not stop_requested():
            state, metrics = train_step(state)
            step += steps_per_call
            window.add(metrics)
            progress.advance(step)
            due_log, due_eval, due_save = (step == num_steps or step % every == 0 for every in intervals.values())
            if not (due_log or due_eval or due_save):
                continue
            window.pause()
            if due_log:
                row = window.take()
                write(step, "train", row | {"skipped": int(state.skipped)})
                progress.show_numbers(row["loss"], row["images_per_second"])
            check_going(state, checkpointer, max_skipped_in_a_row)
            if due_eval or due_save:
                scores = evaluate(state)
                write(step, "validation", scores)
            if due_save and is_good(state):
                checkpointer.save(state, score=float(scores["score"]))
            window.resume()

        save_untrained(state, num_steps, evaluate, checkpointer, write)
        finish(state, checkpointer, unsaved=step < num_steps)
        return Result(state, "stopped" if stop_requested() else "done")


def make_write(log: MetricsLog, start: int) -> Callable[[int, str, dict[str, float]], None]:
    """Returns `write(step, split, metrics)`, which adds a row to the log. Removes the rows after step `start` first;
    the seconds continue from the last row that remains."""
    log.truncate_after(start)
    began = time.perf_counter() - max((row["seconds"] for row in log.rows() if "seconds" in row), default=0.0)

    def write(step: int, split: str, metrics: dict[str, float]) -> None:
        log.write({"step": step, "split": split, **metrics, "seconds": time.perf_counter() - began})

    return write


def save_untrained(
    state: TrainState,
    num_steps: int,
    evaluate: Callable[[TrainState], dict[str, float]],
    checkpointer: Checkpointer,
    write: Callable[[int, str, dict[str, float]], None],
) -> None:
    """Saves the first state with its score where `num_steps` is 0; otherwise nothing."""
    if num_steps == 0 and not checkpointer.saved():
        scores = evaluate(state)
        write(0, "validation", scores)
        checkpointer.save(state, score=float(scores["score"]))


def finish(state: TrainState, checkpointer: Checkpointer, unsaved: bool) -> None:
    """Saves an `unsaved` state and waits. Raises `TrainingFailed` without a checkpoint and with a skipped update."""
    if unsaved and is_good(state):
        checkpointer.save(state)
    checkpointer.wait()
    if not is_good(state) and not checkpointer.saved():
        raise failure(state, checkpointer)


def check_intervals(steps_per_call: int, intervals: dict[str, int], start: int) -> None:
    """Raises `UserError` unless all intervals are positive multiples of `steps_per_call` and `start` is a multiple."""
    for name, interval in {"steps_per_call": steps_per_call, **intervals}.items():
        if interval < 1:
            raise UserError(f"{name}={interval}; expected at least 1")
    for name, number in {**intervals, "the step to resume from": start}.items():
        if number % steps_per_call:
            raise UserError(f"{name}={number} is not a multiple of steps_per_call={steps_per_call}")


def check_going(state: TrainState, checkpointer: Checkpointer, max_skipped_in_a_row: int) -> None:
    """Raises `TrainingFailed` if the latest `max_skipped_in_a_row` updates were all skipped."""
    if int(state.skipped_in_a_row) >= max_skipped_in_a_row:
        checkpointer.wait()
        raise failure(state, checkpointer)


def failure(state: TrainState, checkpointer: Checkpointer) -> TrainingFailed:
    """The error for a state whose latest updates were skipped."""
    skipped, saved = int(state.skipped_in_a_row), checkpointer.saved()
    last_good = f"the last good checkpoint is step {saved[-1].step}" if saved else "there is no checkpoint yet"
    return TrainingFailed(
        f"the last {skipped} updates before step {int(state.step)} were not finite and were skipped; "
        f"{last_good} in {checkpointer.folder}"
    )


def is_good(state: TrainState) -> bool:
    """Whether the latest update was applied; the weights are finite."""
    return int(state.skipped_in_a_row) == 0
