from dataclasses import replace

import jax
import numpy as np
import pytest
from vdm_jax.configs import autoencoder

from vdm_jax.data.sprite_data import make_sprite_data, rendered
from vdm_jax.data.sprites import FACTORS, GRIDS
from vdm_jax.evals.coverage import sprite_distances
from vdm_jax.evals.latent_space import jackknifed
from vdm_jax.evals.representations import ONE_CLASS
from vdm_jax.experiments.autoencoder.build import build_autoencoder
from vdm_jax.experiments.autoencoder.evaluate import EncodedImages, codebook, in_batches, near_sprites, reconstruction
from vdm_jax.experiments.autoencoder.readouts import readouts
from vdm_jax.experiments.autoencoder.sample import make_coder
from vdm_jax.experiments.common.checkpoints import initial_params

DATA = make_sprite_data(GRIDS["sparse"])


def some(number, seed=0):
    return np.random.default_rng(seed).choice(len(DATA.grid), number, replace=False)


def test_sprites_are_their_own_nearest_and_others_are_not():
    index = some(40)
    levels = rendered(DATA, index)
    for decoded, expected in ((255 * levels, 1.0), (255 * np.roll(levels, 1, axis=0), 0.0)):
        measured = near_sprites(DATA, index, decoded.astype(np.uint8), 0.1)
        assert measured["reconstructions_on_data"]["value"] == 1.0  # another sprite is a sprite as well
        found = measured["nearest_sprite"]
        assert found["any"]["value"] == expected and found["any"]["num"] == 40
        assert set(found) == {"any", *FACTORS}
        assert all(found[name]["value"] >= expected for name in FACTORS)
        assert expected == 1.0 or all(found[name]["value"] < 1 for name in FACTORS)


def test_the_nearest_sprite_of_a_grey_image_is_the_nearest_of_all():
    """Blends of two sprites, of which a threshold would leave one or none."""
    index, every = some(30), rendered(DATA, np.arange(len(DATA.grid), dtype=np.int32)).astype(float)
    weight = np.random.default_rng(1).uniform(0.3, 0.7, (30, 1, 1, 1))
    grey = np.rint(255 * (weight * every[index] + 0.3 * every[np.roll(index, 1)])).clip(0, 255).astype(np.uint8)
    squares = ((grey[:, None] / 255 - every[None]) ** 2).sum(axis=(2, 3, 4))
    expected = np.mean(squares.argmin(axis=1) == index)
    assert 0 < expected < 1
    found = near_sprites(DATA, index, grey, within := 0.15)
    assert found["nearest_sprite"]["any"]["value"] == expected
    near = np.mean(np.sqrt(squares.min(axis=1) / every[0].size) <= within)
    assert 0 < near < 1 and found["reconstructions_on_data"]["value"] == near


def test_turns_with_the_same_image_are_one():
    """A turn by 360 degrees is found as one by 0; both are of the full grid."""
    full = make_sprite_data(GRIDS["full"])
    turns = full.grid.factors(np.arange(len(full.grid)))["orientation"]
    last = np.flatnonzero(turns == full.grid.sizes[2] - 1)[::6_000]
    assert (full.canonical_turn[..., -1] == 0).all() and 3 <= len(last) <= 4
    assert near_sprites(full, last, 255 * rendered(full, last), 0.0)["nearest_sprite"]["any"]["value"] == 1.0


def test_images_of_one_class_have_no_readouts():
    experiment = build_autoencoder(autoencoder.get_config("vae-16-digits"))
    data, model = experiment.data, experiment.model
    same = replace(data, train=replace(data.train, labels=np.zeros_like(data.train.labels)))
    coder = make_coder(model.moments, model.decode, {}, data.pixel_values, 10)
    found = readouts(replace(experiment, data=same), coder)
    assert found == (None, None, dict.fromkeys(("readout", "readout_baselines"), ONE_CLASS))


def test_usage_and_perplexity_of_a_codebook_have_the_errors_of_other_images():
    """Three of eight codes, of which one image alone uses one."""
    codes = np.eye(8, 3, dtype=np.float32)[np.random.default_rng(0).integers(0, 2, (50, 4, 4))]
    codes[3] = 5.0
    found = codebook(codes, 8)

    def statistic(of):
        def value(rows):
            _, counts = np.unique(codes[rows].reshape(-1, 3), axis=0, return_counts=True)
            return float(of(counts / counts.sum()))

        return jackknifed(value, len(codes))

    for name, of in (("usage", lambda p: len(p) / 8), ("perplexity", lambda p: np.exp(-(p * np.log(p)).sum()))):
        expected = statistic(of)
        assert expected["standard_error"] > 0
        assert found[f"codebook_{name}"] == pytest.approx(expected)


def test_a_distance_of_pixels_gives_no_likelihood_and_says_so():
    config = autoencoder.get_config("vae-16-digits")
    own = {"reconstruction.loss": "l1", "model.channels": 4, "evaluate.passes": 1, "evaluate.batch_size": 6}
    config.update_from_flattened_dict(own)
    experiment = build_autoencoder(config)
    data, model, params = experiment.data, experiment.model, initial_params(experiment.model, 0)
    coder, test = make_coder(model.moments, model.decode, params, data.pixel_values, 6), data.test.first(6)
    measured = EncodedImages(test, None, *coder.encode(test.levels, None))
    values, reasons = reconstruction(experiment, params, coder, measured, jax.random.key(0))
    for name in ("negative_log_likelihood", "bound_nats"):
        assert values[name] is values[f"{name}_standard_error"] is None
        assert "l1 distance is minimised" in reasons[name]
    assert values["rate_nats"] > 0 and values["reconstruction_sum"] > 0 and "rate_nats" not in reasons


def test_distance_to_the_nearest_sprite():
    pixels = 2.0 * rendered(DATA, some(30)).astype(np.float32) - 1
    np.testing.assert_allclose(sprite_distances(DATA, pixels), 0.0, atol=1e-6)
    np.testing.assert_allclose(sprite_distances(DATA, 0.8 * pixels), 0.1, rtol=1e-5)  # ±1 -> 0.2 of a range of 2
    noise = np.random.default_rng(0).uniform(-1, 1, pixels.shape).astype(np.float32)
    assert sprite_distances(DATA, noise).min() > 0.3


def test_batches_have_one_size_and_give_every_row_once():
    sizes = []

    def images_of(rows):
        sizes.append(len(rows))
        return np.broadcast_to(rows[:, None, None, None], (len(rows), 2, 2, 1))

    found = in_batches(images_of, 7, 3)
    assert sizes == [3, 3, 3]
    np.testing.assert_array_equal(found[:, 0, 0, 0], np.arange(7))
