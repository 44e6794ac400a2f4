"""Titles and default workdirs come from the data, and a workdir remembers where its data were found."""

import pathlib

import launching
import numpy as np
import pytest
from ml_collections import ConfigDict

import launch
from vdm_jax.base.errors import UserError
from vdm_jax.experiments.common.build import find_data, load
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch import flags
from vdm_jax.launch.store import remembered_place


@pytest.mark.parametrize(
    ("file", "typed", "name"),
    [
        ("mnist", (), "mnist-mvdm-te"),
        ("mnist:svdm-se", ("data.name=fashion",), "fashion-svdm-se"),
        ("mnist", ("data.name=fashion", "name=mine"), "mine"),
        ("mnist", ("data.source=tfds", "data.name=emnist/balanced:3.0.0"), "emnist-balanced-3.0.0-mvdm-te"),
        ("mnist", ("data.source=folder", "data.dir=/somewhere/pets"), "pets-mvdm-te"),
        ("mnist", ("data.source=folder", "data.dir=/somewhere/pets", "data.name=cats"), "cats-mvdm-te"),
        ("digits", ("data.source=npz", "data.name=fashion"), "fashion-target"),
        ("collapse", ("data.name=fashion",), "fashion-collapse-14-target"),
        ("probes:images", ("data.name=fashion",), "fashion-probes-images"),
        ("exact:mnist-cosine", ("data.name=fashion",), "exact-fashion-cosine"),
    ],
)
def test_a_run_is_named_after_its_data(file, typed, name):
    words = [f"--config=configs/{file.partition(':')[0]}.py{''.join(file.partition(':')[1:])}"]
    found = flags.parse(["launch.py", *words, *(f"--config.{setting}" for setting in typed)], KINDS)
    assert found.config.name == name and found.workdir == pathlib.Path("results/runs") / name


def test_a_sweep_is_named_after_its_data():
    words = ["launch.py", "--config=configs/mnist.py", "--sweep", "--config.data.name=fashion"]
    assert flags.parse(words, KINDS).workdir == pathlib.Path("results/runs/fashion-sweep")


def images(path: pathlib.Path) -> str:
    random = np.random.default_rng(0)
    splits = {"train": 40, "test": 12}
    arrays = {f"x_{name}": random.integers(0, 2, (n, 4, 4)).astype(bool) for name, n in splits.items()}
    path.mkdir(exist_ok=True)
    np.savez(path / "mine.npz", **arrays, **{f"y_{name}": np.arange(n) % 2 for name, n in splits.items()})
    return str(path)


def test_data_that_came_by_the_variable_are_found_without_it(tmp_path, monkeypatch, capsys):
    typed = {"data.source": "npz", "data.name": "mine", "exact.num_timesteps": 2, "exact.max_queries": 20}
    typed |= {"exact.batch_size": 10, "diffusion.num_steps": 4}
    config = ["launch.py", f"--config={launching.ROOT}/configs/exact.py", f"--workdir={tmp_path / 'run'}"]
    config += [f"--config.{name}={value}" for name, value in typed.items()]
    monkeypatch.setenv("VDM_DATA_DIR", images(tmp_path / "here"))
    assert launch.main(config) == 0
    assert "data: mine (npz): 36 train, 4 validation, 12 test images of 4 x 4 x 1, 2 levels" in capsys.readouterr().out
    assert remembered_place(tmp_path / "run") == str(tmp_path / "here")
    records = [path.read_text() for path in (tmp_path / "run").rglob("*.json*") if path.is_file()]
    assert records and not any(str(tmp_path / "here") in text for text in records), "no record has the path"
    again = ["launch.py", f"--workdir={tmp_path / 'run'}", "--jobs=exact"]
    monkeypatch.delenv("VDM_DATA_DIR")
    assert launch.main(again) == 0
    monkeypatch.setenv("VDM_DATA_DIR", str(tmp_path))  # which does not have the file
    assert launch.main(again) == 0
    monkeypatch.delenv("VDM_DATA_DIR")
    (tmp_path / "here").rename(tmp_path / "there")
    capsys.readouterr()
    assert launch.main(again) == 2
    told = capsys.readouterr().err
    assert f"were found in '{tmp_path / 'here'}': --config.data.dir=FOLDER names their new place" in told
    assert launch.main([*again, f"--config.data.dir={tmp_path / 'there'}"]) == 0


def test_data_are_where_they_were_unless_the_config_or_the_variable_names_another_place(tmp_path, monkeypatch):
    monkeypatch.delenv("VDM_DATA_DIR", raising=False)
    here, there = images(tmp_path / "here"), images(tmp_path / "there")
    config = ConfigDict(dict(data=dict(source="npz", name="mine", dir="")))
    assert find_data(config, here) == here and load(config.data, here).name == "mine"
    assert find_data(config, "") == ""
    with pytest.raises(UserError, match="no data folder: set VDM_DATA_DIR"):
        load(config.data, "")
    monkeypatch.setenv("VDM_DATA_DIR", there)
    assert find_data(config, here) == there
    config.data.dir = here
    assert find_data(config, there) == "" and load(config.data, there).name == "mine"
