"""DDPM in pixels end to end on sprites: train, evaluate, sample, report; a kill; one image; mistakes."""

import dataclasses
import json
import math
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from launching import ROOT
from reading import jobs_read_what_is_declared

import launch
from configs import ddpm as configs
from configs import probes as probe_configs
from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.gaussian import eps_of_x
from vdm_jax.diffusion.likelihood import LevelLikelihood
from vdm_jax.diffusion.schedules import ddpm_linear, dirac
from vdm_jax.evals.coverage import read_exactly
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.trained_model import is_about_model, stated_settings
from vdm_jax.experiments.ddpm.build import build_ddpm
from vdm_jax.experiments.probes.build import build_probes
from vdm_jax.models.diffusion import DiffusionModel, DiffusionObjective
from vdm_jax.networks.network import Network
from vdm_jax.train.metrics import read_metrics

TINY = {
    "model.channels": 4,
    "model.multipliers": "(1,1)",
    "model.attention": "()",
    "train.num_steps": 6,
    "train.batch_size": 4,
    "train.log_every": 1,
    "train.eval_every": 2,
    "train.checkpoint_every": 2,
    "train.eval_images": 4,
    "train.eval_passes": 1,
    "evaluate.num_images": 10,
    "evaluate.passes": 1,
    "evaluate.coverage_images": 6,
    "evaluate.reader_images": 64,
    "evaluate.reader_steps": 2,
    "sample.num_steps": 4,
    "sample.num_images": 4,
    "sample.num_paths": 2,
}


def launched(workdir, *arguments, variant="small-linear", **deltas) -> int:
    settings = TINY | {name.replace("__", "."): value for name, value in deltas.items()}
    flags = [f"--config.{name}={value}" for name, value in settings.items()]
    return launch.main(
        ["launch.py", f"--config={ROOT}/configs/ddpm.py:{variant}", f"--workdir={workdir}", *flags, *arguments]
    )


def rows(workdir):
    timed = ("seconds", "images_per_second")
    return [{k: v for k, v in row.items() if k not in timed} for row in read_metrics(workdir / "metrics.jsonl")]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("ddpm") / "run"
    with jobs_read_what_is_declared(path):
        assert launched(path) == 0
    return path


def test_all_jobs_leave_what_they_promise(workdir):
    record = json.loads((workdir / "evaluate.json").read_text())
    assert record["checkpoint_step"] in (2, 4, 6) and record["settings"]["kind"] == "ddpm"
    assert 0 < record["loss"] < 3 and record["loss_standard_error"] > 0 and record["num_images"] == 10
    terms = sum(record[f"{name}_nats"] for name in ("reconstruction", "prior", "diffusion"))
    assert record["bound_nats"] == pytest.approx(terms, rel=1e-5)
    assert record["bpd"] == pytest.approx(record["bound_nats"] / 1024 / math.log(2), rel=1e-5)
    coverage = record["coverage"]
    assert coverage["num_images"] == 6 and set(coverage["readers"]) == {"exact", "net"}
    assert coverage["readers"]["exact"]["histograms"]["kind and place"]["num_modes"] == 36 * 16
    assert set(coverage["net_errors"]) == {"shape", "scale", "orientation", "x", "y"}
    with np.load(workdir / "samples" / "path.npz") as file:
        assert file["path"].shape == (2, 5, 32, 32, 1) and file["times"].tolist() == sorted(file["times"])[::-1]
    page = (workdir / "report" / "index.html").read_text()
    assert "are not a sprite" in page and "From noise to image" in page and "--jobs=" not in page, "nothing is missing"


def test_a_run_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(workdir, tmp_path):
    """From step 2, with rows that this checkpoint has not seen."""
    again = shutil.copytree(workdir, tmp_path / "again")
    for step in (4, 6):
        shutil.rmtree(again / "checkpoints" / str(step))
    assert launched(again, "--jobs=train") == 0
    assert rows(again) == rows(workdir)


