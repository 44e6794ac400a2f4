"""Degradations end to end on digits and sprites: all jobs, known answers of what is measured, starts, mistakes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from launching import ROOT
from reading import jobs_read_what_is_declared
from vdm_jax.configs import degradation as configs

import launch
import vdm_jax
from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.degradation.chains import ForwardProcess
from vdm_jax.diffusion.degradation.functions import make_degradation
from vdm_jax.diffusion.likelihood import LevelLikelihood
from vdm_jax.experiments.common.networks import make_denoiser
from vdm_jax.experiments.degradation import build, evaluate
from vdm_jax.experiments.degradation.build import build_degradation
from vdm_jax.experiments.degradation.checks import check_degradation
from vdm_jax.experiments.degradation.diversity import diversity
from vdm_jax.experiments.degradation.properties import measure_degradation
from vdm_jax.experiments.degradation.restoration import restoration_by_steps, restoration_by_time
from vdm_jax.experiments.degradation.starts import fit_start, make_starts
from vdm_jax.models.degradation import RestorationModel
from vdm_jax.networks.network import Network

TINY = {
    "model.channels": 4,
    "model.multipliers": "(1,1)",
    "model.attention": "()",
    "degradation.num_steps": 4,
    "degradation.noise": 0.5,
    "start.fitted_images": 100,
    "start.mixture_components": 2,
    "train.num_steps": 6,
    "train.batch_size": 4,
    "train.log_every": 1,
    "train.eval_every": 6,
    "train.checkpoint_every": 6,
    "train.eval_images": 4,
    "evaluate.num_images": 12,
    "evaluate.num_times": 3,
    "evaluate.chain_steps": "(1,4)",
    "evaluate.samplings": "naive:4:data,ancestral:2:gaussian",
    "evaluate.frechet_images": 12,
    "sample.num_steps": 4,
    "sample.num_images": 4,
    "sample.num_paths": 2,
}


def small_denoiser(model, shape, **settings):
    """In place of the U-Net, whose programs take long to compile: one matrix and the time. Reads the same settings."""
    make_denoiser(model, shape, **settings)
    size = int(np.prod(shape))

    def init(key):
        return {"matrix": 0.1 * jax.random.normal(key, (size, size)), "time": jnp.zeros(size)}

    def apply(params, z, t, key=None):
        return (z.reshape(len(z), size) @ params["matrix"] + t[:, None] * params["time"][None]).reshape(z.shape)

    return Network(init=init, apply=apply)


def scores(data, draw, *, num_images):
    """In place of distances by a classifier that is trained: `score_sets` has tests of its own."""
    made = draw(num_images)
    floor = {"distance": 2.0, "real_vs_real_floor": 1.0}
    return {name: {"coverage": None, "frechet": floor} for name in made}, {"coverage": "of sprites alone"}


def launched(workdir, *arguments, variant="quick", **deltas) -> int:
    settings = TINY | {name.replace("__", "."): value for name, value in deltas.items()}
    flags = [f"--config.{name}={value}" for name, value in settings.items()]
    return launch.main(
        ["launch.py", f"--config={ROOT}/configs/degradation.py:{variant}", f"--workdir={workdir}", *flags, *arguments]
    )


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("degradation") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "make_denoiser", small_denoiser)
        patch.setattr(evaluate, "score_sets", scores)
        with jobs_read_what_is_declared(path):
            assert launched(path) == 0
        yield path


def test_all_jobs_leave_what_they_promise(workdir):
    record = json.loads((workdir / "evaluate.json").read_text())
    assert set(record["sets"]) == set(TINY["evaluate.samplings"].split(",")) and record["num_images"] == 12
    assert record["restoration"]["times"] == [0.25, 0.5, 1.0] and record["chains"]["steps"] == [1, 4]
    for row in record["sets"].values():
        assert row["frechet"]["distance"] >= 0 and 0 <= row["diversity"]["covered"] <= 1 and row["coverage"] is None
    told = json.loads((workdir / "properties.json").read_text())
    assert told["identity"] == 0 and told["by_time"]["lost"][0] == 0 and told["linearity"] < 1e-6
    with np.load(workdir / "samples" / "path.npz") as file:
        assert file["path"].shape == (2, 5, 8, 8, 1) and file["times"].tolist() == [1, 0.75, 0.5, 0.25, 0]
    with np.load(workdir / "samples" / "degraded.npz") as real, np.load(workdir / "samples" / "restored.npz") as back:
        np.testing.assert_array_equal(real["degraded"][:, 0], back["restored"][:, 0])
    page = (workdir / "report" / "index.html").read_text()
    assert "--jobs=" not in page, "nothing is missing"
    assert all(f'id="{name}"' in page for name in ("restoration", "properties", "strips", "sets", "samples", "path"))
    assert launched(workdir, "--dry_run") == 0


def test_a_loaded_run_degrades_restores_and_samples(workdir):
    run = vdm_jax.load(workdir)
    x = np.random.default_rng(0).integers(0, 17, (3, 8, 8, 1)).astype(np.uint8)
    pixels = run.degrade(x, 0.0)
    assert np.unique(pixels).size <= 17 and not np.allclose(run.degrade(x, 0.5, jax.random.key(0)), run.degrade(x, 0.5))
    assert run.restore(pixels, 0.5).shape == (3, 8, 8, 1)
    made = run.sample(jax.random.key(1), 3, method="ancestral", num_steps=2, start="data")
    assert made.shape == (3, 8, 8, 1) and made.dtype == np.uint8
    for call, told in (
        (lambda: run.degrade(x, 1.5), "t=1.5; expected a time"),
        (lambda: run.restore(pixels[:, 1:], 0.5), "z has shape"),
        (lambda: run.sample(jax.random.key(1), 2, start="nothing"), "sample: start='nothing'"),
    ):
        with pytest.raises(UserError, match=told):
            call()


def exact_model(name, restorer, shape=(4, 4, 1), num_steps=8, noise=0.0):
    process = ForwardProcess(make_degradation(name, shape), noise)
    return RestorationModel(
        network=Network(init=lambda key: {}, apply=lambda params, z, t, key=None: restorer(z)),
        process=process,
        num_steps=num_steps,
        shape=shape,
        likelihood=LevelLikelihood(np.array([-1, 1], np.float32)),
        x_range=(-1.0, 1.0),
    )


def test_chains_of_a_shift_are_exact_under_improved_sampling_alone(key):
    x = np.random.default_rng(0).uniform(-1, 1, (5, 4, 4, 1)).astype(np.float32)
    model = exact_model("shift", jnp.cos)
    found = restoration_by_steps(model, {"restorer": {}}, x, key, numbers=(1, 4), batch_size=5)
    assert max(found["improved"]) < 1e-6 < 0.1 < min(found["naive"])
    by_time = restoration_by_time(
        model, {"restorer": {}}, x, np.zeros((4, 4, 1), np.float32), key, num_times=3, batch_size=3
    )
    assert max(by_time["improved_step"]) < 1e-6 and min(by_time["naive_step"]) > 0.1
    assert by_time["mean_image"] == pytest.approx(np.sqrt((x**2).mean((1, 2, 3))).mean() / 2)
    np.testing.assert_allclose(by_time["naive_step"], by_time["restored"], rtol=1e-5)  # D(x + δ, s) - D(x, s) = δ


def test_a_constant_restoration_of_a_mask_has_the_errors_that_it_must_have(key):
    x = np.random.default_rng(0).uniform(-1, 1, (5, 4, 4, 1)).astype(np.float32)
    model = exact_model("mask", jnp.zeros_like)
    found = restoration_by_time(model, {"restorer": {}}, x, x.mean(0), key, num_times=2, batch_size=5)
    size = np.sqrt((x**2).mean((1, 2, 3))).mean() / 2
    np.testing.assert_allclose(found["restored"], size, rtol=1e-5)
    assert found["idempotence"] == [0, 0] and found["consistency"][-1] == 0  # at t = 1 nothing of x is left
    assert found["degraded"][-1] == pytest.approx(size, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "own", "linear", "last_distinct"),
    [("shift", 0.0, True, 1.0), ("pixelate", 1.0, True, None), ("mask", 1.0, True, 0.0)],
)
def test_properties_of_known_degradations(name, own, linear, last_distinct):
    x = np.random.default_rng(0).uniform(-1, 1, (40, 4, 4, 1)).astype(np.float32)
    degrade = jax.jit(make_degradation(name, (4, 4, 1)))

    def at(images, t):
        return np.asarray(degrade(jnp.asarray(images), jnp.full(len(images), t, jnp.float32)))

    found = measure_degradation(at, x, np.linspace(0, 1, 7), 2.0)
    assert found["identity"] == 0 and found["by_time"]["distinct"][0] == 1
    if last_distinct is None:  # of whole images, which are their means
        apart = np.abs(x.mean((1, 2, 3))[:, None] - x.mean((1, 2, 3))) + 9 * np.eye(40)
        last_distinct = float((apart.min(axis=1) > 1e-3 * 2).mean())
    assert found["by_time"]["distinct"][-1] == last_distinct
    assert (found["linearity"] < 1e-6) == linear
    assert found["by_time"]["own_displacement"][-1] == pytest.approx(own, abs=0.1)
    if name == "shift":  # D(D(x, s), t - s) = D(x, t): what is left is the spacing of u, 1/800, as a share of t
        assert 1e-5 < found["composition"]["worst"] < 3e-3
        assert found["by_time"]["variance"][-1] == pytest.approx(1, abs=1e-5)


def test_properties_of_a_function_that_is_no_degradation():
    x = np.random.default_rng(0).uniform(-1, 1, (10, 2, 2, 1)).astype(np.float32)
    found = measure_degradation(lambda x, t: (x + 0.4) ** 2, x, np.linspace(0, 1, 3), 2.0)
    assert found["identity"] > 0.1 and found["linearity"] > 0.01 and found["composition"]["worst"] > 0.1


def test_starts_are_of_the_law_that_was_fitted(key):
    rng = np.random.default_rng(0)
    axis = rng.normal(size=(1, 3, 3, 1)).astype(np.float32)
    images = np.where(rng.random((2_000, 1, 1, 1)) < 0.25, -2.0, 1.0) * axis + 0.1 * axis * rng.normal(
        size=(2_000, 1, 1, 1)
    )
    one, two = (fit_start(images, number, seed=0) for number in (1, 2))
    for start in (one, two):  # both have mean 0.25 and deviation 1.3 along the axis
        assert start.axes.shape == (9, 1)
    centre, scale = (np.asarray(one.centre).reshape(3, 3, 1) / axis[0], float(np.linalg.norm(axis)))
    np.testing.assert_allclose(centre, 0.25, atol=0.07)
    assert np.sqrt(float(one.mixture.values[0, 0])) / scale == pytest.approx(1.3, abs=0.07)
    keys = jax.random.split(key, 1_000)
    along = np.asarray(two.draw(keys, (3, 3, 1)) / axis).reshape(1_000, -1)
    np.testing.assert_allclose(along.std(axis=1), 0, atol=1e-3)  # nothing off the axis
    assert along[:, 0].mean() == pytest.approx(0.25, abs=0.15) and along[:, 0].std() == pytest.approx(1.3, abs=0.1)
    assert (along[:, 0] < -0.1).mean() == pytest.approx(0.25, abs=0.05)
    np.testing.assert_allclose(fit_start(np.ones((20, 3, 3, 1)), 5, seed=0).centre, 1, atol=1e-6)


def test_without_noise_a_fade_starts_from_one_image_and_with_noise_from_many(key):
    config = configs.get_config("digits-fade")
    experiment = build_degradation(config)
    data, process = experiment.data, experiment.model.process
    settings = {"mixture_components": 3, "fitted_images": 200, "seed": 0}
    keys, index = jax.random.split(key, 6), np.arange(6)
    for name, draw in make_starts(["data", "mixture"], data, process, **settings).items():
        images = np.asarray(draw(keys, index))
        assert np.ptp(images, axis=0).max() < 1e-5, name
        many = make_starts([name], data, process._replace(noise=1.0), **settings)[name](keys, index)
        assert np.asarray(many - images).std() == pytest.approx(1, abs=0.2)


def test_diversity_of_copies_and_of_the_data_themselves():
    real = np.random.default_rng(0).integers(0, 4, (60, 4, 4, 1))
    same = diversity(real, real, real, 4)
    assert same["covered"] == same["distinct"] == 1 and same["distance"] == pytest.approx(same["distance_real"])
    copies = diversity(np.repeat(real[:1], 60, axis=0), real, real, 4)
    assert copies["distinct"] == pytest.approx(1 / 60) and copies["distance"] == 0 and copies["covered"] < 0.5


def test_every_variant_is_valid():
    for variant in configs.VARIANTS:
        check_degradation(configs.get_config(variant))


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--config.degradation.name=blurr", "did you mean 'blur'"),
        ("--config.degradation.softness=0.3", "degradation.softness=0.3 has no effect with degradation.name='blur'"),
        ("--config.degradation.noise=-1.0", "config.degradation.noise=-1.0; expected a number not below 0"),
        ("--config.degradation.loss=square", "did you mean 'squared'"),
        ("--config.evaluate.samplings=improved:4", "expected METHOD:STEPS:START"),
        ("--config.evaluate.samplings=improved:9:data", "9 steps; config.degradation.num_steps=4"),
        ("--config.evaluate.samplings=best:4:data", "method='best'"),
        ("--config.sample.start=noise", "config.sample: start='noise'"),
        ("--config.evaluate.chain_steps=(5,)", "config.evaluate.chain_steps has 5; expected 1 to"),
    ],
)
def test_mistakes_are_told_and_leave_nothing(tmp_path, capfd, flag, told):
    assert launched(tmp_path / "run", flag) == 2
    error = capfd.readouterr().err
    assert told in error and "Traceback" not in error and not (tmp_path / "run").exists()


def test_the_chain_that_needs_noise_is_refused_without(tmp_path, capfd):
    settings = {"degradation__noise": 0.0, "evaluate__samplings": "ancestral:4:data"}
    assert launched(tmp_path / "run", **settings) == 2
    assert "'ancestral' needs config.degradation.noise above 0" in capfd.readouterr().err


def test_a_degradation_that_returns_another_shape_is_refused(tmp_path, capfd, monkeypatch):
    (tmp_path / "mine_of_tests.py").write_text("def crop(x, t):\n    return x[:, :4]\n")
    monkeypatch.chdir(tmp_path)
    settings = {"degradation__name": "function", "degradation__function": "mine_of_tests:crop"}
    assert launched(tmp_path / "run", **settings) == 2
    told = "returns [2, 4, 8, 1] for images [2, 8, 8, 1]; expected the same shape"
    assert told in capfd.readouterr().err and not (tmp_path / "run").exists()
