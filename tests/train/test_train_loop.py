"""The loop on a toy: what is logged, evaluated, saved and said, and that resuming leaves no trace."""

import math
import os
import signal
import sys
import time
from itertools import count

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_training as toy

from vdm_jax.base import progress
from vdm_jax.base.errors import UserError
from vdm_jax.base.signals import catch_sigterm
from vdm_jax.train import window
from vdm_jax.train.checkpoint import Checkpointer, restore_state, saved_checkpoints
from vdm_jax.train.loop import TrainingFailed
from vdm_jax.train.metrics import read_metrics
from vdm_jax.train.progress import Progress
from vdm_jax.train.window import Window


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("uninterrupted")
    return workdir, toy.train(workdir)


def rows_without_clock(workdir):
    clock = {"seconds", "images_per_second"}
    return [{k: v for k, v in row.items() if k not in clock} for row in read_metrics(workdir / "metrics.jsonl")]


def assert_same_end(workdir, other_workdir):
    like = toy.initial_state()
    states = [restore_state(folder / "checkpoints", "latest", like) for folder in (workdir, other_workdir)]
    assert states[0].step == toy.NUM_STEPS
    jax.tree.map(np.testing.assert_array_equal, *jax.device_get(states))
    assert rows_without_clock(workdir) == rows_without_clock(other_workdir)


@pytest.mark.slow
def test_the_toy_learns(uninterrupted):
    _, result = uninterrupted
    assert result.status == "done" and toy.evaluate(result.state)["score"] < 1.0


def test_rows_come_when_they_are_due(uninterrupted):
    rows = read_metrics(uninterrupted[0] / "metrics.jsonl")
    train = [row for row in rows if row["split"] == "train"]
    assert [row["step"] for row in train] == list(range(4, 65, 4))
    assert {"loss", "largest", "grad_norm", "skipped", "seconds", "images_per_second"} < set(train[0])
    evaluated = [row["step"] for row in rows if row["split"] == "validation"]
    assert evaluated == [step for step in range(2, 65, 2) if step % 12 == 0 or step % 8 == 0]
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds)


def test_every_checkpoint_has_its_score(uninterrupted):
    workdir, result = uninterrupted
    scores = {row["step"]: row["score"] for row in read_metrics(workdir / "metrics.jsonl") if "score" in row}
    saved = saved_checkpoints(workdir / "checkpoints")
    assert [(step, scores[step]) for step, _ in saved] == saved and saved[-1].step == 64
    best = min(scores[step] for step in range(8, 65, 8))
    assert min(score for _, score in saved) == best


def test_metrics_leave_the_device_only_for_a_row(tmp_path, monkeypatch):
    fetched = []
    monkeypatch.setattr(
        window.jax, "device_get", lambda calls: fetched.append(len(calls)) or jax.tree.map(np.asarray, calls)
    )
    toy.train(tmp_path, num_steps=16)
    assert fetched == [2, 2, 2, 2]


def test_a_row_is_the_mean_over_its_steps(tmp_path, uninterrupted):
    _, step, data = toy.make_parts(steps_per_call=1)
    state, losses = toy.initial_state(), []
    for _ in range(4):
        state, metrics = step(state, data)
        losses.append(float(metrics["loss"]))
    row = read_metrics(uninterrupted[0] / "metrics.jsonl")[0]
    assert row["step"] == 4 and row["loss"] == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.slow
def test_a_resumed_run_ends_bitwise_equal(tmp_path, uninterrupted):
    for num_steps in (16, 40, 40, 64):
        assert toy.train(tmp_path, num_steps=num_steps).status == "done"
        with open(tmp_path / "metrics.jsonl", "a") as file:  # what a kill leaves: rows after the checkpoint, half a row
            file.write(f'{{"step": {num_steps + 4}, "split": "train"}}\n{{"step": 9')
    toy.train(tmp_path)
    late = [row for row in rows_without_clock(tmp_path) if row["step"] > 40]
    assert late == [row for row in rows_without_clock(uninterrupted[0]) if row["step"] > 40]
    assert_same_end(tmp_path, uninterrupted[0])


@pytest.mark.slow
def test_sigterm_saves_between_checkpoints_and_loses_nothing(tmp_path, uninterrupted):
    before = signal.getsignal(signal.SIGTERM)
    result = toy.train(tmp_path, at_call=lambda call: call == 21 and os.kill(os.getpid(), signal.SIGTERM))
    assert (result.status, int(result.state.step)) == ("stopped", 44)
    assert signal.getsignal(signal.SIGTERM) == before
    assert saved_checkpoints(tmp_path / "checkpoints")[-1] == (44, None)
    assert toy.train(tmp_path).status == "done"
    assert_same_end(tmp_path, uninterrupted[0])


