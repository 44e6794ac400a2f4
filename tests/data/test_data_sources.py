"""The front door: grids of sprites by the name of their source, and the protocol that every source satisfies."""

import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.data.dataset import Dataset
from vdm_jax.data.sources import load_data
from vdm_jax.data.sprites import GRIDS


def test_a_rendered_grid():
    assert load_data("sprites", name="small").grid is GRIDS["small"]


@pytest.mark.parametrize("data", [load_data("digits"), load_data("sprites", name="sparse")], ids=lambda data: data.name)
def test_images_and_sprites_satisfy_one_protocol(data):
    assert isinstance(data, Dataset) and data.num_dims == np.prod(data.shape)
    part = data.test.first(5)
    assert len(part) == 5 and part.levels.shape == (5, *data.shape) and part.labels.max() < data.num_classes
    np.testing.assert_array_equal(data.levels_of(part.stored), part.levels)
    np.testing.assert_array_equal(data.take(part.stored), data.pixel_values[part.levels])


def test_labels_of_sprites_are_their_shapes():
    data = load_data("sprites", name="sparse")
    assert data.label_names == ("square", "ellipse", "heart")
    np.testing.assert_array_equal(data.train.labels, data.grid.factors(data.train.stored)["shape"])


def test_the_entropy_is_known_of_sprites_alone():
    assert load_data("digits").entropy_nats is None and load_data("digits").grid is None
    assert load_data("sprites", name="sparse").entropy_nats is None, "held-out images have no such floor"
    assert load_data("sprites", name="sparse", split="population").entropy_nats == pytest.approx(np.log(768))
    full = load_data("sprites", name="full", split="population")  # with equal images: below ln of all indices
    _, count = np.unique(full.grid.templates.reshape(720, -1), axis=0, return_counts=True)
    p = np.repeat(count / 720 / 1024, 1024)
    assert full.entropy_nats == pytest.approx(-(p * np.log(p)).sum()) and full.entropy_nats < np.log(737_280)


def test_a_population_is_all_images_in_every_split():
    holdout, population = (load_data("sprites", name="sparse", split=split) for split in ("holdout", "population"))
    assert len(holdout.train) == 614 and len(population.train) == len(population.test) == 768
    assert set(population.test.labels[:20]) == {0, 1, 2}, "the first images represent the whole"
    assert len(np.unique(population.validation.stored)) == 768 and population.fingerprint != holdout.fingerprint


@pytest.mark.parametrize(
    ("source", "settings", "sentence"),
    [
        ("sprites", {"name": "smal"}, "did you mean 'small'"),
        ("sprites", {"name": "small", "data_dir": "here"}, "data_dir='here': the data source 'sprites' has no such"),
        ("sprites", {"name": "small", "downsample": 2}, "downsample=2: the data source 'sprites' has no such choice"),
        ("sprites", {"name": "small", "split": "populatio"}, "did you mean 'population'"),
        ("keras", {"name": "mnist"}, "did you mean --config.data.source=npz"),
        ("ImageFolder", {}, "did you mean --config.data.source=folder"),
        ("mine/pets", {}, "did you mean --config.data.source=folder --config.data.dir=mine/pets"),
        ("mine/a.npz", {}, "did you mean --config.data.source=npz --config.data.dir=mine --config.data.name=a"),
        ("digits", {"name": "mnist"}, "expected 'digits', or --config.data.source=npz"),
        ("dsprite", {"name": "small"}, "did you mean 'dsprites'"),
        ("dsprites", {"name": "nothing.npz"}, "no file 'nothing.npz'"),
        ("digits", {"split": "population"}, "data.split='population' is for data.source='sprites' or 'dsprites', not"),
        ("npz", {}, "the data source 'npz' needs a name"),
    ],
)
def test_mistakes(source, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        load_data(source, **settings)
