"""What the user got wrong: exit code 2 and one sentence on stderr, nothing lost."""

import io
import json
import os
import re
import shutil
import zipfile

import jax.numpy as jnp
import launching
import numpy as np
import pytest
from launching import NUM_STEPS, arguments
from vdm_jax.configs import base, ddpm, exact, probes

import launch
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch.kind import jobs_of


def refused(capfd, *arguments) -> str:
    """The only line on stderr of a launch that exits with 2."""
    capfd.readouterr()
    assert launch.main(["launch.py", *map(str, arguments)]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("launch.py: "), lines
    return lines[0]


def test_mistakes_on_the_command_line(capfd, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    assert "num_steps" in refused(capfd, workdir, "--config.train.nmu_steps=3")
    assert "did you mean 'target'?" in refused(capfd, workdir, f"--config={launching.ROOT}/configs/digits.py:taregt")
    assert "did you mean 'evaluate'?" in refused(capfd, workdir, "--jobs=evalaute")
    assert "'nowhere.py' not found" in refused(capfd, workdir, "--config=nowhere.py")
    assert "did you mean 'te'?" in refused(capfd, workdir, "--config.model.encoder=tee")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("flag", ["workdir", "archive"])
def test_a_folder_that_cannot_be_is_told_before_the_training(capfd, tmp_path, flag):
    (tmp_path / "file").write_text("mine")
    typed = arguments(tmp_path / "run", jobs="train") + [f"--{flag}={tmp_path / 'file' / 'deeper'}"]
    assert f"{tmp_path / 'file'} is no folder; choose another --{flag}" in refused(capfd, *typed)
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "mine"


def test_data_that_are_not_there(capfd, tmp_path, monkeypatch):
    monkeypatch.delenv("VDM_DATA_DIR", raising=False)
    for folder, told in (("", "no data folder"), (tmp_path, "no mnist.npz")):
        sentence = refused(capfd, *arguments(tmp_path / "run", "configs/mnist.py", data__dir=folder))
        assert told in sentence and "data.dir" in sentence and "np.savez" in sentence
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("job", ["evaluate", "sample"])
def test_nothing_trained_yet(capfd, tmp_path, job):
    assert "train first" in refused(capfd, *arguments(tmp_path / "run", jobs=job))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("job, less", [("train", "config.train.accumulate"), ("report", "free some of it")])
def test_too_little_memory(capfd, tmp_path, monkeypatch, job, less):
    """2^44 bytes are more than any device has: what XLA answers then is told in one sentence."""
    kind = KINDS["vae_vdm"]
    jobs = jobs_of(kind)
    jobs[job] = jobs[job]._replace(run=lambda *_: jnp.zeros(2**42).block_until_ready())
    monkeypatch.setitem(KINDS, "vae_vdm", kind._replace(jobs=jobs, sections=()))
    assert launch.main(["launch.py", *arguments(tmp_path / "run", jobs=job)]) == 1
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"launch.py: {job}: too little memory"), lines
    assert "17592186044416 bytes" in lines[0] and less in lines[0]


@pytest.mark.parametrize("configs", [(base, ddpm), (probes,), (exact,)], ids=["trainings", "probes", "exact"])
def test_what_to_lower_is_a_setting(configs):
    for config in (file.get_config() for file in configs):
        kind = KINDS[config.kind]
        told = " ".join(job.memory_hint for job in kind.jobs.values())
        settings = re.findall(r"config\.(\w+)\.(\w+)", told)
        assert settings and all(name in config[section] for section, name in settings), settings


@pytest.mark.parametrize("sweep", [[], ["--sweep", "--dry_run"]])
def test_data_that_memory_does_not_hold(capfd, tmp_path, sweep):
    """The file says that it has 2^60 bytes of images."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**54, 8, 8)})
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as file:
        file.writestr("x_train.npy", header.getvalue())
    data = {"data__source": "npz", "data__name": "mine", "data__dir": tmp_path}
    assert launch.main(["launch.py", *arguments(tmp_path / "run", **data), *sweep]) == 1
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("launch.py: reading the data: too little memory (Unable to"), lines
    assert not (tmp_path / "run").exists()


def test_a_report_on_nothing(capfd, tmp_path):
    assert str(tmp_path / "run") in refused(capfd, *arguments(tmp_path / "run", jobs="report"))
    assert not (tmp_path / "run").exists()


def test_a_workdir_of_another_config(capfd, whole):
    before = (whole[0] / "config.json").read_bytes()
    sentence = refused(capfd, *arguments(whole[0], jobs="train", train__batch_size=4))
    assert "train.batch_size is 8 there and 4 here" in sentence
    assert (whole[0] / "config.json").read_bytes() == before


def test_a_checkpoint_that_is_not_there(capfd, whole):
    sentence = refused(capfd, *arguments(whole[0], jobs="evaluate", evaluate__checkpoint=7))
    assert "checkpoint='7' is not in" in sentence and str(NUM_STEPS) in sentence
    assert "did you mean 'ema'?" in refused(capfd, *arguments(whole[0], jobs="evaluate", evaluate__weights="emma"))


def test_a_foreign_checkpoint(capfd, whole, tmp_path):
    """Checkpoints of one run, laid into the folder of another."""
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config["model"]["w_dim"] = 3
    (tmp_path / "config.json").write_text(json.dumps(config))
    shutil.rmtree(tmp_path / "claims")
    for job in ("evaluate", "train"):
        assert "is of another model" in refused(capfd, f"--workdir={tmp_path}", f"--jobs={job}")


def test_an_unreadable_checkpoint_in_a_process_of_its_own(start, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "checkpoints").rglob("*"):
        if path.is_file() and path.stat().st_size:
            os.truncate(path, path.stat().st_size // 2)
    code, _, err = start(*arguments(tmp_path, jobs="sample")).finish()
    assert code == 2 and len(err.splitlines()) == 1 and err.startswith("launch.py: "), err
    assert str(tmp_path / "checkpoints") in err
