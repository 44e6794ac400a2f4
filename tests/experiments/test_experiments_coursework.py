"""The coursework's DDPM: its tables and pixels, known answers of the job round_trip, its files and mistakes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from launching import ROOT
from reading import jobs_read_what_is_declared

import launch
from configs import coursework
from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.diffusion.objective import prior_term
from vdm_jax.diffusion.schedules import constant, ddpm_linear
from vdm_jax.experiments.ddpm.build import build_ddpm
from vdm_jax.experiments.ddpm.by_timestep import Moments, known_losses, moments_of, training_set_of
from vdm_jax.experiments.ddpm.chains import Chain, from_optimum, gaussian_of_end, times_of_beta
from vdm_jax.experiments.ddpm.round_trip import round_trip
from vdm_jax.launch.settings import plain
from vdm_jax.train.checkpoint import Checkpointer
from vdm_jax.train.optimizer import make_optimizer
from vdm_jax.train.state import TrainState, init_state

TINY = {
    "model.widths": (2,),
    "train.num_steps": 4,
    "train.batch_size": 500,
    "train.log_every": 2,
    "train.eval_every": 2,
    "train.checkpoint_every": 2,
    "evaluate.num_images": 10,
    "evaluate.frechet_images": 0,
    "sample.num_steps": 3,
    "sample.num_images": 4,
    "sample.num_paths": 2,
    "diffusion.num_steps": 40,
    "round_trip.num_images": 6,
    "round_trip.num_full": 2,
    "round_trip.num_shown": 3,
    "round_trip.epochs": "1",
    "round_trip.timesteps": 3,
    "round_trip.frechet_images": 0,
}


def test_the_linear_table_is_the_one_of_the_source():
    """beta_t = 1e-4 + (t/T)(0.02 - 1e-4): beta_1 = 1.199e-4, the mean of sigma² is 0.7253."""
    beta = 1e-4 + np.arange(1, 1001) / 1000 * (0.02 - 1e-4)
    table = ddpm_linear(1000, coursework.NOISES["linear"]["diffusion.beta_1"], 0.02)
    sigma2 = np.asarray(jax.nn.sigmoid(table.gamma(jnp.arange(1, 1001) / 1000)))
    np.testing.assert_allclose(sigma2, 1 - np.cumprod(1 - beta), rtol=2e-5)
    assert sigma2.mean() == pytest.approx(0.7253, abs=5e-5)


def test_constant_tables_end_where_they_must():
    low, high = constant(2000, 0.001), constant(200, 0.1)
    assert float(jax.nn.sigmoid(-low.gamma(jnp.float32(1)))) == pytest.approx(0.1352, abs=5e-5)
    assert float(jax.nn.sigmoid(-high.gamma(jnp.float32(60 / 200)))) == pytest.approx(0.9**60, rel=1e-4)


def test_pixels_reach_from_minus_a_half_to_a_half():
    config = coursework.get_config("quick")
    built = build_ddpm(config)
    x = built.model.to_x(jnp.array([[0, 16]]))
    assert np.asarray(x) == pytest.approx(np.array([[-0.5, 0.5]])) and built.model.x_range == pytest.approx((-0.5, 0.5))
    assert built.data.pixel_values[0] < -0.9, "the feature network sees the pixels of the data"


def test_denoisers_that_are_known():
    """One direction of variance 4, mean 0: at gamma = 0 the linear one has ½·4/(½·4 + ½)."""
    moments = Moments(np.zeros(2), np.array([4.0, 0.0]), np.eye(2))
    found = known_losses(moments, np.array([0.0, 40.0]))
    assert found["linear"][0] == pytest.approx(0.8 / 2)
    assert found["identity"][0] == pytest.approx((1 - 0.5**0.5) ** 2 + 0.5 * 2)
    assert found["identity"][1] == pytest.approx(0, abs=1e-12), "pure noise: z_t is eps"


def test_the_gaussian_of_the_end_has_the_moments_of_z():
    x = np.random.RandomState(0).randn(50, 1, 3, 1) * [[[[2.0]]]] + 1
    moments = moments_of(x)
    table = constant(100, 0.01)
    found, abar = gaussian_of_end(*moments, table), 0.99**100
    flat = x.reshape(50, 3)
    np.testing.assert_allclose(found.mean, abar**0.5 * flat.mean(0), rtol=1e-4)
    wanted = abar * np.cov(flat.T, ddof=0) + (1 - abar) * np.eye(3)
    np.testing.assert_allclose(found.root @ found.root, wanted, rtol=1e-4, atol=1e-5)


def test_steps_of_constant_beta():
    """Of the table of this beta they are its own; of a finer one each takes that share of the signal."""
    np.testing.assert_allclose(times_of_beta(constant(20, 0.1), 0.1), np.arange(20, -1, -1) / 20, atol=1e-6)
    table = constant(2000, 0.001)
    times = times_of_beta(table, 0.1)
    assert len(times) == 1 + int(np.ceil(2000 * np.log(0.999) / np.log(0.9))) == 20
    abar = 0.999 ** (times * 2000)
    np.testing.assert_allclose(abar[:-2] / abar[1:-1], 0.9, atol=2e-3)


def test_the_optimal_chain_ends_at_training_images():
    model = build_ddpm(coursework.get_config("quick")).model
    x = np.stack([np.full((8, 8, 1), -0.5, np.float32), np.full((8, 8, 1), 0.5, np.float32)])
    chain = Chain("ancestral", np.linspace(1, 0, 21), None, 8)
    found = from_optimum(model, training_set_of(x).posterior, jax.random.key(0), 8, chain)
    assert {tuple(np.unique(image)) for image in found} == {(0,), (16,)}


def test_the_prior_term_of_the_low_beta():
    """784 pixels of -0.5: ½ 784 (abar/4 - abar - log(1 - abar))."""
    abar = 0.999**2000
    found = prior_term(jnp.full((1, 28, 28, 1), -0.5), constant(2000, 0.001))
    assert float(found[0]) == pytest.approx(392 * (abar / 4 - abar - np.log(1 - abar)), rel=1e-4)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """The job of a network without weights, eps_hat = 0, at the steps 2 and 4."""
    path = tmp_path_factory.mktemp("coursework") / "run"
    config = coursework.get_config("quick")
    config.update_from_flattened_dict(TINY)
    flags = [f"--config.{name}={value}" for name, value in TINY.items()]
    command = ["launch.py", f"--config={ROOT}/configs/coursework.py:quick", f"--workdir={path}", *flags]
    write_json(path / "config.json", plain(config))
    experiment = build_ddpm(config)
    shapes = jax.eval_shape(experiment.model.init, jax.random.key(0))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    state = init_state(zeros, make_optimizer(0.1, num_steps=4))
    with Checkpointer(path / "checkpoints", keep_latest=2) as checkpointer:
        for step in (2, 4):
            checkpointer.save(TrainState(**{**vars(state), "step": jnp.int32(step)}), 1.0)
    with jobs_read_what_is_declared(path, all_jobs=False):
        assert round_trip(experiment, path) == "done"
    assert launch.main([*command, "--jobs=report"]) == 0
    return path


@pytest.mark.slow
def test_the_job_leaves_what_it_promises(workdir):
    record = json.loads((workdir / "round_trip.json").read_text())
    curves, end, starts = record["by_timestep"], record["end_of_chain"], record["starts"]
    assert curves["timesteps"] == [1, 20, 40] and curves["num_train"] == 1297
    np.testing.assert_allclose(curves["loss"], 1, atol=4 * max(curves["loss_standard_error"]))
    assert end["abar"] == pytest.approx(0.999**40, rel=1e-4) and end["gaussian_nats"] <= end["prior_nats"]
    assert record["images"]["full"]["num_steps"] == 40 and record["images"]["respaced"]["num_images"] == 6
    assert record["marks"]["steps"] == [2] and record["marks"]["drawn_steps"] == [2, 4] and starts == {}
    with np.load(workdir / "round_trip.npz") as file:
        assert file["real"].shape == (3, 8, 8, 1) and file["degraded"].shape == (3, 3, 8, 8, 1)
        assert file["back"].shape == file["path"].shape == (2, 3, 3, 8, 8, 1) and file["prior"].shape[:2] == (2, 3)
        np.testing.assert_array_equal(file["path"][0, -1], file["degraded"][-1], "both begin at the same z_T")
    page = (workdir / "report" / "index.html").read_text()
    assert "Noised and brought back" in page and "Loss by timestep" in page and "N(0, I): 1" in page


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"round_trip.times": "0.5,0.1"}, "round_trip.times='0.5,0.1'; expected rising times"),
        ({"round_trip.times": "a"}, "round_trip.times='a'; expected numbers with commas"),
        ({"round_trip.epochs": "1000"}, "round_trip.epochs has 1000; expected epochs above 0 and at most 59.2"),
        ({"round_trip.epochs": "nan"}, "round_trip.epochs='nan'; expected numbers with commas between them"),
        ({"round_trip.epochs": "10", "train.keep_latest": 2}, "keep_latest=2 does not keep the checkpoint of epoch 10"),
        ({"diffusion.pixel_max": 0.0}, "diffusion.pixel_max=0.0; expected a number above 0"),
        ({"round_trip.step_beta": 1.0}, "round_trip.step_beta=1.0; expected a number between 0 and 1"),
    ],
)
def test_mistakes_are_named_before_the_training(settings, told):
    config = coursework.get_config("quick")
    config.update_from_flattened_dict(settings)
    with pytest.raises(UserError) as error:
        build_ddpm(config)
    assert told in str(error.value)
