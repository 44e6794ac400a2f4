import dataclasses

import numpy as np
import pytest
from sklearn import datasets

from vdm_jax.base.errors import UserError
from vdm_jax.data.dataset import stratified_parts
from vdm_jax.data.sources import load_data


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def test_split_sizes_shapes_and_values(digits):
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (1297, 200, 300)
    assert digits.shape == (8, 8, 1) and digits.num_dims == 64
    assert digits.num_levels == 17 and digits.num_classes == 10
    np.testing.assert_allclose(digits.pixel_values[[0, 8, 16]], [-16 / 17, 0, 16 / 17], atol=1e-7)
    assert {split.levels.dtype.name for split in (digits.train, digits.validation, digits.test)} == {"uint8"}


def test_splits_are_disjoint_and_together_the_whole(digits):
    images, labels = datasets.load_digits(return_X_y=True)
    whole = sorted(
        image.astype(np.uint8).tobytes() + bytes([label]) for image, label in zip(images, labels, strict=True)
    )
    splits = (digits.train, digits.validation, digits.test)
    parts = [image.tobytes() + bytes([label]) for s in splits for image, label in zip(s.levels, s.labels, strict=True)]
    assert len(set(whole)) == 1797  # no duplicates, so equality of the sorted lists means disjoint
    assert sorted(parts) == whole


def test_split_is_stratified(digits):
    whole = np.bincount(datasets.load_digits().target)
    for split in (digits.train, digits.validation, digits.test):
        expected = whole * len(split) / 1797
        assert np.abs(np.bincount(split.labels) - expected).max() < 2


def test_split_never_moves(digits):
    assert digits.fingerprint == load_data("digits").fingerprint == "776b09076543"


def test_fingerprint_covers_labels_and_levels(digits):
    labels = digits.test.labels.copy()
    labels[0] += 1
    changed = dataclasses.replace(digits, test=dataclasses.replace(digits.test, labels=labels))
    assert changed.fingerprint != digits.fingerprint


def test_downsample_averages_squares_and_rounds(digits):
    small = load_data("digits", downsample=2)
    assert small.shape == (4, 4, 1) and small.num_levels == 17
    means = digits.test.levels.reshape(300, 4, 2, 4, 2, 1).mean((2, 4))
    np.testing.assert_array_equal(small.test.levels, np.floor(means + 0.5))
    with pytest.raises(UserError, match="downsample=3 does not divide the 8x8 images"):
        load_data("digits", downsample=3)


def test_stratified_parts_without_enough_members():
    parts = stratified_parts(np.array([0] * 7 + [1]), (4, 4), seed=0)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(8))


def test_unknown_source_and_settings_that_do_not_apply():
    with pytest.raises(UserError, match="did you mean 'digits'"):
        load_data("digit")
    with pytest.raises(UserError, match="validation_size=50: the data source 'digits' has no such choice"):
        load_data("digits", validation_size=50)
    with pytest.raises(UserError, match="needs a name"):
        load_data("npz")
