"""Latent diffusion end to end in a tiny space: all jobs, a kill, functions, mistakes; latents with known answers."""

import dataclasses
import json
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from launching import ROOT
from reading import jobs_read_what_is_declared
from vdm_jax.configs import latent_diffusion

import launch
import vdm_jax
from vdm_jax.base.errors import UserError
from vdm_jax.base.space import pixel_space
from vdm_jax.data.dataset import SPLITS
from vdm_jax.data.encoded import Encoded
from vdm_jax.data.sources import load_data
from vdm_jax.diffusion.gaussian import alpha_sigma, noised
from vdm_jax.evals.latents.denoising import linear_errors
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.models import make_model
from vdm_jax.experiments.common.space.encoded import encoded_space
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.experiments.latent_diffusion import quality
from vdm_jax.experiments.latent_diffusion.build import LatentExperiment
from vdm_jax.launch.kind import NO_OPTIONS
from vdm_jax.models.generate import generate
from vdm_jax.train.metrics import read_metrics

UNET = {"model.network": "multiscale", "model.width": None, "model.num_layers": None}
KEY = jax.random.key(0)
DIGITS = load_data("digits")
TINY = {
    "data.name": "sparse",
    "model.network": "resmlp",
    "model.width": 8,
    "model.num_layers": 1,
    "train.num_steps": 6,
    "train.batch_size": 4,
    "train.log_every": 1,
    "train.eval_every": 2,
    "train.checkpoint_every": 2,
    "train.eval_images": 4,
    "train.eval_passes": 1,
    "evaluate.num_images": 10,
    "evaluate.passes": 1,
    "evaluate.denoising_parts": 2,
    "evaluate.mixture_components": 1,  # of the shape of a Gaussian: one program for both
    "evaluate.fitted_images": 50,
    "evaluate.coverage_images": 0,  # test_experiments_latent_diffusion_evaluate.py scores samples
    "sample.num_steps": 4,
    "sample.num_images": 4,
    "sample.num_paths": 2,
    "quality.samplers": "ancestral:3,ddim:2:cosine",
    "quality.num_images": 6,
    "quality.num_seeds": 2,
    "quality.batch_size": 6,
}


def typed(settings):
    return [f"--config.{name}={value}" for name, value in settings.items() if value is not None]


def launched(workdir, space, *flags, variant="linear", **deltas) -> int:
    settings = TINY | {"space.workdir": space} | deltas
    config = [f"--config={ROOT}/configs/latent_diffusion.py:{variant}", f"--workdir={workdir}"]
    return launch.main(["launch.py", *config, *typed(settings), *flags])


def scored(data, draw, *, num_images, **reading):
    """In place of `score_sets`, which has tests of its own: the images are drawn and get scores by their names."""
    assert set(reading) == {"sprite_tolerance", "reader_images", "reader_steps"}
    sets = draw(num_images)
    assert all(images.shape == (num_images, 32, 32, 1) for images in sets.values())
    frechet = {"real_vs_real_floor": 0.5, "num_images": num_images}
    return {name: {"coverage": None, "frechet": frechet | {"distance": float(len(name))}} for name in sets}, {}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, space):
    path = tmp_path_factory.mktemp("latent_diffusion") / "run"
    with jobs_read_what_is_declared(path, of_others=("autoencoder",)), pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality, "score_sets", scored)
        assert launched(path, space) == 0
    return path


def rows(workdir):
    timed = ("seconds", "images_per_second")
    return [{k: v for k, v in row.items() if k not in timed} for row in read_metrics(workdir / "metrics.jsonl")]


def test_all_jobs_leave_what_they_promise(workdir, space):
    record = json.loads((workdir / "evaluate.json").read_text())
    assert record["settings"]["kind"] == "latent_diffusion" and record["num_latents"] == 3
    assert 0 < record["loss"] < 3 and np.isfinite(record["bound_nats"])
    assert set(record["table"]) == {"trained", "untrained", "prior", "gaussian", "mixture", "codes"}
    about = json.loads((workdir / "samples" / "about.json").read_text())
    assert about["space"] == record["space"] and record["space"]["workdir"] == str(space)
    with np.load(workdir / "samples" / "path.npz") as path, np.load(workdir / "samples" / "noising.npz") as noising:
        assert path["path"].shape == noising["noising"].shape == (2, 5, 32, 32, 1)
        assert path["z"].shape == (2, 5, 3) and path["times"].tolist() == noising["times"].tolist()[::-1]
        assert path["times"].tolist() == sorted(path["times"])[::-1]
    found = json.loads((workdir / "quality.json").read_text())
    assert {text: row["evaluations"] for text, row in found["samplings"].items()} == {
        "ancestral:3": 3,
        "ddim:2:cosine": 2,
    }
    assert found["checkpoint_step"] == record["checkpoint_step"] and found["space"] == record["space"]
    assert found["samplings"]["ddim:2:cosine"]["frechet"] == {"value": 15.0, "standard_error": 0.0}
    for name in ("real", "reconstructions", "prior"):
        with np.load(workdir / "samples" / f"{name}.npz") as images:
            assert images["arr_0"].shape == (4, 32, 32, 1) and images["arr_0"].dtype == np.uint8