def test_probes_take_the_averaged_weights_of_a_trained_model(workdir):
    probes = probe_configs.get_config()
    probes.chains.update({"model": str(workdir), "samplers": "model-ancestral:3", "checkpoint": "latest"})
    trained = build_probes(probes).model
    at_step = [
        row for row in read_metrics(workdir / "metrics.jsonl") if row["split"] == "validation" and row["step"] == 6
    ]
    assert trained.about["validation"]["loss"] == at_step[-1]["loss"] and "seconds" not in trained.about["validation"]
    assert trained.about["step"] == 6 and trained.about["weights"] == "ema" and trained.x_range == (-1, 1)
    config = configs.get_config()
    config.update_from_flattened_dict(
        {"model.channels": 4, "model.multipliers": (1, 1), "model.attention": (), "evaluate.checkpoint": "latest"}
    )
    model = build_ddpm(config).model
    params = load_weights(workdir, model, config).params
    z, t = jax.random.normal(jax.random.key(0), (2, 32, 32, 1)), jnp.array([0.2, 0.7])
    for ours, theirs in zip(trained.denoise(z, t), model.denoise(params)(z, t), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"diffusion.schedule": "cosine"}, "diffusion.schedule is 'ddpm_linear' there and 'cosine' here"),
        ({"diffusion.num_steps": 500}, "diffusion.num_steps is 1000 there and 500 here"),
        ({"diffusion.beta_T": 0.03}, "diffusion.beta_T"),
        ({"data.name": "distinct"}, "data.name is 'small' there and 'distinct' here"),
        ({"chains.checkpoint": "77"}, "77"),
        ({"chains.model": "nowhere"}, "config.chains.model=nowhere: no trained model there"),
    ],
)
def test_a_model_of_other_data_or_noise_is_refused(workdir, changes, told):
    probes = probe_configs.get_config()
    probes.update_from_flattened_dict({"chains.model": str(workdir), "chains.samplers": "model-ddim:3"} | changes)
    with pytest.raises(UserError, match=told) as caught:
        build_probes(probes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "data", "told"),
    [
        ({"kind": "probes"}, "{}", r"is of kind 'probes'; in pixels expected one of .*'ddpm'"),
        ({"data": None}, "{}", "its config.json has no data"),
        ({}, "{}", "was trained on other data of the name 'small'"),
        ({}, "{", "no trained model there, data.json cannot be read"),
    ],
)
def test_a_folder_that_holds_no_such_model_is_refused(workdir, tmp_path, config, data, told):
    stored = json.loads((workdir / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(stored | config))
    (tmp_path / "data.json").write_text(data)
    probes = probe_configs.get_config()
    probes.chains.update({"model": str(tmp_path), "samplers": "model-ddim:3"})
    with pytest.raises(UserError, match=told):
        build_probes(probes)


def test_log_odds_are_for_pixels_of_two_values():
    config = configs.get_config("digits-linear")
    config.diffusion.target = "log_odds"
    with pytest.raises(UserError, match="target='log_odds' is for pixels of -1 and 1"):
        build_ddpm(config)


def test_a_workdir_of_another_kind_is_left_alone(workdir, capfd):
    before = (workdir / "config.json").read_bytes()
    flags = [f"--config={ROOT}/configs/digits.py", f"--workdir={workdir}", "--jobs=train"]
    assert launch.main(["launch.py", *flags]) == 2
    assert "kind is 'ddpm' there and 'vae_vdm' here" in capfd.readouterr().err
    assert (workdir / "config.json").read_bytes() == before


def one_image_model(schedule, image, guess=None):
    """A DDPM whose network is the exact denoiser of data that are one image, or predicts `guess`."""

    def apply(params, z, t, w=None, *, key=None):
        x = jnp.broadcast_to(image, z.shape)
        return eps_of_x(x, z, schedule.gamma(t)) if guess is None else guess * z

    net = Network(init=lambda key: {"none": jnp.zeros(())}, apply=apply)
    return DiffusionModel(
        network=net,
        noise=schedule,
        prediction="eps",
        objective=DiffusionObjective(loss="mean_square", weighting="simple"),
        code=None,
        shape=(4, 4, 1),
        likelihood=LevelLikelihood(np.array([-1, 1], np.float32)),
        x_range=(-1.0, 1.0),
    )


@pytest.mark.slow
def test_one_image_costs_nothing(key):
    levels = jnp.asarray(np.random.default_rng(0).integers(0, 2, (1, 4, 4, 1)), jnp.uint8)
    image = 2.0 * levels - 1
    batch, t = {"levels": levels.repeat(8, axis=0)}, jnp.arange(8) / 8
    keys = jax.random.split(jax.random.key(1), 8)
    terms = one_image_model(ddpm_linear(), image).terms({"unet": {}}, keys, t, batch)
    np.testing.assert_allclose(terms["loss"], 0, atol=1e-5)
    np.testing.assert_allclose(terms["diffusion"], 0, atol=0.02)
    np.testing.assert_allclose(terms["bound"], terms["prior"], atol=0.02)  # ln 1 image, and what of it is in z_1
    loss, metrics = one_image_model(ddpm_linear(), image).loss_fn({"unet": {}}, {}, batch, key, 0)
    np.testing.assert_allclose(loss, 0, atol=1e-5)
    assert metrics == {}
    nothing = one_image_model(ddpm_linear(), image, guess=0.0).terms({"unet": {}}, keys, t, batch)
    assert float(nothing["loss"].mean()) == pytest.approx(1, abs=0.4)
    assert set(one_image_model(dirac(), image, guess=0.0).terms({"unet": {}}, keys, t, batch)) == {"loss"}


def test_what_is_no_sprite_is_told_by_its_distance():
    data = build_ddpm(configs.get_config()).data
    levels = np.array(data.levels_of(jnp.array([5, 4000, 9000])))
    levels[1, 0, 0] ^= 1  # a pixel off
    levels[2] = 0  # blank: all of its nearest sprite is missing
    labels, distance, area = read_exactly(data, levels)
    assert distance[0] == 0 and distance[1] == 1 and distance[2] == area[2] > 0
    wanted = data.grid.factors(np.array([5, 4000]))
    assert all(np.array_equal(labels[name][:2], wanted[name]) for name in wanted)


@pytest.mark.slow
@pytest.mark.parametrize("variant", [v for v in configs.VARIANTS if not v.startswith("full")] + ["full-linear"])
def test_every_variant_is_built(variant):
    experiment = build_ddpm(configs.get_config(variant))
    assert experiment.model.objective == DiffusionObjective("mean_square", "simple")
    assert experiment.model.noise.num_steps == 1000 and experiment.model.shape == experiment.data.shape


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--config.data.name=smal", "did you mean 'small'?"),
        ("--config.data.downsample=2", "config.data.downsample=2 has no effect with data.source='sprites'"),
        ("--config.data.source=sprite", "did you mean 'sprites'?"),
        ("--config.diffusion.schedule=linear", "schedule='linear'"),
        ("--config.diffusion.weighting=simpel", "did you mean 'simple'?"),
        ("--config.model.size=smal", "did you mean 'small'?"),
        (
            "--config.model.attention=(8,32)",
            "model.attention has 32; expected sides of the U-Net's levels, which are [16",
        ),
        ("--config.sample.num_steps=1001", "at most 1000"),
        (
            "--config.evaluate.sprite_tolerance=0.0",
            "config.evaluate.sprite_tolerance=0.0; expected above 0 and below 1",
        ),
        ("--config.train.batch_size=8000", "there are 7372 training images"),
    ],
)
def test_mistakes_are_told_and_leave_nothing(tmp_path, capfd, flag, told):
    assert launched(tmp_path / "run", flag) == 2
    assert told in capfd.readouterr().err and not (tmp_path / "run").exists()


