"""The kind "forward_process": known answers in its records, its page, and bad input before any work."""

import json
from dataclasses import replace

import numpy as np
import pytest
from jax.tree_util import Partial
from launching import ROOT
from PIL import Image
from reading import jobs_read_what_is_declared

import launch
from configs import forward_process
from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.diffusion.schedules import make_schedule, schedule_of_betas
from vdm_jax.experiments.common.trained_model import TrainedModel
from vdm_jax.experiments.forward_process import reconstruct
from vdm_jax.experiments.forward_process.build import tables_of
from vdm_jax.experiments.forward_process.noise import cell
from vdm_jax.experiments.forward_process.schedules import first_below, log_power, table_of
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch.jobs import check_ready
from vdm_jax.launch.run import run

SMALL = {
    "schedules.names": "ddpm_linear,dirac",
    "strips.num_times": 3,
    "strips.side": 16,
    "strips.crop": 16,
    "strips.full_size": True,
    "closeness.sizes": "4,12",
    "closeness.counts": "3,20",
    "closeness.num_timesteps": 5,
    "closeness.pixels": 30,
    "model.train": "",
}


def launched(workdir, *arguments) -> int:
    return launch.main(["launch.py", f"--config={ROOT}/configs/forward_process.py", f"--workdir={workdir}", *arguments])


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forward")
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    Image.fromarray(picture).save(folder / "picture.png")
    settings = [f"--config.{name}={value}" for name, value in SMALL.items()]
    with jobs_read_what_is_declared(folder / "run"):
        assert launched(folder / "run", f"--config.picture.image={folder / 'picture.png'}", *settings) == 0
    return folder / "run"


def test_strips_begin_with_the_picture_and_end_in_noise(workdir):
    record = json.loads((workdir / "strips.json").read_text())
    picture = np.asarray(Image.open(workdir.parent / "picture.png"))
    with np.load(workdir / "strips.npz") as strips:
        whole, middle = strips["ddpm_linear: whole"], strips["ddpm_linear: middle"]
    assert record["timesteps"] == [0, 500, 1000] and record["shape"] == [30, 40, 3]
    assert whole.shape == (3, 12, 16, 3) and middle.shape == (3, 16, 16, 3)
    np.testing.assert_array_equal(middle[0], picture[7:23, 12:28])
    full = np.asarray(Image.open(workdir / "strips" / "ddpm_linear_000500.png"))
    np.testing.assert_array_equal(full[7:23, 12:28], middle[1])
    assert 0.05 < np.corrcoef(middle[1].ravel(), middle[0].ravel())[0, 1] < 0.5
    assert len(list((workdir / "strips").glob("*.png"))) == 6


def test_copies_meet_their_expectations(workdir):
    record = json.loads((workdir / "closeness.json").read_text())
    cells = {(each["schedule"], each["size"], each["count"]): each for each in record["cells"]}
    assert len(cells) == 8
    own = cells["dirac", 12, 20]
    assert own["num_values"] == 432 and own["num_pixels"] == 30
    for part in ("images", "pixels", "signed"):
        np.testing.assert_allclose(own[part], own[f"expected_{part}"], rtol=0.2, atol=0.02)
    assert own["pixels"][0] == pytest.approx(1 / 30, rel=1e-3)
    assert own["signed"][0] == pytest.approx(own["variance"], rel=1e-4)  # t = 0 has a noise of 5e-5
    assert own["at_floor"]["pixels"] == 514  # 50 steps of beta = 0.2 from 501 on: 0.8^14 = 0.044 is the first below 5%
    assert 501 <= own["at_floor"]["images"] <= 550


def test_the_schedules_are_described(workdir):
    record = json.loads((workdir / "schedules.json").read_text())
    assert record["schedules"]["dirac"]["half"] in range(500, 511)
    assert record["schedules"]["ddpm_linear"]["abar_T"] == pytest.approx(4.036e-5, rel=1e-3)
    assert record["log_power"]["x"]["mean"] < 0 < record["log_power"]["x"]["deviation"]


def test_the_page_shows_all(workdir):
    page = (workdir / "report" / "index.html").read_text()
    for name in ("One picture under growing noise", "Tables of noise", "Closeness to noise"):
        assert f"<h2>{name}</h2>" in page
    assert "makes it" not in page


def test_a_table_has_the_betas_that_it_was_made_of():
    betas = np.array([0.1, 0.0, 0.3, 0.9])
    table = table_of(schedule_of_betas(betas))
    np.testing.assert_allclose(table.beta, betas, atol=1e-6)
    np.testing.assert_allclose(table.abar, np.cumprod(1 - betas), rtol=1e-5)
    np.testing.assert_allclose(table.logsnr, np.log(table.abar / (1 - table.abar)), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "half"),
    [("ddpm_linear", 260), ("cosine", 497)],
)
def test_half_of_the_signal_is_left_where_the_literature_says(name, half):
    assert first_below(table_of(make_schedule(name)).abar - 0.5) == half


def test_log_snr_of_images_is_that_of_their_mean_square():
    x = np.stack([np.full((2, 2, 1), 0.5), np.array([[[0.0], [2.0]], [[0.0], [2.0]]])])
    np.testing.assert_allclose(log_power(x), [np.log(0.25), np.log(2.0)])
    assert first_below(np.array([2.0, 0.0, -1.0])) == 3 and first_below(np.array([1.0])) is None


