"""`train.writers` from the command line to the files, and what it leaves as it is."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from launching import arguments

import launch
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch import store
from vdm_jax.launch.config_files import load_config
from vdm_jax.train import writers


def test_a_missing_package_costs_no_training(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(writers.importlib.util, "find_spec", lambda _: None)
    flags = arguments(tmp_path / "run", train__writers="wandb")
    assert launch.main(["launch.py", *flags]) == 2 and not (tmp_path / "run").exists()
    told = capfd.readouterr().err
    assert "vdm-jax[wandb]" in told and told.count("\n") == 1


@pytest.mark.parametrize("kind", ["vae_vdm", "ddpm"])
def test_another_writer_is_no_other_run(kind):
    plain, other = (load_config({"vae_vdm": "configs/digits.py", "ddpm": "configs/ddpm.py"}[kind]) for _ in range(2))
    with other.unlocked():
        other.train.writers = "tensorboard,wandb"
    owners = {store.owner(KINDS[kind], "train", config, {"data": "0123"}) for config in (plain, other)}
    assert len(owners) == 1
    assert all("train.writers" in job.ignores for job in KINDS[kind].jobs.values() if "train" in job.reads)


def test_pictures_of_samples_reach_the_writers(tmp_path, monkeypatch, capsys):
    shown = {}

    class Fake:
        def __init__(self, workdir):
            assert workdir == tmp_path

        def pictures(self, step, pictures):
            shown[step] = pictures

        def close(self, failed):
            assert not failed

    (tmp_path / "samples").mkdir()
    levels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    plt.imsave(tmp_path / "samples" / "prior.png", levels, cmap="gray", vmin=0, vmax=255)
    monkeypatch.setitem(writers.WRITERS, "fake", (Fake, "no_such_package", "fake"))
    writers.show_pictures("fake", tmp_path, tmp_path / "samples", 40)
    assert shown == {} and "vdm-jax[fake]" in capsys.readouterr().out
    monkeypatch.setitem(writers.WRITERS, "fake", (Fake, "json", "fake"))
    writers.show_pictures("fake", tmp_path, tmp_path / "samples", 40)
    assert list(shown) == [40] and list(shown[40]) == ["prior"]
    np.testing.assert_array_equal(shown[40]["prior"], np.repeat(levels[..., None], 3, axis=2))