def test_images_that_cannot_be_halved_so_often():
    config = configs.get_config()
    config.model.multipliers = (1,) * 7
    with pytest.raises(UserError, match="images of 32x32 in 2x2 patches cannot be halved 6 times"):
        build_ddpm(config)


def test_no_bound_no_bound_weighting():
    config = configs.get_config("small-dirac")
    config.diffusion.weighting = "bound"
    with pytest.raises(UserError, match="no bound is defined for the Dirac schedule"):
        build_ddpm(config)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["eps", "x", "v", "log_odds"])
def test_a_dirac_schedule_is_trained_where_it_adds_noise(key, target):
    """At other entries the network is asked as at the first of as much noise; where there is none z is x."""
    schedule = dirac(num_steps=100, t1=0.5, t2=0.6, total=5.0)
    asked = []

    def apply(params, z, t, w=None, *, key=None):
        asked.append(np.asarray(t))
        return jnp.ones_like(z)

    model = one_image_model(schedule, jnp.zeros(1), guess=0.0)
    levels = jnp.zeros((40, 4, 4, 1), jnp.uint8)
    t, keys = (jnp.arange(40) + 0.5) / 40, jax.random.split(key, 40)
    nothing = model.terms({"unet": {}}, keys, t, {"levels": levels})["loss"]
    assert float(nothing.mean()) == pytest.approx(1, abs=0.2)
    assert float(nothing.min()) > 0
    model = dataclasses.replace(model, network=Network(init=None, apply=apply), prediction=target)
    np.testing.assert_allclose(
        np.unique(model.in_chain((jnp.arange(40) + 0.5) / 40)) * 100, np.arange(51, 61), rtol=1e-5
    )
    t = jnp.array([0.01, 0.5, 0.51, 0.55, 0.6, 0.61, 1.0])
    z = jax.random.normal(jax.random.key(1), (7, 4, 4, 1))
    x, eps = model.denoise({"unet": {}})(z, t)
    np.testing.assert_allclose(asked[0][2:] * 100, [51, 55, 60, 60, 60], atol=1e-4)
    assert np.all(np.isfinite(eps)) and not np.any(eps[:2]) and np.all(eps[2:] != 0)
    assert np.all(np.isfinite(x)) and (target not in ("eps", "v") or np.array_equal(x[:2], z[:2]))
    slope = jax.grad(lambda z: sum(part.sum() for part in model.denoise({"unet": {}})(z, t)))(jnp.ones((7, 4, 4, 1)))
    assert np.all(np.isfinite(slope))


