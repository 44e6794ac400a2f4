"""Trainings of one shape, which differ in numbers alone, stacked: they advance together, split over the devices.

Each has its own checkpoints and log, as if it were alone, and may have been stopped at another step than the others.
"""

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Key, PyTree

from vdm_jax.train import loop
from vdm_jax.train.checkpoint import Checkpointer
from vdm_jax.train.metrics import MetricsLog
from vdm_jax.train.progress import Progress
from vdm_jax.train.state import Metrics, TrainState
from vdm_jax.train.window import Window

MEMBERS = "members"  # the axis of the mesh
INTERVALS = ("log_every", "eval_every", "checkpoint_every")
Step = Callable[[TrainState, PyTree, PyTree, Key[Array, ""]], tuple[TrainState, Metrics]]


class TrainedMember(NamedTuple):
    """One training. data: what the step takes of its own, a pytree; key: of its draws. evaluate: numbers of a state,
    with "score"."""

    state: TrainState
    data: PyTree
    key: Key[Array, ""]
    evaluate: Callable[[TrainState], dict[str, float]]
    checkpointer: Checkpointer
    log: MetricsLog


def run_at_once(
    members: Sequence[TrainedMember], step: Step, shared: PyTree, stop_requested: Callable[[], bool], **settings: Any
) -> dict[int, loop.TrainingFailed]:
    """Trains all members together. Those that were stopped earlier first come up to the others.

    step: `step(state, shared, own data, key) -> (state, metrics)` of one member, not compiled. shared: data of all
    members, an argument of what is compiled. settings: those of `loop.run`. All states are saved at the end, and where
    `stop_requested()`.

    Returns:
        The failures of members, by their number. The others go on without them.
    """
    num_steps, left, failed = settings["num_steps"], dict(enumerate(members)), {}
    intervals = {name: settings[name] for name in INTERVALS}
    for member in members:
        loop.check_intervals(settings["steps_per_call"], {"num_steps": num_steps} | intervals, int(member.state.step))
    while not stop_requested() and (left := _unfinished(left, num_steps, failed)):
        steps = {i: int(member.state.step) for i, member in left.items()}
        first = min(steps.values())
        group = [i for i in left if steps[i] == first]
        until = min([num_steps, *(at for at in steps.values() if at > first)])
        states, failures = _run_stacked([left[i] for i in group], step, shared, stop_requested, settings, until)
        failed |= {group[i]: error for i, error in failures.items()}
        left |= {i: left[i]._replace(state=state) for i, state in zip(group, states, strict=True)}
    return failed


def _unfinished(members: dict[int, TrainedMember], num_steps: int, failed: Container[int]) -> dict[int, TrainedMember]:
    return {i: own for i, own in members.items() if i not in failed and int(own.state.step) < num_steps}


def _run_stacked(
    members: Sequence[TrainedMember], step, shared: PyTree, stop_requested, settings: dict[str, Any], until: int
) -> tuple[list[TrainState], dict[int, loop.TrainingFailed]]:
    """Advances members that are at one step together to step `until`, or to where some fail; the states of each, saved,
    and the failures."""
    failed: dict[int, loop.TrainingFailed] = {}
    mesh = devices_of(len(members))
    advance, place = stacked_step(step, mesh), NamedSharding(mesh, PartitionSpec(MEMBERS))
    state, data = (_stack([getattr(member, name) for member in members]) for name in ("state", "data"))
    keys = jnp.stack([jax.random.clone(member.key) for member in members])
    state, data, keys = jax.device_put((state, data, keys), place)
    shared = jax.device_put(shared, NamedSharding(mesh, PartitionSpec()))
    at, per_call = int(members[0].state.step), settings["steps_per_call"]
    intervals = [settings[name] for name in INTERVALS]
    writes = [loop.make_write(member.log, at) for member in members]
    window = Window(settings["batch_size"] * per_call * len(members))
    with Progress(until, at) as progress:
        while at < until and not failed and not stop_requested():
            state, metrics = advance(state, shared, data, keys)
            at += per_call
            window.add(metrics)
            progress.advance(at)
            due = [at == settings["num_steps"] or at % every == 0 for every in intervals]
            if not any(due):
                continue
            window.pause()
            rows = window.take_each(len(members)) if due[0] else [None] * len(members)
            for i, (member, write, row) in enumerate(zip(members, writes, rows, strict=True)):
                with _failure_of(i, failed):
                    _report(state, i, member, write, row, at, due, settings)
            window.resume()
    found = [_unstack(state, i) for i in range(len(members))]
    for i, (own, member) in enumerate(zip(found, members, strict=True)):
        saved = member.checkpointer.saved()
        with _failure_of(i, failed):
            loop.finish(own, member.checkpointer, unsaved=not saved or saved[-1].step < at)
    return found, failed


@contextmanager
def _failure_of(index: int, failed: dict[int, loop.TrainingFailed]) -> Iterator[None]:
    """Notes that a training fails."""
    try:
        yield
    except loop.TrainingFailed as error:
        failed.setdefault(index, error)


def _report(
    stack: TrainState,
    index: int,
    member: TrainedMember,
    write,
    row: dict[str, float] | None,
    at: int,
    due: Sequence[bool],
    settings: dict[str, Any],
) -> None:
    """What is due for one member: a row of the log, an evaluation, a checkpoint."""
    counts = _unstack(replace(stack, params={}, ema_params={}, opt_state={}, carry={}), index)
    if row is not None:
        write(at, "train", row | {"skipped": int(counts.skipped)})
    loop.check_going(counts, member.checkpointer, settings["max_skipped_in_a_row"])
    if due[1] or due[2]:
        state = _unstack(stack, index)
        scores = member.evaluate(state)
        write(at, "validation", scores)
        if due[2] and loop.is_good(state):
            member.checkpointer.save(state, score=float(scores["score"]))


def devices_of(num_members: int) -> Mesh:
    """As many devices as divide the members, along the axis of the members."""
    devices = jax.devices()
    size = max(n for n in range(1, len(devices) + 1) if num_members % n == 0)
    return jax.make_mesh((size,), (MEMBERS,), axis_types=(AxisType.Auto,), devices=devices[:size])


def stacked_step(step: Step, mesh: Mesh) -> Callable[..., tuple[TrainState, Metrics]]:
    """The compiled step of a stack of members, [M, …] in every leaf of state, own data and keys, split over the mesh.
    Donates the state."""
    split = PartitionSpec(MEMBERS)
    each = jax.vmap(step, in_axes=(0, None, 0, 0))
    spread = jax.shard_map(
        each, mesh=mesh, in_specs=(split, PartitionSpec(), split, split), out_specs=split, check_vma=False
    )
    return jax.jit(spread, donate_argnums=0)


def _stack(trees: Sequence[PyTree]) -> PyTree:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _unstack(tree: PyTree, index: int) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[index], tree)
