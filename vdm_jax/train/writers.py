"""Other places that a training is logged to: TensorBoard, Weights & Biases. `metrics.jsonl` is the record.

What they show is no number of a run: one that fails is left out, in one sentence, and the training goes on.
"""

import importlib.util
import json
import math
import os
import pathlib
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np
from matplotlib.image import imread

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.files import write_text
from vdm_jax.train.metrics import MetricsLog

RECORD = "jsonl"
NEITHER = ("step", "split")  # of a row: no scalars
PROJECT = "vdm_jax"  # of W&B, unless WANDB_PROJECT names another

Scalars = Mapping[str, float]  # "train/loss", "validation/score", …
Picture = np.ndarray  # uint8 [H, W, C]


class Writer(Protocol):
    """A place to log to. Everything may raise."""

    def begin(self, config: Mapping[str, Any], restored: int, written: int) -> None:
        """Called once before the first row. The training goes on from step `restored`; rows to step `written` were
        logged before."""

    def scalars(self, step: int, scalars: Scalars) -> None:
        """Numbers of a step, finite ones alone."""

    def pictures(self, step: int, pictures: Mapping[str, Picture]) -> None:
        """Pictures of samples by name; `begin` need not come first."""

    def close(self, failed: bool) -> None:
        """Nothing follows."""


class TensorBoard:
    """Event files in WORKDIR/tensorboard, written at once: an error is raised here and not in another thread.

    The first event of a resumed training purges what TensorBoard has of later steps.
    """

    def __init__(self, workdir: pathlib.Path):
        from tensorboardX import summary
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2

        self._summary, self._proto = summary, event_pb2
        folder = workdir / "tensorboard"
        folder.mkdir(parents=True, exist_ok=True)
        unique = f".{os.getpid()}.{time.time_ns()}"  # without it two files of one second have one name
        self._events = EventsWriter(str(folder / "events"), unique)

    def begin(self, config: Mapping[str, Any], restored: int, written: int) -> None:
        if restored or written:
            start = self._proto.SessionLog(status=self._proto.SessionLog.START)
            self._write(restored + 1, session_log=start)
        text = f"```json\n{json.dumps(config, indent=2)}\n```"
        self._write(restored, summary=self._summary.text("config", text))

    def scalars(self, step: int, scalars: Scalars) -> None:
        for name, value in scalars.items():
            self._write(step, summary=self._summary.scalar(name, value))

    def pictures(self, step: int, pictures: Mapping[str, Picture]) -> None:
        for name, picture in pictures.items():
            self._write(step, summary=self._summary.image(f"samples/{name}", picture, dataformats="HWC"))

    def _write(self, step: int, **content: Any) -> None:
        self._events.write_event(self._proto.Event(wall_time=time.time(), step=step, **content))
        self._events.flush()

    def close(self, failed: bool) -> None:
        self._events.close()


class WandB:
    """A run of Weights & Biases in WORKDIR/wandb, offline unless WANDB_MODE says otherwise.

    Its id stays in WORKDIR/wandb/id.txt, so that a resumed training goes on in the same run. W&B cannot take rows back:
    those that were logged before the training was killed are not logged again.
    """

    def __init__(self, workdir: pathlib.Path):
        import wandb

        self._wandb, self._workdir = wandb, workdir
        self._run, self._written = None, -1

    def begin(self, config: Mapping[str, Any], restored: int, written: int) -> None:
        self._written = written if written > restored else -1
        self._open(config)

    def _open(self, config: Mapping[str, Any] | None = None) -> Any:
        if self._run is None:
            path = self._workdir / "wandb" / "id.txt"
            if not path.exists():
                write_text(path, uuid.uuid4().hex[:12])
            self._run = self._wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                name=(config or {}).get("name"),
                id=path.read_text(encoding="utf-8").strip(),
                resume="allow",
                dir=str(self._workdir),
                config=None if config is None else dict(config),
                mode=os.environ.get("WANDB_MODE", "offline"),
            )
        return self._run

    def scalars(self, step: int, scalars: Scalars) -> None:
        if step > self._written:
            self._open().log(dict(scalars), step=step)

    def pictures(self, step: int, pictures: Mapping[str, Picture]) -> None:
        images = {f"samples/{name}": self._wandb.Image(picture) for name, picture in pictures.items()}
        self._open().log(images)  # at the run's own latest step: W&B takes no earlier one

    def close(self, failed: bool) -> None:
        if self._run is not None:
            self._run.finish(exit_code=int(failed))


