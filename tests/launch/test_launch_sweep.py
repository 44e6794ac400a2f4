"""A sweep end to end: stopped, resumed, put into a table, with one member that fails."""

import json
import shutil
import signal
import time

import launching
import pytest

import launch
from vdm_jax.train.checkpoint import saved_checkpoints

SWEEP = """
from vdm_jax.configs.dae import get_config


def get_sweep():
    return [{"variant": "digits-sizes", "subset.num_images": size} for size in (20, 40)] + [{"variant": "digits"}]
"""
NUM_STEPS = 300
SMALL = {  # a denoising autoencoder, which is traced at once
    "model.width": 16,
    "model.num_layers": 1,
    "train.num_steps": NUM_STEPS,
    "train.batch_size": 8,
    "train.eval_images": 20,
    "train.log_every": 1,
    "train.eval_every": NUM_STEPS,
    "train.checkpoint_every": NUM_STEPS,
    "evaluate.checkpoint": "latest",
    "evaluate.sigmas": "0.5,2",
    "evaluate.num_images": 20,
}


@pytest.fixture
def words(tmp_path):
    """What is typed, and the folder of the sweep."""
    (tmp_path / "own.py").write_text(SWEEP)
    folder = tmp_path / "sweep"
    words = [f"--config={tmp_path / 'own.py'}", f"--workdir={folder}", "--jobs=train,evaluate", "--sweep=digits-*"]
    return words + [f"--config.{name}={value}" for name, value in SMALL.items()], folder


def wait_for(path, text, process):
    while not path.exists() or text not in path.read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_stopped_it_goes_on_and_ends_with_one_table(words, start, monkeypatch, capfd):
    words, folder = words
    names = ["digits-sizes,num_images=20", "digits-sizes,num_images=40"]
    sweep = start(*words)
    wait_for(folder / names[0] / "metrics.jsonl", '"step": 1', sweep.process)
    sweep.process.send_signal(signal.SIGTERM)
    code, out, err = sweep.finish()
    assert code == 0 and out.endswith("was stopped\nsweep: stopped; the same command goes on from there\n"), err
    assert not (folder / names[1]).exists() and not (folder / "sweep.md").exists()
    stopped_at = saved_checkpoints(folder / names[0] / "checkpoints")[-1].step

    code, out, err = start(*words).finish()
    assert code == 0, err
    if stopped_at < NUM_STEPS:
        assert f"goes on from step {stopped_at}\n" in (folder / names[0] / "log.txt").read_text()
    told = json.loads((folder / "sweep.json").read_text())
    assert told["missing"] == {} and list(told["runs"]) == names  # the third was not asked for
    for name in names:
        values = json.loads((folder / name / "evaluate.json").read_text())
        assert told["runs"][name] == values and values["num_known"] == int(name[-2:])
        assert f"| dae-digits-sizes | {values['num_known']} | 1 | 0.5 | " in out
    assert "Missing" not in out and (folder / "sweep_dae-digits-sizes.png").exists()

    monkeypatch.chdir(launching.ROOT)
    before = {path: path.stat().st_mtime_ns for name in names for path in (folder / name).rglob("*")}
    (folder / "digits").mkdir()  # begun by another command
    capfd.readouterr()
    assert launch.main(["launch.py", *words]) == 0
    out = capfd.readouterr().out
    assert out.partition("\n")[2].startswith("sweep: 2 members, 2 of them done\n| config |")
    assert "Missing, no evaluate.json yet: digits\n" in out
    assert {path: path.stat().st_mtime_ns for name in names for path in (folder / name).rglob("*")} == before


def test_a_run_that_is_complete_is_in_the_table(whole, tmp_path, monkeypatch, capfd):
    (tmp_path / "own.py").write_text(
        "from vdm_jax.configs.digits import get_config\n\n\ndef get_sweep():\n    return [{'variant': 'target'}]\n"
    )
    folder = tmp_path / "sweep"
    shutil.copytree(whole[0], folder / "target", ignore=shutil.ignore_patterns("samples", "report"))
    monkeypatch.chdir(launching.ROOT)
    words = launching.arguments(folder, tmp_path / "own.py", jobs="train,evaluate")
    assert launch.main(["launch.py", *words, "--sweep"]) == 0
    values = json.loads((folder / "target" / "evaluate.json").read_text())
    told = json.loads((folder / "sweep.json").read_text())["settings"]["digits-target"]
    assert told["runs"] == ["target"] and told["numbers"]["bound_nats"]["mean"] == values["bound_nats"]
    assert "| digits-target | 1 | " in capfd.readouterr().out and (folder / "sweep.png").exists()


@pytest.mark.slow
def test_a_member_that_fails_is_named_at_the_end(words, monkeypatch, capfd):
    """Nothing was trained that could be evaluated."""
    words, folder = words
    monkeypatch.chdir(launching.ROOT)
    words = [word for word in words if not word.startswith("--sweep")] + ["--sweep=digits", "--jobs=evaluate"]
    assert launch.main(["launch.py", *words]) == 1
    err = capfd.readouterr().err.splitlines()
    log = folder / "digits" / "log.txt"
    assert err == [f"launch.py: 1 of 1 members failed: digits ({log}); the same command tries them again"]
    assert "train first" in log.read_text() and "Missing, failed: digits\n" in (folder / "sweep.md").read_text()
