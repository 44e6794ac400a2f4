"""Every writer ends with the rows of `metrics.jsonl`, each once, however often the training was killed."""

import math
import struct
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.train import writers
from vdm_jax.train.loop import make_write
from vdm_jax.train.metrics import read_metrics
from vdm_jax.train.writers import Writers, WritersLog, check_installed, names_of, scalars_of

CONFIG = {"name": "toy", "train": {"seed": 0}}
PICTURES = {"prior": np.arange(60, dtype=np.uint8).reshape(4, 5, 3), "grey": np.zeros((4, 5, 1), np.uint8)}


class Fake:
    """Keeps what it is given, and forgets later steps where a training goes on."""

    kept: dict[tuple[int, str], list[float]] = {}
    closed: list[bool] = []

    def __init__(self, workdir):
        self.workdir = workdir

    def begin(self, config, restored, written):
        assert config == CONFIG and written >= restored
        for key in [key for key in self.kept if key[0] > restored]:
            del self.kept[key]

    def scalars(self, step, scalars):
        for name, value in scalars.items():
            self.kept.setdefault((step, name), []).append(value)

    def pictures(self, step, pictures): ...

    def close(self, failed):
        self.closed.append(failed)


class FakeRun:
    """A run as W&B keeps it: rows of a step are joined, and rows of a step before the latest are dropped."""

    def __init__(self):
        self.rows, self.images, self.inits, self.exits = {}, {}, [], []

    def init(self, **settings):
        self.inits.append(settings)
        return self

    def log(self, values, step=None):
        if step is None:
            self.images |= values
        elif step >= max(self.rows, default=0):
            self.rows.setdefault(step, []).append(values)

    def finish(self, exit_code):
        self.exits.append(exit_code)


@pytest.fixture
def wandb(monkeypatch):
    run = FakeRun()
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=run.init, Image=lambda picture: picture.shape))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return run


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(Fake, "kept", {})
    monkeypatch.setattr(Fake, "closed", [])
    monkeypatch.setitem(writers.WRITERS, "fake", (Fake, "json", "fake"))
    return Fake


