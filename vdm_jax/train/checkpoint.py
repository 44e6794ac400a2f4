"""Checkpoints. This is the only file that imports orbax.

A folder holds one sub-folder a step. Each has the parts "params", "ema_params", "opt_state", "carry" and "counters" of
a `TrainState`, so that a reader restores only the parts it needs, a checksum of each part, and the metrics of the
evaluation at that step. A save writes a temporary folder and renames it when it is complete: after a kill the previous
step is the latest.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import Sharding, SingleDeviceSharding
from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

from vdm_jax.base.errors import RunFailed, UserError
from vdm_jax.train.checksums import checksum
from vdm_jax.train.listing import (
    Saved,
    find_checkpoint,
    goodness,
    saved_checkpoints,
    score_of,
    set_aside,
    stated_parts,
)
from vdm_jax.train.reading import Incomplete, Unreadable, quiet, read_patiently, reason_of
from vdm_jax.train.state import TrainState, as_trees

SWEEP_SECONDS = 60
CHECKSUMS = "checksums"  # of the parts, in the metadata of a checkpoint


class Restored(NamedTuple):
    """A restored checkpoint: its step, its score, and the requested parts."""

    step: int
    score: float | None
    parts: dict[str, PyTree]


class Damaged(UserError):
    """A checkpoint cannot be read. `whole` is the step of the latest other one that can; None: no other can."""

    def __init__(self, sentence: str, whole: int | None) -> None:
        super().__init__(sentence)
        self.whole = whole


class SaveFailed(RunFailed):
    """A checkpoint could not be written. The message names it, the cause and the last good checkpoint."""


class Checkpointer:
    """Saves during training. Keeps the latest `keep_latest` checkpoints and the `keep_best` of lowest score. A folder
    has one writer."""

    def __init__(self, folder: str | Path, *, keep_latest: int = 2, keep_best: int = 1):
        if keep_latest < 1:
            raise UserError(f"keep_latest={keep_latest}; expected at least 1")
        policies = ocp.training.preservation_policies
        best = policies.BestN(get_metric_fn=goodness, n=keep_best, keep_checkpoints_without_metrics=False)
        self.folder = Path(folder).absolute()
        self._saving: int | None = None  # the step that is being written
        running = set(threading.enumerate())
        self._orbax = read_patiently(
            f"a checkpoint in {self.folder}",
            lambda: ocp.training.Checkpointer(
                self.folder,
                preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(keep_latest), best]),
                cleanup_tmp_directories=True,
            ),
        )
        for thread in set(threading.enumerate()) - running:  # orbax removes the remains of a killed save in a thread:
            if thread.is_alive() and not thread.daemon:  # a run that fails early must not end before that thread
                thread.join(SWEEP_SECONDS)

    def __enter__(self) -> "Checkpointer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_) -> None:
        with suppress(*([SaveFailed] if kind else [])):  # the first error is the one that is reported
            self.close()

    def saved(self) -> list[Saved]:
        """All checkpoints by step, including one that is being written."""
        return _saved(self._orbax)

    def save(self, state: TrainState, score: float | None = None) -> None:
        """Starts to write `state` under its step in the background. The state may be donated when this returns.

        The best checkpoints are those of lowest `score`. A checkpoint without a score is kept while it is among the
        latest. A step that exists is not written again.

        Raises:
            SaveFailed: this save or the previous one failed.
        """
        self.wait()
        step = int(state.step)
        if step in [saved.step for saved in self.saved()]:
            return
        parts = {name: part for name, part in to_parts(state).items() if jax.tree.leaves(part)}  # orbax: no empty part
        metrics = None if score is None else {"score": score}
        stated = {CHECKSUMS: {name: checksum(part) for name, part in parts.items()}}
        self._saving = step
        with self._one_sentence(), _one_replica_writes():
            self._orbax.save_checkpointables_async(step, parts, force=True, metrics=metrics, custom_metadata=stated)

    def restore(self, like: TrainState) -> TrainState:
        """The latest checkpoint, with the structure, shapes, types and shardings of `like`."""
        self.wait()
        return restore_state(self.folder, "latest", like)

    def wait(self) -> None:
        """Returns when every save is on disk. Raises `SaveFailed` if one failed in the background."""
        with self._one_sentence():
            self._orbax.wait()
        self._saving = None

    def close(self) -> None:
        """Waits for the saves and closes the folder."""
        with self._one_sentence():
            self._orbax.close()

    @contextmanager
    def _one_sentence(self) -> Iterator[None]:
        """Turns errors of orbax into `SaveFailed` with a message of one sentence."""
        try:
            with quiet():
                yield
        except Exception as error:  # orbax, tensorstore and asyncio raise different errors for a full disk
            saved = saved_checkpoints(self.folder)
            last_good = f"the last good checkpoint is step {saved[-1].step}" if saved else "there is no checkpoint yet"
            what = "checkpoints" if self._saving is None else f"step {self._saving}"
            raise SaveFailed(f"{what} could not be saved in {self.folder}: {reason_of(error)}; {last_good}") from error


def _one_replica_writes() -> ocp.Context:
    """Writes each leaf whole. For tens of MB, slicing over the devices takes longer than it saves."""
    context = ocp.Context()
    context.array.saving.use_replica_parallel = False
    return context


def resume(folder: str | Path, like: TrainState) -> tuple[TrainState | None, list[str]]:
    """(state, sentences): the latest checkpoint that can be read, as `restore_state`, and what was damaged.

    The state is None where there is no checkpoint. Checkpoints after that one, and scores that cannot be read, are
    moved to `FOLDER-damaged`: a training continues as if they had not been saved, and nothing is lost. The caller is
    the only writer of the folder. Raises `UserError`, and moves nothing, where no checkpoint can be read.
    """
    folder, damaged, state = Path(folder).absolute(), {}, None
    saved, parts = saved_checkpoints(folder), to_parts(like)
    for step in [each.step for each in reversed(saved)]:
        try:
            state = from_parts(_read(folder, step, _abstract(parts)).parts)
            break
        except Unreadable as error:
            damaged[step] = error.reason
    if damaged and state is None:
        told = f"no checkpoint in {folder} can be read (step {saved[-1].step}: {damaged[saved[-1].step]})"
        raise UserError(f"{told}; bring back a copy, or choose another --workdir to train from the start")
    said = []
    for step, reason in sorted(damaged.items()):
        place = set_aside(folder / str(step), str(step))
        said.append(f"checkpoint {step} is damaged ({reason}): moved to {place}; step {int(state.step)} is whole")
    for step in [each.step for each in saved if each.step not in damaged and score_of(folder / str(each.step))[1]]:
        place = set_aside(folder / str(step) / "metrics" / "metrics", f"{step}-metrics")
        said.append(f"the score of checkpoint {step} cannot be read: moved to {place}; it counts as not evaluated")
    return state, said


def restore_state(folder: str | Path, which: str | int, like: TrainState) -> TrainState:
    """The whole state at "latest", "best" or a step number, with the shapes, types and shardings of `like`."""
    return from_parts(restore_parts(folder, which, to_parts(like)).parts)


def restore_parts(
    folder: str | Path, which: str | int, like: dict[str, PyTree], sharding: Sharding | None = None
) -> Restored:
    """Restores parts of a checkpoint, e.g. {"ema_params": shapes}, also while another process trains in the folder.

    Args:
        which: "latest", "best" (lowest score) or a step number.
        like: arrays or `jax.ShapeDtypeStruct`s by part.
        sharding: of leaves of `like` that have none; None: the first device.

    Raises:
        Damaged: the checkpoint cannot be read.
        UserError: it does not exist, or differs from `like` in parts, leaves, shapes or types.
    """
    folder = Path(folder).absolute()
    like = _abstract(like, sharding)
    try:
        return _read(folder, which, like)
    except Unreadable as error:
        step = find_checkpoint(folder, which).step
        told = f"checkpoint {step} in {folder} is damaged ({error.reason})"
        for other in reversed(saved_checkpoints(folder)):
            if other.step != step and _is_whole(folder, other.step, like):
                raise Damaged(f"{told}; step {other.step} is whole", other.step) from error
        raise Damaged(f"{told}; no other can be read: bring back a copy, or train again", None) from error


def to_parts(state: TrainState) -> dict[str, PyTree]:
    """The state as the separate parts of a checkpoint, which are trees."""
    state = as_trees(state)
    counters = {"step": state.step, "skipped": state.skipped, "skipped_in_a_row": state.skipped_in_a_row}
    parts = {name: getattr(state, name) for name in ("params", "ema_params", "opt_state", "carry")}
    return parts | {"counters": counters}


def from_parts(parts: dict[str, PyTree]) -> TrainState:
    """The inverse of `to_parts`."""
    trees = {name: part for name, part in parts.items() if name != "counters"}
    return TrainState(**trees, **parts["counters"])


def _read(folder: Path, which: str | int, like: dict[str, PyTree], attempts: int | None = None) -> Restored:
    """`_restore`, patiently. Raises `Unreadable`, or `UserError`."""
    return read_patiently(f"checkpoint {which} in {folder}", lambda: _restore(folder, which, like), attempts)


def _is_whole(folder: Path, step: int, like: dict[str, PyTree]) -> bool:
    try:
        _read(folder, step, like, attempts=1)
    except UserError:
        return False
    return True


def _restore(folder: Path, which: str | int, like: dict[str, PyTree]) -> Restored:
    chosen = find_checkpoint(folder, which)
    path = folder / str(chosen.step)
    if stated_parts(path) is None:
        raise OSError("its list of parts is missing or damaged")
    metadata = ocp.checkpointables_metadata(path)
    there = {name: metadata.metadata[name] for name in like if name in metadata.metadata}
    wanted = {name: part for name, part in like.items() if jax.tree.leaves(part)}
    if (stated := stated_parts(path)) is None:
        raise OSError("its list of parts is missing or damaged")
    if damaged := [name for name in wanted if there.get(name, ...) is None or name in stated - there.keys()]:
        raise OSError(f"the metadata of {damaged[0]} are missing or damaged")
    _check_same(f"checkpoint {chosen.step} in {folder}", there, wanted)
    parts = ocp.load_checkpointables(path, wanted)
    checksums = (metadata.custom_metadata or {}).get(CHECKSUMS, {})  # older checkpoints have none
    found = {name: checksum(part) for name, part in parts.items() if checksums.get(name)}
    if changed := [name for name, value in found.items() if value not in (None, checksums[name])]:
        raise OSError(f"its {changed[0]} differ from what was saved")
    return Restored(*chosen, like | parts)


def _saved(orbax: ocp.training.Checkpointer) -> list[Saved]:
    return [Saved(c.step, c.metrics["score"] if c.metrics else None) for c in orbax.checkpoints]


def _leaves(tree: PyTree) -> dict[str, str]:
    """{path: "float32[3, 4]"} of arrays, of shapes, or of orbax's metadata."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(p, simple=True, separator="/"): f"{x.dtype}{list(x.shape)}" for p, x in leaves}


def _check_same(name: str, there: dict[str, PyTree], wanted: dict[str, PyTree]) -> None:
    """Raises an error that names the first leaf in which the checkpoint and `wanted` differ."""
    name = f"{name} is of another model or optimizer"
    if missing := wanted.keys() - there.keys():
        raise Incomplete(f"{name}: it has no {sorted(missing)[0]}")
    there, here = _leaves(there), _leaves(wanted)
    for path in sorted(there.keys() | here.keys()):
        if there.get(path) != here.get(path):
            difference = f"{path} is {there.get(path, 'missing')} there and {here.get(path, 'missing')} here"
            raise UserError(f"{name}: {difference}")


def _abstract(tree: PyTree, sharding: Sharding | None = None) -> PyTree:
    """Shapes with shardings: their own, or `sharding`, or the first device."""

    def abstract(leaf: Any) -> jax.ShapeDtypeStruct:
        own = getattr(leaf, "sharding", None) or sharding or SingleDeviceSharding(jax.devices()[0])
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=own)

    return jax.tree.map(abstract, tree)
