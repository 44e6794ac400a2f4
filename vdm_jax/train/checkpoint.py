"""Checkpoints. This is the only file that imports orbax.

A folder holds one sub-folder a step. Each has the parts "params", "ema_params", "opt_state", "carry" and "counters" of
a `TrainState`, so that a reader restores only the parts it needs, and the metrics of the evaluation at that step. A
save writes a temporary folder and renames it when it is complete: after a kill the previous step is the latest.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
from jax.sharding import Sharding, SingleDeviceSharding
from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

from vdm_jax.base.errors import UserError
from vdm_jax.train.reading import Incomplete, quiet, read_patiently, reason_of
from vdm_jax.train.state import TrainState

T = TypeVar("T")
SWEEP_SECONDS = 60


class Saved(NamedTuple):
    """A checkpoint in a folder: its step, and the score of its evaluation (lower is better; None: not evaluated)."""

    step: int
    score: float | None


class Restored(NamedTuple):
    """A restored checkpoint: its step, its score, and the requested parts."""

    step: int
    score: float | None
    parts: dict[str, PyTree]


class SaveFailed(RuntimeError):
    """A checkpoint could not be written. The message names it, the cause and the last good checkpoint."""


class Checkpointer:
    """Saves during training. Keeps the latest `keep_latest` checkpoints and the `keep_best` of lowest score. A folder
    has one writer."""

    def __init__(self, folder: str | Path, *, keep_latest: int = 2, keep_best: int = 1):
        if keep_latest < 1:
            raise UserError(f"keep_latest={keep_latest}; expected at least 1")
        policies = ocp.training.preservation_policies
        best = policies.BestN(get_metric_fn=_goodness, n=keep_best, keep_checkpoints_without_metrics=False)
        self.folder = Path(folder).absolute()
        self._saving: int | None = None  # the step that is being written
        running = set(threading.enumerate())
        self._orbax = read_patiently(
            self.folder,
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
        self._saving = step
        with self._one_sentence(), _one_replica_writes():
            self._orbax.save_checkpointables_async(step, parts, force=True, metrics=metrics)

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
            saved = _finished(self.folder)
            last_good = f"the last good checkpoint is step {saved[-1].step}" if saved else "there is no checkpoint yet"
            what = "checkpoints" if self._saving is None else f"step {self._saving}"
            raise SaveFailed(f"{what} could not be saved in {self.folder}: {reason_of(error)}; {last_good}") from error


def _one_replica_writes() -> ocp.Context:
    """Writes each leaf whole. For tens of MB, slicing over the devices takes longer than it saves."""
    context = ocp.Context()
    context.array.saving.use_replica_parallel = False
    return context


def saved_checkpoints(folder: str | Path) -> list[Saved]:
    """The finished checkpoints of a folder by step; [] if there is none, or no folder."""
    folder = Path(folder).absolute()
    if not folder.is_dir():
        return []
    return read_patiently(folder, lambda: _with_reader(folder, _saved))


def find_checkpoint(folder: str | Path, which: str | int) -> Saved:
    """The finished checkpoint "latest", "best" or of a step number. Raises `UserError` if there is none."""
    return _choose(saved_checkpoints(folder), Path(folder).absolute(), which)


def _finished(folder: Path) -> list[Saved]:
    """`saved_checkpoints`; [] also if the folder cannot be read."""
    try:
        return saved_checkpoints(folder)
    except UserError:
        return []


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
        UserError: the checkpoint does not exist, cannot be read, or differs from `like` in parts, leaves, shapes or
            types.
    """
    folder = Path(folder).absolute()
    like = jax.tree.map(lambda leaf: _abstract(leaf, sharding), like)
    return read_patiently(folder, lambda: _with_reader(folder, lambda reader: _restore(reader, folder, which, like)))


def to_parts(state: TrainState) -> dict[str, PyTree]:
    """The state as the separate parts of a checkpoint."""
    counters = {"step": state.step, "skipped": state.skipped, "skipped_in_a_row": state.skipped_in_a_row}
    parts = {name: getattr(state, name) for name in ("params", "ema_params", "opt_state", "carry")}
    return parts | {"counters": counters}


def from_parts(parts: dict[str, PyTree]) -> TrainState:
    """The inverse of `to_parts`."""
    trees = {name: part for name, part in parts.items() if name != "counters"}
    return TrainState(**trees, **parts["counters"])


def _restore(reader: ocp.training.Checkpointer, folder: Path, which: str | int, like: dict[str, PyTree]) -> Restored:
    chosen = _choose(_saved(reader), folder, which)
    there = reader.checkpointables_metadata(chosen.step).metadata
    there = {name: there[name] for name in like if name in there}
    if None in there.values():
        raise OSError("damaged metadata")
    wanted = {name: part for name, part in like.items() if jax.tree.leaves(part)}
    _check_same(f"checkpoint {chosen.step} in {folder}", there, wanted)
    return Restored(*chosen, like | reader.load_checkpointables(chosen.step, wanted))


def _choose(saved: list[Saved], folder: Path, which: str | int) -> Saved:
    """The checkpoint that `which` names. Of several best checkpoints it is the latest."""
    if not saved:
        raise UserError(f"no checkpoint in {folder}: train first")
    if which == "latest":
        return saved[-1]
    if which == "best":
        scored = [checkpoint for checkpoint in saved if checkpoint.score is not None]
        if not scored:
            raise UserError(f"no checkpoint in {folder} was evaluated yet, so none is the best; use 'latest'")
        return max(scored, key=lambda checkpoint: (_goodness({"score": checkpoint.score}), checkpoint.step))
    for checkpoint in saved:
        if str(checkpoint.step) == str(which):
            return checkpoint
    steps = [checkpoint.step for checkpoint in saved]
    raise UserError(f"checkpoint={which!r} is not in {folder}; expected 'latest', 'best' or one of {steps}")


def _goodness(metrics: dict[str, float]) -> float:
    """Higher is better. A NaN score is the worst."""
    return -math.inf if math.isnan(metrics["score"]) else -metrics["score"]


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


def _abstract(leaf: Any, sharding: Sharding | None) -> jax.ShapeDtypeStruct:
    own = getattr(leaf, "sharding", None)
    return jax.ShapeDtypeStruct(
        leaf.shape, leaf.dtype, sharding=own or sharding or SingleDeviceSharding(jax.devices()[0])
    )


def _with_reader(folder: Path, read: Callable[[ocp.training.Checkpointer], T]) -> T:
    if not folder.is_dir():
        raise UserError(f"no checkpoint in {folder}: train first")
    with ocp.training.Checkpointer(folder) as reader:
        return read(reader)
