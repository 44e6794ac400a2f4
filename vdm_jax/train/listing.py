"""Which checkpoints a folder has, from its names and small files alone, and how a damaged one is put out of the way."""

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vdm_jax.base.errors import UserError


class Saved(NamedTuple):
    """A checkpoint in a folder: its step, and the score of its evaluation (lower is better; None: not evaluated)."""

    step: int
    score: float | None


def saved_checkpoints(folder: str | Path) -> list[Saved]:
    """The finished checkpoints of a folder by step; [] if there is none, or no folder. Only scores are read; one that
    cannot be read is None."""
    folder = Path(folder).absolute()
    if not folder.is_dir():
        return []
    paths = [path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]
    return sorted((Saved(int(path.name), score_of(path)[0]) for path in paths), key=lambda saved: saved.step)


def find_checkpoint(folder: str | Path, which: str | int) -> Saved:
    """The finished checkpoint "latest", "best" or of a step number. Raises `UserError` if there is none."""
    folder = Path(folder).absolute()
    saved = saved_checkpoints(folder)
    if which == "best" and (unknown := [each.step for each in saved if score_of(folder / str(each.step))[1]]):
        told = f"the score of checkpoint {unknown[0]} in {folder} cannot be read, so that the best one is unknown"
        raise UserError(f"{told}; choose 'latest' or one of {[each.step for each in saved]}")
    return _choose(saved, folder, which)


def kept_steps(num_steps: int, checkpoint_every: int, keep_latest: int) -> list[int]:
    """The steps of the latest checkpoints at the end of a training that was not interrupted."""
    return [*range(checkpoint_every, num_steps, checkpoint_every), num_steps][-keep_latest:]


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
        return best_of(scored)
    for checkpoint in saved:
        if str(checkpoint.step) == str(which):
            return checkpoint
    steps = [checkpoint.step for checkpoint in saved]
    raise UserError(f"checkpoint={which!r} is not in {folder}; expected 'latest', 'best' or one of {steps}")


def best_of(scored: Sequence[Saved]) -> Saved:
    """The checkpoint with the lowest score, of several the latest. All have a score."""
    return max(scored, key=lambda checkpoint: (goodness({"score": checkpoint.score}), checkpoint.step))


def goodness(metrics: dict[str, float]) -> float:
    """Higher is better. A NaN score is the worst."""
    return -math.inf if math.isnan(metrics["score"]) else -metrics["score"]


def stated_parts(path: Path) -> set[str] | None:
    """The parts that a checkpoint was saved with; None where that cannot be read."""
    try:
        return set(json.loads((path / "_CHECKPOINT_METADATA").read_text())["item_handlers"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def score_of(path: Path) -> tuple[float | None, bool]:
    """(score, whether it cannot be read) of a checkpoint; one that was not evaluated has none."""
    try:
        return float(json.loads((path / "metrics" / "metrics").read_text())["score"]), False
    except (FileNotFoundError, NotADirectoryError):
        return None, False
    except (OSError, ValueError, KeyError, TypeError):
        return None, True


def set_aside(path: Path, name: str) -> Path:
    """Moves a file or a folder of a checkpoint out of the way of orbax; returns its new place."""
    folder = path.parents[0 if path.name == name else 2]
    folder = folder.with_name(f"{folder.name}-damaged")
    folder.mkdir(exist_ok=True)
    place = next(p for i in itertools.count() if not (p := folder / (f"{name}.{i}" if i else name)).exists())
    return path.replace(place)
