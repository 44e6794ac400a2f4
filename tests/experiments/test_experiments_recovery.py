"""Recovery by timestep and parts trained apart: known answers of the exact denoiser, and a network of one weight."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from vdm_jax.configs import forward_process as configs

from vdm_jax.base.errors import UserError
from vdm_jax.base.images import to_pixels
from vdm_jax.base.keys import named_key
from vdm_jax.data.sources import load_data
from vdm_jax.diffusion.forward.recovery import first_above, share_left
from vdm_jax.diffusion.prediction import to_prediction
from vdm_jax.diffusion.samplers import make_times, sample
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.experiments.common.models import make_ddpm
from vdm_jax.experiments.common.trained_model import TrainedModel
from vdm_jax.experiments.forward_process import split
from vdm_jax.experiments.forward_process.apart import denoisers, joined, loss_within, parts_of, steps_within
from vdm_jax.experiments.forward_process.build import build_forward_process
from vdm_jax.experiments.forward_process.foreign import as_own, foreign_data, shuffled
from vdm_jax.experiments.forward_process.models import training_config
from vdm_jax.experiments.forward_process.reconstruct import posterior_of, reconstruct
from vdm_jax.launch.kind import NO_OPTIONS
from vdm_jax.networks.network import Network
from vdm_jax.report.primitives.markup import Gallery
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.sections.forward_process.models import reconstruct_section, split_section

SETTINGS = {
    "model.num_steps": 40,
    "reconstruct.num_images": 30,
    "reconstruct.num_timesteps": 5,
    "reconstruct.num_starts": 3,
    "reconstruct.num_sampling_steps": 4,
    "split.boundaries": "0.25",
    "split.num_seeds": 1,
    "split.num_images": 6,
    "split.num_sampling_steps": 4,
    "split.batch_size": 4,
}
ONE_WEIGHT = Network(
    init=lambda key: {"weight": jax.random.normal(key, ())},
    apply=lambda params, z, t, w=None, *, key=None: params["weight"] * z,
)


@pytest.fixture(scope="module")
def data():
    return load_data("digits")


@pytest.fixture(scope="module")
def experiment():
    config = configs.get_config()
    config.update_from_flattened_dict(SETTINGS)
    return build_forward_process(config)


@pytest.fixture(scope="module")
def recovered(experiment, data, tmp_path_factory):
    """The record of a model that is the exact denoiser of the training images."""
    table = make_schedule("ddpm_linear")

    def denoise(posterior, z, t):
        gamma = table.gamma(t[0])
        return to_prediction("x", posterior.mean(z, gamma), z, jnp.full(len(t), gamma))

    about = {"diffusion": {"schedule": "ddpm_linear", "num_steps": 1000}}
    model = TrainedModel(Partial(denoise, posterior_of(data)[0]), (-1.0, 1.0), about)
    foreign = foreign_data(["sprites/sparse"], data)
    folder = tmp_path_factory.mktemp("recovery")
    assert reconstruct(dataclasses.replace(experiment, model=model, foreign=foreign), folder) == "done"
    return folder


def test_the_exact_denoiser_recovers_as_the_exact_posterior(recovered):
    record = json.loads((recovered / "reconstruct.json").read_text())
    assert list(record["sets"]) == ["training images", "test images", "sparse", "shuffled pixels"]
    for own in record["sets"].values():
        np.testing.assert_allclose(own["denoised"]["mse"], own["exact_denoised"]["mse"], rtol=1e-3, atol=1e-6)
    known = record["sets"]["training images"]
    assert known["denoised"]["mae"][0] < 1e-4 < known["unfiltered"]["mae"][0]
    drawn, mean = np.array(known["exact_sampled"]["mse"]), np.array(known["denoised"]["mse"])
    assert drawn[-1] == pytest.approx(2 * mean[-1], rel=0.15)  # two independent images, against the mean
    assert known["sampled"]["mae"][-1] > 2 * known["sampled"]["mae"][0]


def test_information_falls_from_all_to_none(recovered):
    record = json.loads((recovered / "reconstruct.json").read_text())
    for name, nats in (("class", np.log(10)), ("image", np.log(1_297))):
        own = record["information"][name]
        assert own["total_nats"] == pytest.approx(nats, rel=1e-3)
        assert own["share"][0] == pytest.approx(1, abs=1e-3) and own["share"][-1] == pytest.approx(0, abs=0.02)
        assert own["windows"]["95%"] < own["windows"]["50%"] < own["windows"]["5%"]
    assert record["information"]["image"]["windows"]["95%"] < record["information"]["class"]["windows"]["95%"]


def test_foreign_images_are_worse_wherever_they_are_unknown(recovered):
    """The exact denoiser knows no other image: it returns a digit even without noise."""
    record = json.loads((recovered / "reconstruct.json").read_text())
    assert record["boundaries"]["sparse"]["denoised"] == record["timesteps"][0] == 1
    page = reconstruct_section(Workdir(recovered), Gallery(recovered))
    assert "which training image" in page


def test_nats_are_lost_by_the_area_under_the_error():
    np.testing.assert_allclose(share_left(np.array([2.0, 2.0, 2.0]), np.array([0.0, 1.0, 4.0])), [1, 0.75, 0])
    assert first_above(np.array([1.0, 1.0, 1.0]), np.array([1.2, 1.4, 1.0]), 0.25) == 1
    assert first_above(np.array([1.0]), np.array([1.2]), 0.25) is None


def test_foreign_images_have_the_levels_of_the_own(data):
    sprites = foreign_data(["sprites/sparse"], data)["sparse"]
    x = as_own(sprites, data, 3)
    assert x.shape == (3, 8, 8, 1) and set(x.ravel()) <= set(np.asarray(data.pixel_values))
    own = as_own(data, data, 5)
    np.testing.assert_array_equal(own, to_pixels(data.test.levels[:5], data.pixel_values))
    np.testing.assert_array_equal(np.sort(shuffled(own, 0).reshape(5, -1)), np.sort(own.reshape(5, -1)))
    with pytest.raises(UserError, match="has 'mnist'; expected SOURCE/NAME, such as npz/mnist"):
        foreign_data(["mnist"], data)


def test_parts_share_the_updates_and_the_timesteps(key):
    low, high = parts_of(100, 1_000, 2_000, 0.0)
    assert (low.low, low.high, high.low, high.high) == (0, 100, 100, 1_000)
    assert (low.num_updates, high.num_updates) == (200, 1_800)
    assert [part.num_updates for part in parts_of(100, 1_000, 2_000, 0.5)] == [1_000, 1_000]
    for part in (low, high):
        steps = np.asarray(
            steps_within(named_key(key, part.name), 2_000, jnp.array([part.low, part.high], jnp.float32))
        )
        assert sorted(set(steps)) == list(range(part.low + 1, part.high + 1))


def test_at_all_timesteps_the_loss_is_that_of_the_one_model(data, experiment, key):
    model = dataclasses.replace(make_ddpm(training_config(experiment.config), data), network=ONE_WEIGHT)
    params, batch = {"unet": {"weight": jnp.float32(0.3)}}, {"levels": jnp.asarray(data.train.levels[:8])}
    whole = loss_within(model, params, {"bounds": jnp.array([0.0, 1_000.0])}, batch, key, 0)[0]
    np.testing.assert_allclose(whole, model.loss_fn(params, {}, batch, key, 0)[0], rtol=1e-5)


def test_one_model_joined_with_itself_makes_its_own_chain(data, experiment, key):
    model = dataclasses.replace(make_ddpm(training_config(experiment.config), data), network=ONE_WEIGHT)
    times, of_params = make_times(model.noise, 6), denoisers(model)
    one, other = (of_params({"unet": {"weight": jnp.float32(weight)}}) for weight in (0.9, 0.5))
    z = 3 * jax.random.normal(key, (4, *model.shape))
    whole = sample(key, one, model.noise, z, times, method="ddim", x_range=model.x_range)
    expected = np.asarray(model.likelihood.decode(whole, model.noise.gamma(times[-1])))
    chain = joined(model, times, 3, "ddim").chain
    np.testing.assert_array_equal(chain(key, one, one, z)[0], expected)
    for pair in ((one, other), (other, one)):
        assert (np.asarray(chain(key, *pair, z)[0]) != expected).any()


def test_models_trained_apart_are_compared_with_one(experiment, data, tmp_path, monkeypatch):
    """eps_hat = weight z: the best weight of the generator is near 1, and that of the denoiser is smaller. From 0.75 in
    between the one grows and the other falls."""
    between = Network(init=lambda key: {"weight": jnp.float32(0.75)}, apply=ONE_WEIGHT.apply)
    model = dataclasses.replace(make_ddpm(training_config(experiment.config), data), network=between)
    trained, compare = {}, split.compare

    def compared(made, model, weights, *others):
        trained.update({name: float(own["unet"]["weight"]) for name, own in weights.items()})
        return compare(made, model, weights, *others)

    monkeypatch.setattr(split, "compare", compared)
    monkeypatch.setattr(split, "make_ddpm", lambda config, data: model)
    monkeypatch.setattr(split, "distances", lambda data, num: (lambda levels: float(levels.mean()), {"floor": 0.5}))
    assert split.split(experiment, tmp_path, NO_OPTIONS) == "done"
    record = json.loads((tmp_path / "split.json").read_text())
    (cell,) = record["cells"]
    assert trained["denoiser-250"] < 0.75 < trained["generator-250"]
    assert cell["boundary"] == 250 and cell["updates"] == {"one": 40, "denoiser": 10, "generator": 30}
    for own in cell["loss"].values():
        assert own["all"] == pytest.approx(0.25 * own["below"] + 0.75 * own["above"])
    assert record["parameters"] == 1 and set(cell["frechet"]) == {"one", "apart", "one_at_once", "apart_at_once"}
    before = (tmp_path / "split" / "seed-0" / "one" / "metrics.jsonl").read_text()
    assert split.split(experiment, tmp_path, NO_OPTIONS) == "done"  # from the checkpoints, to the same numbers
    assert json.loads((tmp_path / "split.json").read_text())["cells"] == record["cells"]
    assert (tmp_path / "split" / "seed-0" / "one" / "metrics.jsonl").read_text() == before
    assert "25.0%" in split_section(Workdir(tmp_path), Gallery(tmp_path))
