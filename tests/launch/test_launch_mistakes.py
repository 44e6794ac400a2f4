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
from ml_collections import ConfigDict
from vdm_jax.configs import base, ddpm, digits, exact, probes

import launch
import vdm_jax
from vdm_jax.base.errors import UserError
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch.dry_run import describe_run
from vdm_jax.launch.kind import jobs_of
from vdm_jax.launch.run import run
from vdm_jax.train import reading
from vdm_jax.train.checkpoint import saved_checkpoints
from vdm_jax.train.metrics import read_metrics


def refused(capfd, *arguments) -> str:
    """The only line on stderr, besides those on what is compiled, of a launch that exits with 2."""
    capfd.readouterr()
    assert launch.main(["launch.py", *map(str, arguments)]) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("compil")]
    assert len(lines) == 1 and lines[0].startswith("launch.py: "), lines
    return lines[0]


def test_mistakes_on_the_command_line(capfd, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    assert "num_steps" in refused(capfd, workdir, "--config.train.nmu_steps=3")
    assert "did you mean 'target'?" in refused(capfd, workdir, f"--config={launching.ROOT}/configs/digits.py:taregt")
    assert "did you mean 'evaluate'?" in refused(capfd, workdir, "--jobs=evalaute")
    assert "'nowhere.py' not found" in refused(capfd, workdir, "--config=nowhere.py")
    assert "did you mean 'te'?" in refused(capfd, workdir, "--config.model.encoder=tee")
    rising = (f"--config={launching.ROOT}/configs/score.py:digits", "--config.noise.sigmas=1,10")
    assert "expected positive numbers, each below the one before" in refused(capfd, workdir, *rising)
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


def test_a_damaged_checkpoint_is_passed_over_or_another_one_offered(capfd, whole, tmp_path, monkeypatch):
    """A training goes on from the one before; what only reads names the setting that chooses it."""
    monkeypatch.setattr(reading, "READ_ATTEMPTS", 1)
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    before = NUM_STEPS - 10
    manifest = tmp_path / "checkpoints" / str(NUM_STEPS) / "ema_params" / "manifest.ocdbt"
    os.truncate(manifest, manifest.stat().st_size // 2)
    told = f"checkpoint {NUM_STEPS} in {tmp_path / 'checkpoints'} is damaged ("
    for job in ("evaluate", "sample"):
        sentence = refused(capfd, *arguments(tmp_path, jobs=job, evaluate__checkpoint="latest"))
        assert told in sentence
        assert f"step {before} is whole: choose it with --config.evaluate.checkpoint={before}" in sentence
    with pytest.raises(UserError, match=f"step {before} is whole.*in Python checkpoint="):
        vdm_jax.load(tmp_path, checkpoint="latest")
    assert launch.main(["launch.py", *arguments(tmp_path, jobs="train")]) == 0
    out = capfd.readouterr().out
    assert f"train: checkpoint {NUM_STEPS} is damaged (" in out and f"train: goes on from step {before}" in out
    steps = [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl") if row["split"] == "train"]
    assert steps == list(range(1, NUM_STEPS + 1))
    assert (tmp_path / "checkpoints-damaged" / str(NUM_STEPS)).is_dir()
    assert saved_checkpoints(tmp_path / "checkpoints")[-1].step == NUM_STEPS


@pytest.mark.parametrize("name", ["config.json", "claims/train.json"])
def test_a_damaged_file_of_settings_is_named(capfd, whole, tmp_path, name):
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("samples", "report"))
    os.truncate(tmp_path / name, 20)
    sentence = refused(capfd, f"--workdir={tmp_path}", "--jobs=evaluate")
    assert f"{tmp_path / name} cannot be read" in sentence and "bring back a copy" in sentence


def test_a_damaged_record_is_made_again(capfd, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("samples", "report"))
    os.truncate(tmp_path / "evaluate.json", 20)
    assert launch.main(["launch.py", *arguments(tmp_path, jobs="train,evaluate"), "--dry_run"]) == 0
    assert capfd.readouterr().out.splitlines()[-3:-1] == ["job train: done", "job evaluate: to do"]


@pytest.mark.parametrize(
    ("config", "setting", "value", "told"),
    [
        (digits, "train.num_steps", None, "config.train.num_steps=None; expected a value like 100000"),
        (digits, "sample.sampler", None, "config.sample.sampler=None; expected a value like 'ancestral'"),
        (ddpm, "model.multipliers", 8, "config.model.multipliers=8; expected values with commas, such as 8,16"),
        (ddpm, "model.attention", 8, "config.model.attention=8; expected values with commas, such as 8,16"),
        (ddpm, "train.batch_size", "8", "config.train.batch_size='8'; expected a value like "),
        (probes, "probe.hidden", None, "config.probe.hidden=None; expected values with commas, such as 8,16"),
        (probes, "chains.samplers", ("exact",), "config.chains.samplers=('exact',); expected a value like "),
    ],
)
def test_a_setting_of_another_type_from_python(tmp_path, config, setting, value, told):
    """A config made in Python holds anything; the command line refuses these before."""
    settings = ConfigDict(config.get_config().to_dict(), type_safe=False)
    settings.update_from_flattened_dict({setting: value})
    for start in (run, lambda *given: list(describe_run(*given))):
        with pytest.raises(UserError) as caught:
            start(KINDS, settings, tmp_path / "run", ["train"])
        assert told in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("folder", ["/proc/x", "/dev/null/x", "/sys/x", f"/tmp/{'x' * 300}"])
def test_a_folder_that_no_file_system_takes(capfd, folder):
    sentence = refused(capfd, f"--workdir={folder}", "--jobs=train")
    assert "--workdir" in sentence and folder[:6] in sentence


def test_an_unreadable_checkpoint_in_a_process_of_its_own(start, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "checkpoints").rglob("*"):
        if path.is_file() and path.stat().st_size:
            os.truncate(path, path.stat().st_size // 2)
    code, _, err = start(*arguments(tmp_path, jobs="sample")).finish()
    assert code == 2 and len(err.splitlines()) == 1 and err.startswith("launch.py: "), err
    assert str(tmp_path / "checkpoints") in err
