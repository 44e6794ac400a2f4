import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.data.sprite_data import COARSE, make_sprite_data, rendered
from vdm_jax.data.sprite_posterior import make_sprite_posterior
from vdm_jax.data.sprites import FACTORS, GRIDS, load_sprites


@pytest.fixture(scope="module")
def small():
    return make_sprite_data(load_sprites("small"))


def test_a_split_is_indices_and_an_image_is_rendered_from_one(small):
    parts = [getattr(small, split).stored for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [7372, 922, 922] and small.shape == (32, 32, 1)
    assert len(np.unique(np.concatenate(parts))) == len(small.grid) == 9216
    assert all(part.ndim == 1 and part.dtype == np.int32 for part in parts), "no images are held"
    index = parts[2][:7]
    levels = rendered(small, index, batch_size=3)
    assert levels.dtype == np.uint8 and len(rendered(small, index[:0])) == 0
    np.testing.assert_array_equal(small.pixel_values[levels], small.grid.render(jnp.asarray(index)))


def test_the_fingerprint_tells_grids_apart(small):
    same, other = (make_sprite_data(load_sprites(name)).fingerprint for name in ("small", "distinct"))
    assert small.fingerprint == same != other


def test_turns_that_look_the_same_are_one():
    full = make_sprite_data(load_sprites("full"))
    distinct = len(np.unique(GRIDS["full"].templates.reshape(720, -1), axis=0))
    kinds = {(s, r, full.canonical_turn[s, r, o]) for s, r, o in np.ndindex(3, 6, 40)}
    assert len(kinds) == distinct < 720 and (full.canonical_turn[..., -1] == 0).all(), "2π is 0"


def test_labels_of_the_small_grid_are_its_factors(small):
    index = np.arange(len(small.grid))
    factors = small.grid.factors(index)
    labels = small.labels(factors)
    assert all(np.array_equal(labels[name], factors[name]) for name in FACTORS), "its images are all distinct"
    assert np.bincount(labels["coarse x"]).tolist() == [len(index) // COARSE] * COARSE
    assert {name: labels[name].max() + 1 for name in labels} == small.label_sizes


def test_the_nearest_sprite_is_the_nearest_of_all(small):
    random = np.random.default_rng(0)
    index = random.integers(0, len(small.grid), 6)
    everything = rendered(small, np.arange(len(small.grid))).reshape(len(small.grid), -1)
    images = everything[index].copy()
    flipped = random.random(images.shape) < np.array([0, 0, 0.05, 0.1, 0.2, 0.3])[:, None]
    images = np.where(flipped, 1 - images, images)
    images[5] = 0  # a blank image: its nearest is a smallest sprite
    found = make_sprite_posterior(small.grid).nearest(jnp.asarray(small.pixel_values[images].reshape(-1, 32, 32, 1)))
    distance = np.array([(everything != image).sum(1) for image in images])
    np.testing.assert_array_equal(distance[np.arange(6), found], distance.min(1))
    np.testing.assert_array_equal(found[:2], index[:2])


def test_fingerprints_of_stored_runs_stay(small):
    assert (
        small.fingerprint == "941925b11b75" and make_sprite_data(load_sprites("sparse")).fingerprint == "22c9f0f6de6f"
    )