def test_too_few_images_to_evaluate_are_refused_before_training(tmp_path):
    images = np.zeros((60, 8, 8), np.uint8)
    np.savez(tmp_path / "mine.npz", x_train=images, x_test=images[:1])
    config = configs.get_config("digits-linear")
    config.data.update({"source": "npz", "name": "mine", "dir": str(tmp_path)})
    with pytest.raises(UserError, match="'mine' have 1 test images; expected at least 10"):
        build_ddpm(config)


def test_a_sweep_ends_with_losses_and_modes_in_one_table(workdir, tmp_path, capfd):
    (tmp_path / "own.py").write_text(
        "from configs.ddpm import get_config\n\n\n"
        "def get_sweep():\n    return [{'variant': 'small-linear', 'train.seed': 0}, {'variant': 'small-cosine'}]\n"
    )
    shutil.copytree(workdir, tmp_path / "sweep" / "small-linear,seed=0")
    few = [f"--config.{name}={value}" for name, value in TINY.items()]
    typed = ["launch.py", f"--config={tmp_path / 'own.py'}", f"--workdir={tmp_path / 'sweep'}", *few]
    assert launch.main([*typed, "--sweep=*linear*"]) == 0
    out, record = capfd.readouterr().out, json.loads((workdir / "evaluate.json").read_text())
    assert out.partition("\n")[2].startswith(
        "sweep: 1 members, 1 of them done\n| setting | seeds | loss | bound, nats | bits/dim | no sprite"
    )
    assert "| ddpm-small-linear | 1 | " in out and "Missing" not in out  # small-cosine was not asked for
    told = json.loads((tmp_path / "sweep" / "sweep.json").read_text())["settings"]["ddpm-small-linear"]
    assert told["runs"] == ["small-linear,seed=0"] and told["numbers"]["loss"]["mean"] == record["loss"]
    assert (tmp_path / "sweep" / "sweep.png").stat().st_size > 10_000
    with pytest.raises(UserError, match="there are 7372 training images"):
        build_ddpm(config_of_training(batch_size=10**5))


def config_of_training(**train):
    config = configs.get_config()
    config.train.update(train)
    return config


def test_a_record_is_of_the_model_with_its_step_and_settings(workdir, tmp_path):
    kind, settings = stated_settings(workdir)
    assert kind == "ddpm" and set(settings) == {"data", "model", "diffusion", "train"}
    about = {"step": 6} | settings
    assert is_about_model(about, workdir, "latest")
    assert not is_about_model(about | {"step": 4}, workdir, "latest")
    other_seed = about | {"train": settings["train"] | {"seed": 1}}
    assert not is_about_model(other_seed, workdir, "latest"), "a model trained anew in its folder, to the same step"
    moved = {"data": settings["data"] | {"dir": "elsewhere"}, "train": settings["train"] | {"num_steps": 60}}
    assert is_about_model(about | moved, workdir, "latest")
    (tmp_path / "config.json").write_text((workdir / "config.json").read_text())
    assert stated_settings(tmp_path) == (kind, settings), "as version 0.1 left it, without claims"
