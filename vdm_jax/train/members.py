"""Trainings of one shape, which differ in numbers alone: one compiled step serves them all.

Members come in turn, or are stacked and advance together. Each has its own checkpoints and log, as if it were alone,
and may have been stopped at another step than the others.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Key, PyTree

from vdm_jax.base.errors import choose
from vdm_jax.base.signals import catch_sigterm
from vdm_jax.train import loop
from vdm_jax.train.checkpoint import Checkpointer
from vdm_jax.train.metrics import MetricsLog
from vdm_jax.train.progress import Progress
from vdm_jax.train.state import TrainState
from vdm_jax.train.window import Window

MEMBERS = "members"  # the axis of the mesh
BATCHINGS = ("in_turn", "at_once")


class TrainedMember(NamedTuple):
    """One training. data: what the step takes of its own, a pytree; key: of its draws. evaluate: numbers of a state,
    with "score"."""

    state: TrainState
    data: PyTree
    key: Key[Array, ""]
    evaluate: Callable[[TrainState], dict[str, float]]
    checkpointer: Checkpointer
    log: MetricsLog


def usual_batching() -> str:
    """In turn on a CPU, whose cache holds the weights of one member; at once elsewhere."""
    return "in_turn" if jax.default_backend() == "cpu" else "at_once"


def run_members(
    members: Sequence[TrainedMember],
    step: Callable[[TrainState, PyTree, PyTree, Key[Array, ""]], tuple[TrainState, dict[str, Array]]],
    shared: PyTree,
    *,
    batching: str = "",
    **settings: Any,
) -> str:
    """Trains all members; returns "done", or "stopped" by SIGTERM with all states saved.

    step: `step(state, shared, own data, key)`, of one member, not compiled. shared: data of all members, an argument of
    what is compiled. batching: one of `BATCHINGS`, "" for `usual_batching`. settings: those of `loop.run`.
    """
    chosen = choose("batching", batching or usual_batching(), dict(zip(BATCHINGS, BATCHINGS, strict=True)))
    train = {"in_turn": run_in_turn, "at_once": run_at_once}[chosen]
    with catch_sigterm() as stop_requested:
        train(members, step, shared, stop_requested, settings)
        return "stopped" if stop_requested() else "done"


def run_in_turn(
    members: Sequence[TrainedMember], step, shared: PyTree, stop_requested: Callable[[], bool], settings
) -> None:
    """One member after the other through one compiled step."""
    compiled = jax.jit(step, donate_argnums=0)
    for member in members:
        if not stop_requested():
            advance = partial(_advance, compiled, shared=shared, data=member.data, key=member.key)
            loop.run(
                member.state, advance, evaluate=member.evaluate, checkpointer=member.checkpointer, log=member.log,
                **settings,
            )  # fmt: skip


def _advance(compiled, state, *, shared, data, key):
    return compiled(state, shared, data, key)


def run_at_once(
    members: Sequence[TrainedMember], step, shared: PyTree, stop_requested: Callable[[], bool], settings
) -> None:
    """Groups of members at the same step, the least trained first, until all are at the last step."""
    num_steps, left = settings["num_steps"], list(members)
    while not stop_requested() and (left := [member for member in left if int(member.state.step) < num_steps]):
        first = min(int(member.state.step) for member in left)
        group = [i for i, member in enumerate(left) if int(member.state.step) == first]
        others = [int(member.state.step) for member in left if int(member.state.step) > first]
        until = min([num_steps, *others])
        states = _run_stacked([left[i] for i in group], step, shared, stop_requested, settings, until)
        for i, state in zip(group, states, strict=True):
            left[i] = left[i]._replace(state=state)


def _run_stacked(
    members: Sequence[TrainedMember], step, shared: PyTree, stop_requested, settings: dict[str, Any], until: int
) -> list[TrainState]:
    """Advances members that are at one step together to step `until`; the states of each, saved."""
    advance = stacked_step(step, len(members))
    state, data = (_stack([getattr(member, name) for member in members]) for name in ("state", "data"))
    keys = jnp.stack([jax.random.clone(member.key) for member in members])
    at, per_call = int(members[0].state.step), settings["steps_per_call"]
    intervals = [settings[name] for name in ("log_every", "eval_every", "checkpoint_every")]
    writes = [loop.make_write(member.log, at) for member in members]
    window = Window(settings["batch_size"] * per_call * len(members))
    with Progress(until, at) as progress:
        while at < until and not stop_requested():
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
                _look(_unstack(state, i), member, write, row, at, due, settings)
            window.resume()
    found = [_unstack(state, i) for i in range(len(members))]
    for own, member in zip(found, members, strict=True):
        saved = member.checkpointer.saved()
        loop.finish(own, member.checkpointer, unsaved=not saved or saved[-1].step < at)
    return found


def _look(
    state: TrainState, member: TrainedMember, write, row, at: int, due: Sequence[bool], settings: dict[str, Any]
) -> None:
    """What is due for one member: a row of the log, an evaluation, a checkpoint."""
    if row is not None:
        write(at, "train", row | {"skipped": int(state.skipped)})
    loop.check_going(state, member.checkpointer, settings["max_skipped_in_a_row"])
    if due[1] or due[2]:
        scores = member.evaluate(state)
        write(at, "validation", scores)
        if due[2] and loop.is_good(state):
            member.checkpointer.save(state, score=float(scores["score"]))


def stacked_step(step, num_members: int):
    """The compiled step of a stack of members, [M, …] in every leaf, split over as many devices as divide it."""
    devices = jax.devices()
    size = max(n for n in range(1, len(devices) + 1) if num_members % n == 0)
    mesh = jax.make_mesh((size,), (MEMBERS,), axis_types=(AxisType.Auto,), devices=devices[:size])
    each = jax.vmap(step, in_axes=(0, None, 0, 0))
    if size == 1:
        return jax.jit(each, donate_argnums=0)
    split = PartitionSpec(MEMBERS)
    spread = jax.shard_map(
        each, mesh=mesh, in_specs=(split, PartitionSpec(), split, split), out_specs=split, check_vma=False
    )
    return partial(_spread_step, jax.jit(spread, donate_argnums=0), mesh)


def _spread_step(compiled, mesh: Mesh, state, shared, data, keys):
    place = NamedSharding(mesh, PartitionSpec(MEMBERS))
    state, data, keys = jax.device_put((state, data, keys), place)
    return compiled(state, jax.device_put(shared, NamedSharding(mesh, PartitionSpec())), data, keys)


def _stack(trees: Sequence[PyTree]) -> PyTree:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _unstack(tree: PyTree, index: int) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[index], tree)