def test_a_run_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(workdir, space, tmp_path):
    """From step 2, with rows that this checkpoint has not seen; x are drawn as they would have been."""
    again = shutil.copytree(workdir, tmp_path / "again")
    for step in (4, 6):
        shutil.rmtree(again / "checkpoints" / str(step))
    assert launched(again, space, "--jobs=train") == 0
    assert rows(again) == rows(workdir)
    one, other = (vdm_jax.load(folder, checkpoint=6).params for folder in (again, workdir))
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_another_space_is_refused_and_the_same_one_may_move(workdir, space, tmp_path, capfd):
    moved, run = shutil.copytree(space, tmp_path / "moved"), shutil.copytree(workdir, tmp_path / "run")
    assert launched(run, moved, "--jobs=sample") == 0
    assert launched(run, space, "--jobs=train", **{"space.scale": "global"}) == 2
    assert "space.scale is 'none' there and 'global' here" in capfd.readouterr().err
    about = json.loads((moved / "encoded" / "about.json").read_text())
    shutil.rmtree(moved / "encoded")
    assert launched(run, moved, "--jobs=train") == 2
    assert "--jobs=encode" in capfd.readouterr().err and about["fingerprint"]


def test_its_functions(workdir):
    run = vdm_jax.load(workdir)
    levels = run.data.test.levels[:3]
    mean, logvar = run.encode(levels)
    assert mean.shape == logvar.shape == (3, 3) and run.decode(mean).shape == levels.shape
    of_model, sizes = run.functions["encode"].__self__, []

    def moments(params, levels):
        sizes.append(len(levels))
        return of_model.space.moments(params, levels)

    in_batches = dataclasses.replace(of_model, batch_size=2, space=of_model.space._replace(moments=moments))
    np.testing.assert_allclose(in_batches.encode(levels)[1], logvar, rtol=1e-5)
    assert sizes == [2], "of evaluate.batch_size images at a time"
    latents = run.sample_latents(KEY, 2, num_steps=3)
    np.testing.assert_array_equal(run.decode(latents), run.sample(KEY, 2, num_steps=3))
    z = jnp.asarray(latents)
    found = run.denoise(z, 0.5)
    gamma = run.functions["denoise"].__self__.model.schedule({}).gamma(jnp.float32(0.5))
    np.testing.assert_allclose(noised(found.x, found.eps, gamma), z, atol=1e-5)
    terms = run.bound(KEY, mean, passes=2)
    assert [term.shape for term in terms] == [(3,)] * 4 and not terms.encoder_kl.any()
    for x, told in ((levels, "expected latents"), (np.zeros((2, 3), int), "floating-point"), (mean * np.nan, "finite")):
        with pytest.raises(UserError, match=told):
            run.bound(KEY, x)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (UNET, "model.network='multiscale' takes maps [H, W, C], and the latents of this"),
        ({"model.network": "resmpl"}, "did you mean 'resmlp'?"),
        ({"diffusion.target": "log_odds"}, "target='log_odds'; expected one of"),
        ({"diffusion.weighting": "bound", "diffusion.schedule": "dirac"}, "no bound is defined for the Dirac schedule"),
        ({"model.channels": 8}, "config.model.channels=8 has no effect with model.network='mlp'"),
        ({"sample.num_steps": 1001}, "at most 1000"),
        ({"data.name": "small"}, "is of other data"),
        ({"space.workdir": "nowhere"}, "nowhere"),
        ({"quality.samplers": "ddim:5:information"}, "needs config.quality.exact"),
        ({"quality.samplers": "ddim:5:information", "quality.exact": "nowhere"}, "has no exact.json"),
        ({"quality.samplers": "ddim:1001"}, "config.quality.samplers: 'ddim:1001': num_steps=1001"),
        ({"train.batch_size": 800}, "there are 614 training images"),
    ],
)
def test_mistakes_are_told_and_leave_nothing(tmp_path, space, capfd, settings, told):
    network = {"model.network": "mlp"} if "model.channels" in settings else {}
    assert launched(tmp_path / "run", space, **network | settings) == 2
    assert told in capfd.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model.network": "unet"}, "model.network='unet'; expected one of"),
        ({"diffusion.target": "log_odds"}, "target='log_odds'; expected one of"),
        ({"diffusion.schedule": "linaer"}, "did you mean 'linear'?"),
        ({"sample.num_steps": 1001}, "at most 1000"),
        ({"train.num_steps": -1}, "config.train.num_steps=-1; expected at least 0"),
        ({"quality.samplers": "ddim:2000"}, "config.quality.samplers: 'ddim:2000'"),
    ],
)
def test_mistakes_are_told_before_the_space_is_trained(settings, told):
    config = latent_diffusion.get_config("quick")
    config.update_from_flattened_dict(settings)
    with pytest.raises(UserError, match=re.escape(told)):
        KINDS["latent_diffusion"].check(config)


