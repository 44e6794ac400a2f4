"""One process a folder and job."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.locks import alone_in as alone_in_for

pytest.importorskip("fcntl")
HOLDS = """
import pathlib, sys, time
from vdm_jax.base.locks import alone_in
with alone_in(pathlib.Path(sys.argv[1]), ".job", "at the job"):
    print("held", flush=True)
    time.sleep(60)
"""


def alone_in(folder, name=".job"):
    return alone_in_for(folder, name, "at the job")


def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path):
    folder = tmp_path / "run"
    with alone_in(folder):
        with pytest.raises(UserError, match=f"^another process is at the job in {folder}$"), alone_in(folder):
            pass
        with alone_in(tmp_path / "other"), alone_in(folder, ".other"):
            pass
    with alone_in(folder):
        pass


def test_a_lock_dies_with_its_process(tmp_path):
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match="another process is at the job"), alone_in(tmp_path):
            pass
        os.kill(process.pid, signal.SIGKILL)
    with alone_in(tmp_path):
        pass


def test_without_such_locks_a_job_goes_on(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with alone_in(tmp_path), alone_in(tmp_path):
        pass
