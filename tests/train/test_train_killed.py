"""Processes that are killed, stopped and read from outside: nothing is lost, doubled or changed by it."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import toy_training as toy

from vdm_jax.base.errors import UserError
from vdm_jax.train.checkpoint import restore_parts, restore_state, saved_checkpoints
from vdm_jax.train.metrics import read_metrics

REPOSITORY = Path(__file__).parents[2]


class Training:
    """The toy in a process of its own."""

    def __init__(self, workdir: Path, seconds_a_call: float = 0.0):
        self.workdir = workdir
        self.began_at = self.num_bytes()
        environment = os.environ | {
            "PYTHONPATH": str(REPOSITORY),
            "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        command = [sys.executable, toy.__file__, str(workdir), str(seconds_a_call)]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def num_bytes(self) -> int:
        """Length of the log, to see that the training moves."""
        log = self.workdir / "metrics.jsonl"
        return log.stat().st_size if log.exists() else 0

    def temporary(self) -> list[Path]:
        """Folders of saves that are not finished."""
        return list(self.workdir.glob("checkpoints/*-tmp*"))

    def wait_for(self, condition) -> None:
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.0005)

    def moved(self) -> bool:
        return self.num_bytes() > self.began_at

    def saves_or_ended(self) -> bool:
        return bool(self.temporary()) or self.process.poll() is not None

    def finish(self) -> str:
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, err
        return out.strip()


@pytest.fixture(scope="module")
def start():
    """`Training`, of which none outlives the tests."""
    trainings = []

    def start(*args) -> Training:
        trainings.append(Training(*args))
        return trainings[-1]

    yield start
    for training in trainings:
        training.process.kill()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, start) -> Path:
    workdir = tmp_path_factory.mktemp("uninterrupted")
    assert start(workdir).finish() == "done"
    return workdir


def assert_same_end(workdir: Path, other: Path, same_means: bool = True) -> None:
    """The same state, bit for bit, and the same rows; means may differ where a stop cut the steps of a row in two."""
    states = [restore_state(folder / "checkpoints", "latest", toy.initial_state()) for folder in (workdir, other)]
    jax.tree.map(np.testing.assert_array_equal, *jax.device_get(states))
    names = {"step", "split", "score", "skipped"} | ({"loss", "largest", "grad_norm"} if same_means else set())
    rows, other_rows = (
        [{k: v for k, v in row.items() if k in names} for row in read_metrics(folder / "metrics.jsonl")]
        for folder in (workdir, other)
    )
    assert rows == other_rows and states[0].step == toy.NUM_STEPS


def test_killed_again_and_again_it_ends_as_if_it_never_was(tmp_path, start, uninterrupted):
    chance, torn = random.Random(0), 0
    for in_a_save in (True, False, True, False, True):
        training = start(tmp_path, 0.05)
        if in_a_save:
            training.wait_for(training.saves_or_ended)
            time.sleep(chance.uniform(0, 0.02))
        else:
            training.wait_for(training.moved)
            time.sleep(chance.uniform(0, 0.2))
        if training.process.poll() is not None:
            break  # on a busy machine it got to the end between two looks
        training.process.kill()
        assert training.process.wait() == -signal.SIGKILL
        torn += bool(training.temporary())
    assert torn > 0
    training = start(tmp_path)
    assert training.finish() == "done" and not training.temporary()
    assert_same_end(tmp_path, uninterrupted)


def test_sigterm_saves_and_exits_with_zero(tmp_path, start, uninterrupted):
    training = start(tmp_path, 0.05)
    training.wait_for(lambda: training.num_bytes() > 1000)
    training.process.send_signal(signal.SIGTERM)
    asked = time.perf_counter()
    assert training.finish() == "stopped"
    assert time.perf_counter() - asked < 15
    assert 0 < saved_checkpoints(tmp_path / "checkpoints")[-1].step < toy.NUM_STEPS
    assert start(tmp_path).finish() == "done"
    assert_same_end(tmp_path, uninterrupted, same_means=False)


def test_another_process_reads_while_training_runs(tmp_path, start):
    folder, like = tmp_path / "checkpoints", {"ema_params": toy.initial_state().params}
    training = start(tmp_path, 0.1)
    training.wait_for(lambda: saved_checkpoints(folder))
    latest = []
    while training.process.poll() is None:
        oldest = saved_checkpoints(folder)[0].step
        latest.append(restore_parts(folder, "latest", like).step)
        best = restore_parts(folder, "best", like)
        assert best.score is not None and np.isfinite(best.parts["ema_params"]["kernel"]).all()
        try:
            assert restore_parts(folder, oldest, like).step == oldest
        except UserError as error:
            assert f"checkpoint={oldest} is not in" in str(error)
    assert training.finish() == "done"
    assert len(set(latest)) > 1 and latest == sorted(latest)