def test_sigterm_during_the_last_call_or_its_save_is_not_swallowed(tmp_path):
    result = toy.train(tmp_path, 16, at_call=lambda call: call == 7 and os.kill(os.getpid(), signal.SIGTERM))
    assert (result.status, int(result.state.step)) == ("stopped", 16)
    assert saved_checkpoints(tmp_path / "checkpoints")[-1].step == 16
    assert toy.train(tmp_path, 16).status == "done"


def test_sigterm_before_the_loop_stops_it_at_once(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with catch_sigterm() as stop_requested:
        os.kill(os.getpid(), signal.SIGTERM)
        result = toy.train(tmp_path)
        assert stop_requested()
    assert (result.status, int(result.state.step)) == ("stopped", 0)
    assert saved_checkpoints(tmp_path / "checkpoints")[-1].step == 0
    assert signal.getsignal(signal.SIGTERM) == before


def nan_between(first, last):
    def loss_fn(params, carry, batch, key, step):
        loss, metrics = toy.loss_fn(params, carry, batch, key, step)
        return jnp.where((step >= first) & (step < last), jnp.nan, loss), metrics

    return loss_fn


@pytest.mark.slow
def test_updates_that_stay_bad_end_the_run_and_the_good_checkpoint_stays(tmp_path):
    with pytest.raises(TrainingFailed) as error:
        toy.train(tmp_path, loss_fn=nan_between(30, 1000))
    folder = tmp_path / "checkpoints"
    assert str(error.value) == (
        "the last 22 updates before step 52 were not finite and were skipped; "
        f"the last good checkpoint is step 24 in {folder}"
    )
    assert saved_checkpoints(folder)[-1].step == 24
    rows = [row for row in read_metrics(tmp_path / "metrics.jsonl") if row["split"] == "train"]
    assert rows[-1]["step"] == 52 and rows[-1]["loss"] is None and rows[-1]["skipped"] == 22


def test_a_short_run_without_a_good_update_has_failed(tmp_path):
    with pytest.raises(TrainingFailed, match="the last 16 updates before step 16 were not finite.* no checkpoint yet"):
        toy.train(tmp_path, num_steps=16, loss_fn=nan_between(0, 1000))


@pytest.mark.slow
def test_a_few_bad_updates_are_survived_but_not_saved(tmp_path):
    result = toy.train(tmp_path, num_steps=32, loss_fn=nan_between(22, 25))
    assert (result.status, int(result.state.skipped)) == ("done", 3)
    assert [saved.step for saved in saved_checkpoints(tmp_path / "checkpoints")] == [16, 32]


def test_intervals_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(UserError, match="num_steps=25 is not a multiple of steps_per_call=2"):
        toy.train(tmp_path, num_steps=25)
    with pytest.raises(UserError, match="log_every=0; expected at least 1"):
        toy.train(tmp_path, log_every=0)
    with pytest.raises(UserError, match="keep_latest=0; expected at least 1"):
        Checkpointer(tmp_path, keep_latest=0)
    toy.train(tmp_path, num_steps=10)
    with pytest.raises(UserError, match="the step to resume from=10 is not a multiple of steps_per_call=4"):
        toy.train(tmp_path, steps_per_call=4)


def test_images_per_second_leave_out_compiling_and_pauses():
    window = Window(images_per_call=10)
    metrics = {"loss": jnp.float32(1)}
    time.sleep(0.3)
    window.add(metrics)
    for _ in range(2):
        time.sleep(0.05)
        window.add(metrics)
        window.pause()
        time.sleep(0.2)
        window.resume()
    window.pause()
    assert 20 / 0.3 < window.take()["images_per_second"] <= 20 / 0.1
    window.resume()
    time.sleep(0.1)
    window.add({"loss": jnp.float32(3)})
    window.pause()
    row = window.take()
    assert row["loss"] == 3 and 10 / 0.3 < row["images_per_second"] <= 10 / 0.1


def test_a_first_row_of_nothing_but_compiling_has_no_rate():
    window = Window(images_per_call=10)
    window.add({"loss": jnp.float32(math.nan)})
    window.pause()
    assert np.isnan(list(window.take().values())).all()


@pytest.mark.parametrize("has_tqdm", [True, False])
def test_progress_has_the_latest_numbers(capsys, monkeypatch, has_tqdm):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: has_tqdm)
    monkeypatch.setattr(progress, "SHORTEST", 0.0)
    monkeypatch.setattr("tqdm.std.time", count().__next__)
    with Progress(10, 4) as shown:
        shown.show_numbers(0.5, math.nan)
        shown.advance(8)
        shown.show_numbers(0.25, 678.0)
        shown.advance(10)
    told = capsys.readouterr().err
    assert "loss 0.5" in told and "loss 0.25, 678 images/s" in told and "nan" not in told
    assert ("8/10" in told) == has_tqdm and ("train: 8 of 10 (80%), loss 0.5\n" in told) != has_tqdm
