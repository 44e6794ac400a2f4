"""The sets of images of an autoencoder, and the priors that they are drawn from."""

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from vdm_jax.base.keys import keys_of
from vdm_jax.data.dataset import ImageData, Split
from vdm_jax.experiments.autoencoder.prior import code_frequencies, make_priors
from vdm_jax.experiments.autoencoder.sample import draw_autoencoder, leading_latents, pairs_of
from vdm_jax.experiments.common import sample as common
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import Weights
from vdm_jax.experiments.common.sample import PARTS, open_parts

SIDE = 4
PIXELS = np.linspace(-1, 1, 17, dtype=np.float32)
PARAMS = {"scale": jnp.float32(2.0)}
SETS = {"real", "reconstructions", "prior", "interpolations", "heat_maps"}


@dataclass(frozen=True)
class LinearExperiment(Experiment):
    """With a stand-in for the model."""

    model: Any


def identity_model(code: str, num_channels: int) -> SimpleNamespace:
    """Latents are the pixels in another shape: every decoding is known. A label shifts what is decoded."""
    latents = (2, 2, 4 * num_channels)

    def moments(params, levels, labels=None):
        u = jnp.asarray(PIXELS)[levels].reshape(len(levels), *latents) * params["scale"]
        return u, jnp.full_like(u, 0.25) if code == "gaussian" else None

    def decode(params, u, labels=None):
        shift = 0.0 if labels is None else labels[:, None, None, None].astype(jnp.float32)
        return u.reshape(len(u), SIDE, SIDE, num_channels) / params["scale"] + shift

    return SimpleNamespace(moments=moments, decode=decode)


def make_experiment(code="gaussian", *, conditional=False, num_channels=1, **changes) -> LinearExperiment:
    """changes: of the section `sample`."""
    levels = np.random.default_rng(0).integers(0, 17, (40, SIDE, SIDE, num_channels)).astype(np.uint8)
    split = Split(levels, (np.arange(40) % 3).astype(np.int32))
    names = ("a", "b", "c")
    data = ImageData("noise", split, split, split, PIXELS, names)
    settings = dict(
        num_images=21, png_folder=False, interpolations=3, interpolation_steps=5, traversals=2, batch_size=8, seed=0
    )
    config = ConfigDict(
        dict(
            sample=settings | changes,
            model=dict(code=code, conditional=conditional),
            quantiser=dict(num_codes=1000),
            train=dict(writers=""),
        )
    )
    return LinearExperiment(config, data, identity_model(code, num_channels))


def draw(folder, code="gaussian", **settings):
    """Levels of the test images, and the arrays of every set by its name."""
    experiment = make_experiment(code, **settings)
    open_parts(folder / PARTS, {"checkpoint_step": 1})
    draw_autoencoder(experiment, PARAMS, folder)
    levels = experiment.data.test.levels
    found = {}
    for path in folder.glob("*.npz"):
        with np.load(path) as file:
            found[path.stem] = dict(file)
    return levels, found


def to_bytes(levels):
    return np.rint(levels / 16 * 255)


@pytest.mark.parametrize(
    ("code", "more"),
    [("gaussian", {"traversals"}), ("deterministic", {"traversals", "prior_covariance"}), ("quantised", {"codes"})],
)
def test_every_set_of_a_code_and_its_pictures(tmp_path, code, more):
    levels, found = draw(tmp_path, code)
    assert set(found) == SETS | more
    assert {path.stem for path in tmp_path.glob("*.png")} == set(found) - {"codes"}
    real, again = found["real"]["arr_0"], found["reconstructions"]["arr_0"]
    np.testing.assert_array_equal(real, to_bytes(levels[:21]))
    np.testing.assert_allclose(again.astype(int), real, atol=1)
    assert found["prior"]["arr_0"].shape == (21, SIDE, SIDE, 1)
    maps = found["heat_maps"]
    np.testing.assert_allclose(maps["maps"].reshape(8, -1), 2 * PIXELS[levels[:8]].reshape(8, -1))


def test_colour_images_and_spatial_latents_of_more_channels(tmp_path):
    _, found = draw(tmp_path, "deterministic", num_channels=3)
    assert found["heat_maps"]["maps"].shape == (8, 2, 2, 12)
    assert found["traversals"]["traversals"].shape == (3, 2, 9, SIDE, SIDE, 3)
    assert found["prior_covariance"]["arr_0"].shape == (21, SIDE, SIDE, 3)


def test_the_job_states_the_weights_and_goes_on_after_a_kill(tmp_path, monkeypatch, capsys):
    weights = Weights(PARAMS, 7, "ema")
    monkeypatch.setattr(common, "load_weights", lambda *_: weights)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert common.sample(make_experiment(), whole, draw=draw_autoencoder) == "done"
    assert "sample: step 7, ema weights\n" in capsys.readouterr().out
    written = common.write_images

    def dies_at_the_third(path, *rest):
        if path.name == "000000016.npz":
            raise KeyboardInterrupt
        written(path, *rest)

    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(common, "write_images", dies_at_the_third)
        common.sample(make_experiment(), killed, draw=draw_autoencoder)
    assert common.sample(make_experiment(), killed, draw=draw_autoencoder) == "done"
    assert "sample: 16 of 21 images are there" in capsys.readouterr().out
    for path in (whole / "samples").glob("*.npz"):
        assert (killed / "samples" / path.name).read_bytes() == path.read_bytes()
    about = json.loads((killed / "samples" / "about.json").read_text())
    assert (about["checkpoint_step"], about["weights"]) == (7, "ema")


