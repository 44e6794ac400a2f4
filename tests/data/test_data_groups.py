"""Groups of classes: labels, what is left out, the fingerprint, and mistakes."""

import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.data.dataset import SPLITS
from vdm_jax.data.groups import parse_groups
from vdm_jax.data.sources import load_data
from vdm_jax.data.understood import understood

NAMES = ("airplane", "bird", "cat", "ship")
IMAGES = (np.arange(30 * 16) % 251).astype(np.uint8).reshape(30, 4, 4)
HALVES = "low=0,1,2,3,4+high=5,6,7,8,9"


def test_groups_are_the_labels_of_the_same_images():
    plain, data = load_data("digits"), load_data("digits", groups=HALVES)
    for name in SPLITS:
        before, after = getattr(plain, name), getattr(data, name)
        np.testing.assert_array_equal(after.stored, before.stored)
        np.testing.assert_array_equal(after.labels, before.labels >= 5)
    assert data.label_names == ("low", "high") and data.num_classes == 2 and data.name == "digits/low+high"
    assert data.fingerprint == plain.fingerprint, "a space of the images serves the groups too"
    assert "2 classes" in understood(data, "digits")


def test_images_of_no_group_are_left_out_and_said():
    plain, data = load_data("digits"), load_data("digits", groups="odd=1,3+four=4")
    kept = plain.test.stored[np.isin(plain.test.labels, (1, 3, 4))]
    np.testing.assert_array_equal(data.test.stored, kept)
    assert data.fingerprint != plain.fingerprint
    number = sum(len(getattr(plain, name)) - len(getattr(data, name)) for name in SPLITS)
    assert f"leaves out {number:,} images of '0', '2', '5'" in understood(data, "digits")
    small = load_data("digits", downsample=2, groups=HALVES)
    assert small.shape == (4, 4, 1) and small.num_classes == 2
    assert small.fingerprint == load_data("digits", downsample=2).fingerprint != plain.fingerprint


def test_classes_are_named_or_numbered():
    names, group_of = parse_groups("animal=bird, 2 + vehicle=0,ship", NAMES)
    assert names == ("animal", "vehicle") and group_of.tolist() == [1, 0, 0, 1]
    assert parse_groups("a=bird+b=cat", NAMES)[1].tolist() == [-1, 0, 1, -1]


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ("animal=bird", "one group; expected two or more"),
        ("animal=bird+vehicle", "'vehicle'; expected NAME=CLASS"),
        ("a=bird+a=cat", "with different names"),
        ("a=bird+b=", "expected NAME=CLASS"),
        ("a=bird+b=shipp", "did you mean 'ship'"),
        ("a=bird+b=4", "expected 'airplane', 'bird', 'cat', 'ship', or 0 … 3"),
        ("a=bird+b=1", "class '1' is named twice"),
    ],
)
def test_mistakes_name_the_way_out(groups, sentence):
    with pytest.raises(UserError, match=sentence):
        parse_groups(groups, NAMES)


def test_data_without_labels_or_with_factors_have_no_groups(tmp_path):
    np.savez(tmp_path / "plain.npz", x_train=IMAGES, x_test=IMAGES[:4])
    with pytest.raises(UserError, match="'plain' has no labels to be put together"):
        load_data("npz", name="plain", data_dir=str(tmp_path), groups="a=0+b=1")
    with pytest.raises(UserError, match="the data source 'sprites' has no such choice"):
        load_data("sprites", name="sparse", groups="a=0+b=1")


def test_a_group_without_images_in_a_split_is_refused(tmp_path):
    labels = {"y_train": np.arange(30) % 3, "y_test": [0, 1, 0, 1]}
    np.savez(tmp_path / "some.npz", x_train=IMAGES, x_test=IMAGES[:4], **labels)
    with pytest.raises(UserError, match="no test image is of the group 'c'"):
        load_data("npz", name="some", data_dir=str(tmp_path), groups="ab=0,1+c=2")