# ---- known answers --------------------------------------------------------------------------------------------------


def model_of(shape, **settings):
    config = latent_diffusion.get_config("linear")
    settings = {name.replace("__", "."): value for name, value in settings.items()}
    config.update_from_flattened_dict({"model.width": 16, "model.num_layers": 1} | settings)
    values = np.array([-1.0, 1.0], np.float32)
    return make_model(config, DIGITS, pixel_space(shape, values)._replace(x_range=None))


@pytest.mark.slow
def test_gaussian_latents_are_denoised_as_well_as_a_linear_map_can(tmp_path, key):
    """All images have the code N(0, diag(λ)): x is another in every batch, though the data set is finite."""
    eigenvalues = np.array([4.0, 1.0, 0.25, 0.04], np.float32)
    parts = {name: len(getattr(DIGITS, name)) for name in SPLITS}
    mean = {name: np.zeros((number, 4), np.float32) for name, number in parts.items()}
    variance = {name: np.tile(eigenvalues, (number, 1)) for name, number in parts.items()}
    encoded = Encoded({"shape": [4], "fingerprint": "", "deterministic": False}, mean, variance)
    space = pixel_space((4,), np.array([-1.0, 1.0], np.float32))._replace(x_range=None)
    config = latent_diffusion.get_config("linear")
    intervals = dict.fromkeys(("train.log_every", "train.eval_every", "train.checkpoint_every"), 500)
    config.update_from_flattened_dict(intervals | {"model.width": 32, "model.num_layers": 1, "train.num_steps": 500})
    config.update_from_flattened_dict({"train.steps_per_call": 100, "train.learning_rate": 5e-3})
    model = make_model(config, DIGITS, space)
    experiment = LatentExperiment(config, DIGITS, model, encoded_space(space, encoded, DIGITS))
    assert KINDS["latent_diffusion"].jobs["train"].run(experiment, tmp_path, NO_OPTIONS) == "done"
    params, number = load_weights(tmp_path, model, config).params, 20_000
    x = np.sqrt(eigenvalues)[None] * jax.random.normal(KEY, (number, 4))
    keys, t = jax.random.split(key, number), jnp.arange(number) / number
    found = jax.jit(model.terms)(params, keys, t, {"levels": x})["loss"]
    floor = linear_errors(eigenvalues, np.asarray(model.noise.gamma(jnp.arange(1, 1001) / 1000)))[1].mean()
    assert 0.98 * floor < float(found.mean()) < 1.03 * floor


@pytest.mark.slow
def test_an_untrained_model_draws_standard_normal_latents():
    """Its x_hat is alpha z: a step of DDIM turns (alpha, sigma) by an angle and multiplies z by its cosine."""
    model = model_of((3,), diffusion__target="v", model__network="concmlp", diffusion__schedule="cosine")
    params = model.init(KEY)
    x, z, times = generate(model, params, KEY, 50, sampler="ddim", num_steps=20, keep=tuple(range(21)))
    gammas = np.asarray(model.noise.gamma(jnp.asarray(times)), np.float64)
    angles = np.arctan(np.exp(gammas / 2))
    shrunk = np.prod(np.cos(np.diff(angles)))
    np.testing.assert_allclose(x, z[:, 0] * shrunk, rtol=2e-4, atol=2e-4)
    assert 0.9 < shrunk < 1 and abs(z[:, 0].std() - 1) < 0.15


UNET_OF_MAPS = {"model__size": "digits", "model__channels": 4, "model__multipliers": (1,), "model__attention": ()}


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "settings"), [((3,), {}), ((4, 4, 2), UNET_OF_MAPS)], ids=["resmlp", "u_net"])
def test_an_untrained_network_is_the_denoiser_of_standard_normal_latents(key, shape, settings):
    model = model_of(shape, diffusion__target="normal", **settings)
    z, t = jax.random.normal(key, (2, *shape)), jnp.array([0.2, 0.9])
    found = jax.jit(lambda params: model.denoise(params)(z, t))(model.init(KEY))
    alpha, sigma = (part.reshape(2, *[1] * len(shape)) for part in alpha_sigma(model.noise.gamma(t)))
    np.testing.assert_allclose(found.x, alpha * z, atol=1e-6)
    np.testing.assert_allclose(found.eps, sigma * z, atol=1e-6)


def test_every_variant_is_built():
    for variant in latent_diffusion.VARIANTS:
        config = latent_diffusion.get_config(variant)
        model = make_model(config, DIGITS, pixel_space((4,), np.array([-1.0, 1.0], np.float32)))
        assert model.objective.loss == ("bound" if variant in ("vdm", "learned") else "mean_square")
        assert set(KINDS["latent_diffusion"].needs(config)) == {"space"}
        config.space.workdir = "somewhere"
        assert not KINDS["latent_diffusion"].needs(config)
