"""Exact curves of labelled images: known ends, a report, a second run, other data, and mistakes."""

import json

import numpy as np
import pytest
from launching import ROOT

import launch
from vdm_jax.data.sources import load_data
from vdm_jax.diffusion.schedules import ddpm_linear, dirac
from vdm_jax.experiments.common.exact import speciation
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch.kind import jobs_of

FEW = ["--config.exact.num_timesteps=5", "--config.exact.max_queries=400", "--config.exact.batch_size=20"]


def launched(workdir, *arguments, config="configs/exact.py") -> int:
    return launch.main(["launch.py", f"--config={ROOT}/{config}", f"--workdir={workdir}", *FEW, *arguments])


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("exact_images")
    assert launched(path) == 0
    return path


def test_nothing_is_lost_at_first_and_all_at_last(workdir):
    record = json.loads((workdir / "exact.json").read_text())
    curves, labels = record["features"]["class"]["exact"], load_data("digits").train.labels
    assert record["timesteps"] == [0, 250, 500, 750, 1000] and curves["accuracy"][0] == 1
    assert np.all(np.diff(curves["information_nats"]) < 0.02)
    assert abs(curves["accuracy"][-1] - np.bincount(labels).max() / len(labels)) < 0.02
    assert 0.8 < curves["accuracy"][1] < 1 and max(curves["accuracy_standard_error"]) < 0.03
    assert 200 < record["speciation"]["timestep"] < 400 and record["provenance"]["commit"]
    page = (workdir / "report" / "index.html").read_text()
    assert page.count("<img") == 2 and "--jobs=" not in page


def test_a_second_run_measures_nothing_anew(workdir, capfd):
    before = (workdir / "exact.jsonl").read_bytes()
    assert launched(workdir, "--jobs=exact") == 0
    assert (workdir / "exact.jsonl").read_bytes() == before


def test_other_images_of_the_same_name_are_refused(workdir, capfd):
    claim = workdir / "claims" / "exact.json"
    stored = claim.read_text()
    claim.write_text(json.dumps(json.loads(stored) | {"inputs": {"data": "digits 0123456789ab"}}))
    assert launched(workdir, "--jobs=exact") == 2
    assert "holds results of data digits 0123456789ab, but the data now are" in capfd.readouterr().err
    claim.write_text(stored)


def test_mistakes_are_told_and_leave_nothing(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "plain.npz", **{name: np.zeros((30, 4, 4), np.uint8) for name in ("x_train", "x_test")})
    np.savez(
        tmp_path / "cats.npz",
        **{name: np.zeros((30, 4, 4), np.uint8) for name in ("x_train", "x_test")},
        **{name: np.ones(30, int) for name in ("y_train", "y_test")},
    )
    of_file = ["--config.data.source=npz", "--config.data.name=plain", f"--config.data.dir={tmp_path}"]
    of_cats = [of_file[0], "--config.data.name=cats", of_file[2]]
    for arguments, told in (
        (["--config.exact.batch_size=3"], "expected an even number"),
        (["--config.diffusion.schedule=monotone"], "did you mean"),
        (["--jobs=probe"], f"expected one of {sorted(jobs_of(KINDS['exact']))}"),
        (of_file, "has no labels"),
        (of_cats, "have one class: there is nothing to classify"),
    ):
        assert launched(tmp_path / "run", *arguments) == 2
        error = capfd.readouterr().err
        assert told in error and error.count("\n") == 1 and not (tmp_path / "run").exists(), error


def test_a_sweep_knows_what_is_done(workdir, tmp_path, capfd):
    (tmp_path / "digits-linear").symlink_to(workdir)
    assert launched(tmp_path, "--sweep=digits-[lc]*", "--dry_run", "--jobs=exact") == 0
    linear, cosine = capfd.readouterr().out.splitlines()
    assert linear.endswith("# done") and cosine.endswith("# exact")


def test_speciation_is_none_where_the_schedule_does_not_come_so_low():
    rows = np.random.default_rng(0).normal(0, 1e-3, (50, 4)).astype(np.float32)
    assert speciation(np.cov(rows.T), ddpm_linear())["timestep"] is None
    wide = 2 * rows / rows.std()
    found = speciation(np.cov(wide.T), dirac())
    assert 500 <= found["timestep"] <= 540 and 0.1 < found["abar"] < 0.3
