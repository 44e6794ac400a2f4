"""Where a number comes from."""

import datetime
import json
import platform
import re
import subprocess

import jax
import pytest

from vdm_jax.base import provenance as module
from vdm_jax.base.provenance import PACKAGES, commit, provenance


@pytest.fixture(scope="module")
def found():
    return provenance()


def test_keys_and_versions(found):
    assert set(found) == {"commit", "device", "python", "versions", "time"}
    assert set(found["versions"]) == set(PACKAGES) and found["versions"]["jax"] == jax.__version__
    assert found["python"] == platform.python_version()
    assert json.loads(json.dumps(found)) == found


def test_the_device_is_named_and_counted(found):
    device = jax.devices()[0]
    assert found["device"].startswith(f"{jax.device_count()} x {device.device_kind} ({device.platform}")


def test_the_time_is_now_and_says_its_zone(found):
    time = datetime.datetime.fromisoformat(found["time"])
    assert time.tzinfo is not None
    assert abs((datetime.datetime.now(datetime.UTC) - time).total_seconds()) < 600


def test_commit_is_a_hash_or_unknown():
    assert re.fullmatch(r"[0-9a-f]{12,40}(-dirty)?|unknown|.+-g[0-9a-f]{12}(-dirty)?", commit())


def test_commit_is_unknown_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "provenance.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() == "unknown"


def test_commit_is_not_that_of_the_project_it_is_installed_in(tmp_path, monkeypatch):
    def git(*arguments):
        author = ["-c", "user.name=someone", "-c", "user.email=someone@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *author, *arguments], check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "-m", "another project")
    monkeypatch.setattr(module, "__file__", str(tmp_path / "provenance.py"))
    (tmp_path / "provenance.py").touch()
    assert commit() == "unknown"
    git("add", "provenance.py")
    assert re.fullmatch(r"[0-9a-f]{12}-dirty", commit())


def test_commit_is_unknown_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit() == "unknown"