# name of `train.writers` -> (its writer, the package it needs, which is also the name of the extra in lower case)
WRITERS: dict[str, tuple[Callable[[pathlib.Path], Writer], str, str]] = {
    "tensorboard": (TensorBoard, "tensorboardX", "tensorboard"),
    "wandb": (WandB, "wandb", "wandb"),
}


def names_of(setting: str) -> list[str]:
    """The writers that `train.writers` names besides the record, each once. Raises `UserError` for an unknown one."""
    names = [name.strip() for name in setting.split(",") if name.strip()]
    for name in names:
        choose("config.train.writers", name, dict.fromkeys((RECORD, *WRITERS)))
    return [name for name in dict.fromkeys(names) if name != RECORD]


def check_installed(setting: str) -> None:
    """Raises `UserError` where the package of a writer is missing."""
    for name in names_of(setting):
        _, package, extra = WRITERS[name]
        if importlib.util.find_spec(package) is None:
            way_out = f"python -m pip install 'vdm-jax[{extra}]', or leave {name} out of config.train.writers"
            raise UserError(f"config.train.writers={setting!r} needs the package {package}: {way_out}")


class Writers:
    """Writers that may fail: one that raises is named in one sentence and gets nothing more."""

    def __init__(self, names: Sequence[str], workdir: pathlib.Path):
        self._open: dict[str, Writer] = {}
        for name in names:
            self._attempt(name, lambda name=name: self._open.update({name: WRITERS[name][0](workdir)}))

    def __bool__(self) -> bool:
        return bool(self._open)

    def each(self, do: Callable[[Writer], None]) -> None:
        """Calls `do(writer)` for all of them."""
        for name, writer in list(self._open.items()):
            self._attempt(name, lambda writer=writer: do(writer))

    def _attempt(self, name: str, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:  # of a disk, a network, or another package
            self._open.pop(name, None)
            said = " ".join(str(error).split())[:300]
            told = f"the writer {name} failed ({type(error).__name__}: {said}) and gets no more rows"
            print(f"train: {told}; metrics.jsonl has them all", file=sys.stderr, flush=True)


def open_log(setting: str, workdir: pathlib.Path, config: Mapping[str, Any]) -> "WritersLog":
    """`metrics.jsonl` of a training, whose rows also go to the writers that `setting`, `train.writers`, names."""
    return WritersLog(workdir / "metrics.jsonl", _open(setting, workdir), config)


def show_pictures(setting: str, workdir: pathlib.Path, folder: pathlib.Path, step: int) -> None:
    """Gives the PNG files in `folder` to the writers that are installed, at the step of the checkpoint."""
    try:
        check_installed(setting)
    except UserError as error:  # sampling needs none
        print(f"sample: {error}", flush=True)
        return
    if writers := _open(setting, workdir):
        pictures = {path.stem: _read(path) for path in sorted(folder.glob("*.png"))}
        writers.each(lambda writer: writer.pictures(step, pictures))
        writers.each(lambda writer: writer.close(False))


def _open(setting: str, workdir: pathlib.Path) -> Writers:
    """Of the first process alone."""
    return Writers(names_of(setting) if jax.process_index() == 0 else [], workdir)


def _read(path: pathlib.Path) -> Picture:
    """A PNG without its transparency."""
    pixels = np.atleast_3d(imread(path))[..., :3]
    return np.rint(255 * pixels).astype(np.uint8)


class WritersLog(MetricsLog):
    """`metrics.jsonl`, whose rows also go to other writers. A context: they are closed at its end.

    config: of the run, as plain values, which they get too.
    """

    def __init__(self, path: str | pathlib.Path, writers: Writers, config: Mapping[str, Any]):
        super().__init__(path)
        self._writers, self._config = writers, config

    def __enter__(self) -> "WritersLog":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._writers.each(lambda writer: writer.close(kind is not None))

    def truncate_after(self, step: int) -> None:
        """Removes the rows of later steps; the other writers learn of it. Called once before the first row."""
        written = max((int(row["step"]) for row in self.rows()), default=0)
        super().truncate_after(step)
        self._writers.each(lambda writer: writer.begin(self._config, step, written))

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends one row to the record, then gives its numbers to the others as "SPLIT/NAME"."""
        super().write(row)
        scalars = scalars_of(row)
        self._writers.each(lambda writer: writer.scalars(int(row["step"]), scalars))


def scalars_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a row as "SPLIT/NAME"."""
    found = {name: value for name, value in row.items() if name not in NEITHER and not isinstance(value, str)}
    numbers = {f"{row['split']}/{name}": float(value) for name, value in found.items() if value is not None}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