def test_interpolations_lie_on_the_line_and_end_at_the_images(tmp_path):
    levels, found = draw(tmp_path)
    first, between, last = (found["interpolations"][name].astype(int) for name in ("first", "between", "last"))
    np.testing.assert_array_equal(found["interpolations"]["pairs"], [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(first, to_bytes(levels[[0, 2, 4]]))
    np.testing.assert_array_equal(last, to_bytes(levels[[1, 3, 5]]))
    for i, share in enumerate(np.linspace(0, 1, 5)):
        np.testing.assert_allclose(between[:, i], (1 - share) * first + share * last, atol=1)


def test_a_traversal_moves_one_latent_from_minus_two_to_two_deviations(tmp_path):
    levels, found = draw(tmp_path, "deterministic")
    moved = found["traversals"]
    latents = 2 * PIXELS[levels].reshape(40, -1)
    leading = np.argsort(-latents.var(axis=0))[:2]
    np.testing.assert_array_equal(moved["dimensions"], leading)
    assert str(moved["by"]) == "variance" and moved["traversals"].shape == (3, 2, 9, SIDE, SIDE, 1)
    made = moved["traversals"].reshape(3, 2, 9, -1).astype(float)
    for d, i in enumerate(leading):
        u = latents[:, i].mean() + np.linspace(-2, 2, 9) * latents[:, i].std()
        expected = np.clip(np.rint(255 * (u / 2 + 1) / 2), 0, 255)
        np.testing.assert_allclose(made[:, d, :, i], np.broadcast_to(expected, (3, 9)), atol=1)
        others = np.delete(made[:, d], i, axis=-1)
        source = np.delete(moved["source"].reshape(3, -1), i, axis=-1)
        np.testing.assert_allclose(others, np.broadcast_to(source[:, None], others.shape), atol=1)


def test_a_draw_is_a_function_of_the_seed_and_its_index_and_labels_reach_the_decoder(tmp_path):
    _, few = draw(tmp_path / "few", num_images=5)
    _, many = draw(tmp_path / "many", num_images=12, batch_size=3, png_folder=True)
    np.testing.assert_array_equal(few["prior"]["arr_0"], many["prior"]["arr_0"][:5])
    assert len(np.unique(many["prior"]["arr_0"].reshape(12, -1), axis=0)) == 12
    assert len(list((tmp_path / "many" / "prior").glob("*.png"))) == 12
    _, other = draw(tmp_path / "other", num_images=5, seed=1)
    assert np.mean(other["prior"]["arr_0"] != few["prior"]["arr_0"]) > 0.5
    _, shifted = draw(tmp_path / "labels", num_images=12, conditional=True)
    assert shifted["prior"]["arr_0"].mean() > many["prior"]["arr_0"].mean() + 30, "labels 0, 1, 2 add 0, 1, 2"
    np.testing.assert_array_equal(shifted["interpolations"]["pairs"], [[0, 3], [1, 4], [2, 5]])


def test_pairs_are_of_one_class_each_and_as_many_as_there_are():
    np.testing.assert_array_equal(pairs_of(np.array([1, 0, 0, 1, 1]), 5, 8), [[1, 2], [0, 3]])
    np.testing.assert_array_equal(pairs_of(None, 5, 8), [[0, 1], [2, 3]])


def test_leading_latents_are_those_of_the_largest_rate():
    mean = np.array([[3.0, 0.0, 1.0], [-3.0, 0.0, -1.0]], np.float32)
    variance = np.array([[1.0, 1.0, 0.1]] * 2, np.float32)
    found, rate, by = leading_latents(mean, variance, 2)
    assert by == "rate" and found.tolist() == [0, 2]
    np.testing.assert_allclose(rate, [4.5, 0.5 * (1 + 0.1 - 1 - np.log(0.1))], rtol=1e-5)


def test_priors_have_the_moments_that_they_are_fitted_to():
    def draw_from(prior):
        return np.asarray(prior.draw(prior.params, keys_of(jax.random.key(0), jnp.arange(4000))))

    rng = np.random.default_rng(0)
    latents = (rng.normal(size=(500, 3)) @ [[2, 1, 0], [0, 1, 0], [0, 0, 0]] + [1, 2, 3]).astype(np.float32)
    priors = make_priors("deterministic", latents)
    apart, together = map(draw_from, priors.values())
    assert list(priors) == ["prior", "prior_covariance"]
    for drawn in (apart, together):
        np.testing.assert_allclose(drawn.mean(axis=0), latents.mean(axis=0), atol=0.15)
    covariance = np.cov(latents, rowvar=False, bias=True)
    np.testing.assert_allclose(np.cov(together, rowvar=False), covariance, atol=0.25)
    np.testing.assert_allclose(np.cov(apart, rowvar=False), np.diag(np.diag(covariance)), atol=0.25)
    (normal,) = make_priors("gaussian", latents).values()
    np.testing.assert_allclose(np.cov(draw_from(normal), rowvar=False), np.eye(3), atol=0.1)


def test_codes_are_drawn_by_their_frequencies_at_each_place():
    book = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], np.float32)
    codes = np.zeros((100, 1, 2), int)
    codes[:30, 0, 0], codes[:80, 0, 1] = 1, 2
    (prior,) = make_priors("quantised", book[codes]).values()
    drawn = np.asarray(prior.draw(prior.params, keys_of(jax.random.key(1), jnp.arange(4000))))
    assert drawn.shape == (4000, 1, 2, 2)
    first, second = drawn[:, 0, 0, 0] == 1, drawn[:, 0, 1, 1] == 1
    assert abs(first.mean() - 0.3) < 0.03 and abs(second.mean() - 0.8) < 0.03
    assert abs((first & second).mean() - 0.24) < 0.03, "places are independent"
    np.testing.assert_allclose(code_frequencies(book[codes], 5), [0.45, 0.4, 0.15, 0, 0])
