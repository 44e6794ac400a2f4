"""Members one after the other, with a quick process in place of launch.py."""

import os
import pathlib
import signal
import subprocess
import sys
import time
from contextlib import suppress

import member_process
import pytest
from ml_collections import ConfigDict

from vdm_jax.base.locks import Busy, alone_in
from vdm_jax.launch import process
from vdm_jax.launch.members import Member
from vdm_jax.launch.runner import LOCK, run_members

LAUNCHER = [sys.executable, member_process.__file__]
ROOT = pathlib.Path(__file__).resolve().parents[2]
JOBS = ["train", "evaluate"]


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(process, "POLL_SECONDS", 0.02)


def make_members(folder, *names):
    return [Member(name, ConfigDict(), folder / name, [f"--workdir={folder / name}"], ["train"]) for name in names]


def left(member):
    return [job for job in JOBS if not (member.workdir / job).exists()]


def locks(jobs):
    return [f".{job}" for job in jobs]


def run(members, stop_requested=lambda: False, ended=lambda outcomes: None):
    return run_members(members, left=left, locks=locks, launcher=LAUNCHER, stop_requested=stop_requested, ended=ended)


def statuses(outcomes):
    return {name: outcome.status for name, outcome in outcomes.items()}


def test_one_after_the_other_and_what_is_done_is_left_alone(tmp_path, capfd):
    members = make_members(tmp_path, "a", "b", "c")
    members[1].workdir.mkdir()
    (members[1].workdir / "train").touch()
    seen = []
    outcomes = run(members, ended=lambda outcomes: seen.append(list(outcomes)))
    assert statuses(outcomes) == {"a": "done", "b": "done", "c": "done"}
    assert seen == [["a"], ["a", "b"], ["a", "b", "c"]]
    out, err = capfd.readouterr()
    assert out.startswith("sweep: 3 members, 0 of them done\nsweep: 1 of 3: a\n") and err == ""
    assert f"sweep: {' '.join(LAUNCHER)} --workdir={tmp_path / 'b'} --jobs=evaluate\n" in out
    assert "sweep: 3 of 3, about " in out and "sweep: c is done in " in out
    assert (tmp_path / "b" / "log.txt").read_text().endswith("--jobs=evaluate\nstarts evaluate\n")

    before = (tmp_path / "a" / "log.txt").read_text()
    assert run(members) == {} and (tmp_path / "a" / "log.txt").read_text() == before
    assert capfd.readouterr().out == "sweep: 3 members, 3 of them done\n"
    (tmp_path / "a" / "evaluate").unlink()
    assert statuses(run(members)) == {"a": "done"}
    assert (tmp_path / "a" / "log.txt").read_text().startswith(before)


def test_failures_do_not_stop_the_others(tmp_path, capfd):
    outcomes = run(make_members(tmp_path, "fails", "killed", "gives_up", "a"))
    assert statuses(outcomes) == {"fails": "failed", "killed": "failed", "gives_up": "failed", "a": "done"}
    log = tmp_path / "fails" / "log.txt"
    assert outcomes["fails"].reason == f"exit code 1, 'launch.py: the data are gone' in {log}"
    assert outcomes["killed"].reason.startswith("killed by SIGKILL, 'starts train,evaluate' in ")
    assert outcomes["gives_up"].reason.startswith("ended before the job evaluate was done, ")
    assert f"sweep: fails failed: {outcomes['fails'].reason}\n" in capfd.readouterr().out


def test_a_stop_ends_the_running_member_gracefully_and_starts_no_other(tmp_path):
    members = make_members(tmp_path, "a", "waits", "b")
    log = tmp_path / "waits" / "log.txt"
    outcomes = run(members, stop_requested=lambda: log.exists() and "ready" in log.read_text())
    assert statuses(outcomes) == {"a": "done", "waits": "stopped"}
    assert (tmp_path / "waits" / "SIGTERM").exists() and not (tmp_path / "b").exists()
    assert statuses(run(members)) == {"waits": "done", "b": "done"}


@pytest.mark.parametrize("name", [LOCK, ".train", ".evaluate"])
def test_a_member_in_progress_elsewhere_is_passed_over(tmp_path, name):
    pytest.importorskip("fcntl")
    members = make_members(tmp_path, "a", "b")
    with alone_in(tmp_path / "a", name, "at it"):
        outcomes = run(members)
    assert statuses(outcomes) == {"a": "elsewhere", "b": "done"} and "another process is" in outcomes["a"].reason
    assert statuses(run(members)) == {"a": "done"}


def test_what_another_process_has_done_meanwhile_is_left_alone(tmp_path):
    members = make_members(tmp_path, "a", "b")

    def ended(outcomes):
        (tmp_path / "b").mkdir(exist_ok=True)
        for job in JOBS:
            (tmp_path / "b" / job).touch()

    assert statuses(run(members, ended=ended)) == {"a": "done", "b": "done"}
    assert not (tmp_path / "b" / "log.txt").exists()


def test_an_interrupt_is_handed_on_once_and_raised_when_the_member_has_ended(tmp_path, monkeypatch):
    def show(line):
        if line == "ready":
            raise KeyboardInterrupt

    monkeypatch.setattr("vdm_jax.launch.runner.show_line", lambda text: show(text.rpartition(": ")[2]))
    with pytest.raises(KeyboardInterrupt):
        run(make_members(tmp_path, "interrupted", "a"))
    assert (tmp_path / "interrupted" / "SIGINT").exists() and not (tmp_path / "a").exists()
    with alone_in(tmp_path / "interrupted", LOCK, "at it"):
        pass


ORPHANS = """
import pathlib, sys
from vdm_jax.launch.process import run_logged
from vdm_jax.base.locks import alone_in
folder = pathlib.Path(sys.argv[1])
with alone_in(folder, ".sweep", "at it") as lock:
    run_logged(sys.argv[2:], folder / "log.txt", lock=lock, stop_requested=lambda: False, show=lambda line: None)
"""


def test_a_member_holds_its_lock_beyond_a_killed_sweep(tmp_path):
    pytest.importorskip("fcntl")
    (tmp_path / "waits").mkdir()
    log = tmp_path / "waits" / "log.txt"
    words = [str(tmp_path / "waits"), *LAUNCHER, f"--workdir={tmp_path / 'waits'}", "--jobs=train"]
    with subprocess.Popen([sys.executable, "-c", ORPHANS, *words], cwd=ROOT) as sweep:
        while not log.exists() or "ready" not in log.read_text():
            assert sweep.poll() is None
            time.sleep(0.01)
        sweep.kill()
    with pytest.raises(Busy), alone_in(tmp_path / "waits", LOCK, "at it"):
        pass
    os.kill(int((tmp_path / "waits" / "pid").read_text()), signal.SIGTERM)
    for _ in range(500):
        with suppress(Busy), alone_in(tmp_path / "waits", LOCK, "at it"):
            return
        time.sleep(0.02)
    pytest.fail("the lock outlives the member")