def events(workdir):
    """The events of all files in their order, by the record format of TensorFlow."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted((workdir / "tensorboard").iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            yield Event.FromString(data[at + 12 : at + 12 + size])
            at += 12 + size + 4


def of_tensorboard(workdir):
    """What TensorBoard shows: a session that starts at a step purges what other files have from that step on."""
    shown: dict[tuple[int, str], list[float]] = {}
    for event in events(workdir):
        if event.HasField("session_log"):
            shown = {key: values for key, values in shown.items() if key[0] < event.step}
        for value in event.summary.value:
            if value.HasField("simple_value"):
                shown.setdefault((event.step, value.tag), []).append(value.simple_value)
    return shown


def train(workdir, *names, start, stop, fails_at=math.inf):
    """Rows as of a training that goes on from `start`; a validation every fourth step."""
    with WritersLog(workdir / "metrics.jsonl", Writers(names, workdir), CONFIG) as log:
        write = make_write(log, start)
        for step in range(start + 2, stop + 1, 2):
            if step >= fails_at:
                raise RuntimeError("killed")
            write(step, "train", {"loss": 1 / step, "worst": math.nan if step == 4 else 1.0})
            if step % 4 == 0:
                write(step, "validation", {"score": 2.0 * step})


def train_with_kills(workdir, *names):
    with pytest.raises(RuntimeError, match="killed"):
        train(workdir, *names, start=0, stop=20, fails_at=14)
    train(workdir, *names, start=8, stop=12)  # ends before it is where it was
    train(workdir, *names, start=12, stop=12)
    train(workdir, *names, start=8, stop=20)


def recorded(workdir):
    """Of `metrics.jsonl`: {(step, "SPLIT/NAME"): [value]}; seconds of repeated steps differ."""
    rows = read_metrics(workdir / "metrics.jsonl")
    assert [row["step"] for row in rows if row["split"] == "train"] == list(range(2, 21, 2))
    return {(row["step"], name): [value] for row in rows for name, value in scalars_of(row).items()}


def are_recorded(kept, workdir):
    """Whether these are the rows of `metrics.jsonl`, each once; the clock of those that came again may differ."""
    expected = recorded(workdir)
    close = [values == pytest.approx(expected.get(key, [])) or "seconds" in key[1] for key, values in kept.items()]
    return kept.keys() == expected.keys() and all(close) and all(len(values) == 1 for values in kept.values())


def test_any_writer_ends_with_the_rows_of_the_record(tmp_path, fake):
    train_with_kills(tmp_path, "fake")
    assert fake.kept == recorded(tmp_path) and (4, "train/worst") not in fake.kept
    assert fake.closed == [True, False, False, False]


def test_tensorboard_shows_the_rows_of_the_record(tmp_path):
    pytest.importorskip("tensorboardX")
    train_with_kills(tmp_path, "tensorboard")
    assert are_recorded(of_tensorboard(tmp_path), tmp_path)
    texts = [value for event in events(tmp_path) for value in event.summary.value if "config" in value.tag]
    assert len(texts) == 4 and b'"seed": 0' in texts[0].tensor.string_val[0]


def test_tensorboard_has_the_pictures_at_the_step_of_the_checkpoint(tmp_path):
    pytest.importorskip("tensorboardX")
    train(tmp_path, "tensorboard", start=0, stop=8)
    shown = of_tensorboard(tmp_path)
    opened = Writers(["tensorboard"], tmp_path)
    opened.each(lambda writer: writer.pictures(6, PICTURES))
    opened.each(lambda writer: writer.close(False))
    found = {value.tag: event.step for event in events(tmp_path) for value in event.summary.value if value.image.width}
    assert found == {"samples/prior": 6, "samples/grey": 6} and of_tensorboard(tmp_path) == shown


def test_wandb_has_the_rows_of_the_record_in_one_run(tmp_path, wandb):
    train_with_kills(tmp_path, "wandb")
    kept = {}
    for step, parts in wandb.rows.items():
        for name, value in [item for part in parts for item in part.items()]:
            kept.setdefault((step, name), []).append(value)
    assert are_recorded(kept, tmp_path)
    assert {init["id"] for init in wandb.inits} == {(tmp_path / "wandb" / "id.txt").read_text()}
    about = {"resume": "allow", "mode": "offline", "config": CONFIG, "name": "toy", "dir": str(tmp_path)}
    assert all(about.items() <= init.items() for init in wandb.inits) and wandb.exits == [1, 0, 0, 0]


def test_wandb_goes_where_its_own_variables_say(tmp_path, wandb, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    opened = Writers(["wandb"], tmp_path)
    opened.each(lambda writer: writer.pictures(6, PICTURES))
    assert (wandb.inits[0]["mode"], wandb.inits[0]["project"]) == ("online", "mine")
    assert wandb.images == {"samples/prior": (4, 5, 3), "samples/grey": (4, 5, 1)}


@pytest.mark.parametrize("method", ["__init__", "begin", "scalars", "close"])
def test_a_writer_that_fails_is_left_out_and_the_training_goes_on(tmp_path, fake, monkeypatch, capsys, method):
    def fail(*_):
        raise OSError("no space left\non device")

    class Failing(Fake):
        kept, closed = {}, []

    setattr(Failing, method, fail)
    monkeypatch.setitem(writers.WRITERS, "failing", (Failing, "json", "failing"))
    train(tmp_path, "failing", "fake", start=0, stop=20)
    assert fake.kept == recorded(tmp_path) and fake.closed == [False]
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "the writer failing failed (OSError: no space left on device)" in told


def test_names():
    assert names_of("jsonl") == names_of("") == []
    assert names_of("tensorboard") == names_of("jsonl, tensorboard,tensorboard") == ["tensorboard"]
    with pytest.raises(UserError, match=r"config.train.writers='tensorbord'; .*did you mean 'tensorboard'\?"):
        names_of("jsonl,tensorbord")


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_missing_package_is_said_with_its_extra(monkeypatch, name, package):
    there = writers.importlib.util.find_spec
    monkeypatch.setattr(writers.importlib.util, "find_spec", lambda other: None if other == package else there(other))
    with pytest.raises(UserError, match=rf"needs the package {package}: .*pip install 'vdm-jax\[{name}\]', or leave"):
        check_installed(f"jsonl,{name}")
    check_installed("jsonl")