def test_the_floor_comes_later_for_larger_pictures():
    """The draft's finding: 50 copies of one image under the linear schedule."""
    gammas = np.array([0.0, 5.0])
    every = np.asarray(make_schedule("ddpm_linear").gamma(np.arange(1_001) / 1_000), np.float64)
    rng, times = np.random.default_rng(0), []
    for size in (8, 64):
        x = rng.uniform(-1, 1, size**2)
        noise = [rng.standard_normal((50, size**2))]
        times.append(cell(x, noise, gammas, np.maximum(every, -20), 100, 0.05)["at_floor"]["images"])
    assert times[0] + 50 < times[1] < 1_000


def test_continuous_schedules_become_tables():
    config = forward_process.get_config().schedules
    config.update({"names": "linear,cosine", "num_steps": 50})
    tables = tables_of(config)
    assert [table.num_steps for table in tables.values()] == [50, 50]
    assert float(tables["linear"].gamma(np.float32(1))) == pytest.approx(5.0)


def test_schedules_take_settings_of_their_own():
    """The draft's strip: 5,000 steps of beta from 0.001 to 0.02."""
    config = forward_process.get_config("draft").schedules
    table = table_of(tables_of(config)["ddpm_linear"])
    assert len(table.beta) == 5_000
    np.testing.assert_allclose(table.beta[[0, 2_499, 4_998]], [0.001, 0.0105, 0.02], rtol=2e-3)
    config.update({"names": "constant,cosine", "num_steps": 40, "beta": 0.1})
    own = tables_of(config)
    np.testing.assert_allclose(table_of(own["constant"]).beta, 0.1, rtol=1e-4)
    np.testing.assert_allclose(
        own["cosine"].gamma(np.float32(0.5)), make_schedule("cosine", num_steps=40).gamma(np.float32(0.5))
    )


BAD = [
    ("schedules.names=cosin", "did you mean 'cosine'"),
    ("schedules.names=,", "expected names with commas"),
    ("schedules.beta_1=2", "beta_1=2"),
    ("schedules.names=cosine --config.schedules.t1=0.5", "schedules.t1"),
    ("closeness.sizes=8,large", "expected whole numbers from 2 to 256, such as 8,16"),
    ("closeness.counts=1", "expected whole numbers from 2 to 1,000"),
    ("closeness.num_timesteps=2000", "there are 1001, 0 … 1000"),
    ("strips.num_times=1", "expected 2 to 64"),
    ("closeness.tolerance=0", "expected a number above 0"),
    (f"picture.image={ROOT}/pyproject.toml", "cannot be read as an image"),
    ("picture.image=/nowhere.png", "nowhere.png cannot be read as an image"),
    ("model.train=digit-linear", "did you mean 'digits-linear'"),
    ("model.train=digits-dirac", "set config.split.num_seeds=0"),
    ("model.workdir=/nowhere", "config.model.workdir=/nowhere: no trained model there"),
    ("split.boundaries=0.1,2", "expected shares of T between 0 and 1, such as 0.1,0.2"),
    ("split.sampler=euler", "split.sampler='euler'"),
]


@pytest.mark.parametrize(("setting", "told"), BAD, ids=[setting for setting, _ in BAD])
def test_bad_input_is_told_in_a_sentence(tmp_path, capsys, setting, told):
    assert launched(tmp_path / "run", *f"--config.{setting}".split()) == 2
    assert told in capsys.readouterr().err


def test_too_many_images_without_labels_are_told_before_a_model_is_trained(tmp_path, monkeypatch):
    """And jobs that take them are not refused."""
    levels = np.random.default_rng(0).integers(0, 256, (60, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "grey.npz", x_train=levels, x_test=levels[:20])
    config, kind = forward_process.get_config(), KINDS["forward_process"]
    config.update_from_flattened_dict({"data.source": "npz", "data.name": "grey", "data.dir": str(tmp_path)})
    check_ready(kind, config, ["reconstruct"])
    monkeypatch.setattr(reconstruct, "MOST_MEMBERS", 50)
    told = "'grey' has 54 training images without labels; the job reconstruct takes labelled images, or at most 50: "
    with pytest.raises(UserError, match=told):
        run(KINDS, config, tmp_path / "run", ["strips", "reconstruct"])
    assert not (tmp_path / "run").exists()
    check_ready(kind, config, ["strips", "split"])
    config.model.train = ""
    experiment, model = kind.build(config), TrainedModel(Partial(lambda z, t: z), (-1.0, 1.0), {})
    kind.jobs["reconstruct"].check(experiment, tmp_path)  # without a model there is nothing to do
    with pytest.raises(UserError, match=told):
        kind.jobs["reconstruct"].check(replace(experiment, model=model), tmp_path)


def test_recovery_by_another_model_than_is_named_remains_to_be_done(tmp_path):
    config, settings = forward_process.get_config(), {"data": {"name": "digits"}, "model": {}, "diffusion": {}}
    for step in (10, 20):
        (tmp_path / f"{step}" / "checkpoints" / f"{step}").mkdir(parents=True)
        write_json(tmp_path / f"{step}" / "config.json", settings)
    write_json(tmp_path / "reconstruct.json", {"settings": {}, "model": settings | {"step": 10}})
    config.model.checkpoint = "latest"
    for folder, done in ((tmp_path / "10", True), (tmp_path / "20", False), (tmp_path, False), ("", True)):
        config.model.workdir = str(folder)
        assert KINDS["forward_process"].jobs["reconstruct"].is_done(config, tmp_path) == done
