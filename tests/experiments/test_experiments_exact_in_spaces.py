"""Exact curves in the space of an autoencoder, end to end: records, scales, a space that is trained first, mistakes."""

import json
import shutil
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from launching import ROOT
from vdm_jax.configs import exact as configs

import launch
from vdm_jax.data.pixels import pixels_of
from vdm_jax.data.sources import load_data
from vdm_jax.experiments.common.space.encoded import encode_now, encoded_space
from vdm_jax.experiments.exact import build as build_module
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch.kind import NO_OPTIONS

DATA = load_data("digits")
FEW = {"data.name": "sparse", "exact.num_timesteps": 4, "exact.max_queries": 100, "exact.batch_size": 50}


def typed(settings):
    return [f"--config.{name}={value}" for name, value in settings.items()]


def launched(workdir, settings, jobs="exact") -> int:
    flags = [f"--config={ROOT}/configs/probes.py", f"--workdir={workdir}", f"--jobs={jobs}"]
    return launch.main(["launch.py", *flags, *typed(FEW | settings)])


@pytest.mark.slow
def test_the_record_names_the_space_and_a_folder_holds_one(space, tmp_path, capsys):
    of_space = {"space.workdir": str(space)}
    assert launched(tmp_path / "run", of_space, "exact,report") == 0
    record = json.loads((tmp_path / "run" / "exact.json").read_text())
    weights = json.loads((space / "encoded" / "about.json").read_text())["fingerprint"]
    about = record["space"]
    assert about["fingerprint"] == weights and record["provenance"]["data"].endswith(f" {weights}")
    assert about["shape"] == [3] and about["factor"] == 1 and not about["deterministic"] and about["sampled"]
    mean, variance = (np.load(space / "encoded" / f"all_{name}.npy") for name in ("mean", "variance"))
    assert about["variance"] == pytest.approx(mean.var(0).mean() + variance.mean(), rel=1e-4)
    assert set(record["features"]) == {"shape", "orientation", "scale", "x", "y"}
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "noisy drawn latents in the space space (3, scale none)" in page
    shutil.copytree(space, tmp_path / "moved")
    batches = (tmp_path / "run" / "exact.jsonl").read_bytes()
    assert launched(tmp_path / "run", {"space.workdir": str(tmp_path / "moved")}) == 0
    assert (tmp_path / "run" / "exact.jsonl").read_bytes() == batches, "a space is known by its weights"
    capsys.readouterr()
    for other in ({"space.scale": "global"}, {"space.sampled": False}):
        assert launched(tmp_path / "run", of_space | other) == 2
        assert next(iter(other)).removeprefix("space.") in capsys.readouterr().err


@pytest.mark.slow
def test_folders_without_the_encodings_of_these_data(space, tmp_path, capsys):
    def refused(settings, *words):
        assert launched(tmp_path / "run", settings) == 2
        told = capsys.readouterr().err
        assert all(word in told for word in words), told

    refused({"space.workdir": str(space), "data.name": "small"}, "is of other data", "'sprites small'")
    copy = tmp_path / "copy"
    shutil.copytree(space, copy)
    there = json.loads((copy / "encoded" / "about.json").read_text())
    (copy / "encoded" / "about.json").write_text(json.dumps(there | {"fingerprint": "0" * 12}))
    refused({"space.workdir": str(copy)}, "encoded with other weights", "--jobs=encode")
    shutil.rmtree(copy / "encoded")
    refused({"space.workdir": str(copy)}, "has no encoded images", "--jobs=encode")
    config = json.loads((copy / "config.json").read_text())
    config["ensemble"]["seeds"] = "0,1"
    (copy / "config.json").write_text(json.dumps(config))
    refused({"space.workdir": str(copy)}, "an ensemble of autoencoders", "members/NAME")
    refused({"space.workdir": str(tmp_path)}, "there is no config.json")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"space.scale": "globl", "space.train": "quick"}, "did you mean 'global'?"),
        ({"space.scale": "global"}, "it is read with space.workdir"),
        ({"space.train": "quik"}, "METHOD='quik'"),
        ({"space.train": "cvae-4"}, "is conditional"),
        ({"space.train": "quick", "space.workdir": "DIR"}, "space.train='quick' has no effect"),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_settings_that_name_no_space(settings, words, tmp_path, capsys):
    assert launched(tmp_path / "run", settings) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_a_space_that_is_trained_first_is_of_the_same_data():
    config = configs.get_config("digits-linear")
    config.space.train = "conv"
    (need,) = KINDS["exact"].needs(config).values()
    assert need.config == "configs/autoencoder.py:conv" and need.setting == "space.workdir"
    assert need.overrides["data.name"] == "digits" and need.jobs == ("train", "encode")
    config.space.workdir = "there"
    assert not KINDS["exact"].needs(config) and not KINDS["exact"].needs(configs.get_config())


def rotated(scale, factor=1.0):
    """Pixels of digits under an orthogonal map, times `factor`, as a space."""
    pixels = pixels_of(DATA)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(DATA.num_dims, DATA.num_dims)))[0].astype(np.float32)

    def moments(params, levels):
        return pixels.moments({}, levels)[0].reshape(len(levels), -1) @ params, None

    space = pixels._replace(
        name="rotated", fingerprint="q", shape=(DATA.num_dims,), params=jnp.asarray(factor * turn), moments=moments
    )
    return encoded_space(space, encode_now(space, DATA), DATA, scale)


def job(folder, monkeypatch, space):
    """exact.json of the kind exact on digits in a space; None: pixels."""
    monkeypatch.setattr(build_module, "open_space", lambda *_: space)
    config = configs.get_config("digits-linear")
    config.exact.update(num_timesteps=21, max_queries=600, tolerance=0.05)
    folder.mkdir()
    kind = KINDS["exact"]
    assert kind.jobs["exact"].run(kind.build(config), folder, NO_OPTIONS) == "done"
    return json.loads((folder / "exact.json").read_text())


@pytest.mark.slow
def test_rotated_pixels_have_the_curves_of_pixels_and_a_factor_moves_them_in_log_snr(tmp_path, monkeypatch):
    record = partial(job, monkeypatch=monkeypatch)
    pixels = record(tmp_path / "pixels", space=None)
    turned = record(tmp_path / "turned", space=rotated("none"))
    unit = record(tmp_path / "unit", space=(scaled := rotated("global", 3.0)))
    assert "space" not in pixels and turned["space"]["name"] == "rotated"
    here, there, moved = (one["features"]["class"]["exact"] for one in (pixels, turned, unit))
    for name in ("accuracy", "retention", "information_nats"):
        error = np.hypot(here[f"{name}_standard_error"], there[f"{name}_standard_error"])
        assert (np.abs(np.subtract(here[name], there[name])) < 5 * error + 1e-3).all(), name
    logsnr = np.log(pixels["abar"]) - np.log1p(-np.array(pixels["abar"]))
    shift = 2 * np.log(3 * float(scaled.factor))  # of the pixels themselves to variance 1
    assert abs(shift) > 0.5 and unit["speciation"]["abar"] != pixels["speciation"]["abar"]
    expected = np.interp(logsnr[1:-1] + shift, logsnr[::-1], there["accuracy"][::-1])
    np.testing.assert_allclose(moved["accuracy"][1:-1], expected, atol=0.03)
    assert np.abs(np.subtract(there["accuracy"], moved["accuracy"])).max() > 0.1, "the curves differ over timesteps"
