"""A sweep end to end: stopped, resumed, put into a table, with one member that fails."""

import json
import signal
import time

import launching
import pytest

import launch
from vdm_jax.train.checkpoint import saved_checkpoints

SWEEP = """
from vdm_jax.configs.digits import get_config


def get_sweep():
    return [{"variant": "unconditional", "evaluate.passes": passes} for passes in (1, 2)] + [{"variant": "beta1"}]
"""
QUICK = {"train__num_steps": 10, "train__checkpoint_every": 10, "evaluate__checkpoint": "latest"}
QUICK |= {"evaluate__frechet_images": 0} | dict.fromkeys(launching.OF_A_CODE)


@pytest.fixture
def words(tmp_path):
    """What is typed, and the folder of the sweep."""
    (tmp_path / "own.py").write_text(SWEEP)
    folder = tmp_path / "sweep"
    words = launching.arguments(folder, tmp_path / "own.py", jobs="train,evaluate", **QUICK)
    return [word for word in words if "evaluate.passes" not in word] + ["--sweep=uncond*"], folder


def wait_for(path, text, process):
    while not path.exists() or text not in path.read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_stopped_it_goes_on_and_ends_with_one_table(words, start, monkeypatch, capfd):
    words, folder = words
    names = ["unconditional,passes=1", "unconditional,passes=2"]
    sweep = start(*words)
    wait_for(folder / names[0] / "metrics.jsonl", '"step": 1', sweep.process)
    sweep.process.send_signal(signal.SIGTERM)
    code, out, err = sweep.finish()
    assert code == 0 and out.endswith("was stopped\nsweep: stopped; the same command goes on from there\n"), err
    assert not (folder / names[1]).exists() and not (folder / "sweep.md").exists()
    stopped_at = saved_checkpoints(folder / names[0] / "checkpoints")[-1].step

    code, out, err = start(*words).finish()
    assert code == 0, err
    if stopped_at < 10:
        assert f"goes on from step {stopped_at}\n" in (folder / names[0] / "log.txt").read_text()
    told = json.loads((folder / "sweep.json").read_text())
    assert told["missing"] == {}  # beta1 was not asked for
    for name, (setting, found) in zip(names, told["settings"].items(), strict=True):
        values = json.loads((folder / name / "evaluate.json").read_text())
        assert (setting, found["runs"]) == (f"digits-{name}", [name]) and values["passes"] == int(name[-1])
        assert found["numbers"]["bound_nats"]["mean"] == values["bound_nats"]
        assert f"| {setting} | 1 | " in out
    assert "Missing" not in out and (folder / "sweep.png").exists()

    monkeypatch.chdir(launching.ROOT)
    before = {path: path.stat().st_mtime_ns for name in names for path in (folder / name).rglob("*")}
    (folder / "beta1").mkdir()  # begun by another command
    capfd.readouterr()
    assert launch.main(["launch.py", *words]) == 0
    out = capfd.readouterr().out
    assert out.partition("\n")[2].startswith("sweep: 2 members, 2 of them done\n| setting |")
    assert "Missing, no evaluate.json yet: beta1\n" in out
    assert {path: path.stat().st_mtime_ns for name in names for path in (folder / name).rglob("*")} == before


@pytest.mark.slow
def test_a_member_that_fails_is_named_at_the_end(words, monkeypatch, capfd):
    """Nothing was trained that could be evaluated."""
    words, folder = words
    monkeypatch.chdir(launching.ROOT)
    words = [word for word in words if not word.startswith("--sweep")] + ["--sweep=beta1", "--jobs=evaluate"]
    assert launch.main(["launch.py", *words]) == 1
    err = capfd.readouterr().err.splitlines()
    log = folder / "beta1" / "log.txt"
    assert err == [f"launch.py: 1 of 1 members failed: beta1 ({log}); the same command tries them again"]
    assert "train first" in log.read_text() and "Missing, failed: beta1\n" in (folder / "sweep.md").read_text()
