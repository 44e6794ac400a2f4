"""The line that says what was understood of a data set, and what is odd about it."""

import numpy as np
import pytest

from vdm_jax.data.sources import load_data
from vdm_jax.data.understood import understood


def load(tmp_path, **change):
    images = np.arange(80 * 30).reshape(80, 6, 5).astype(np.uint8)
    content = {"x_train": images[:60], "x_test": images[60:], "y_train": np.arange(60) % 3, "y_test": np.arange(20) % 3}
    np.savez(tmp_path / "mine.npz", **{name: value for name, value in (content | change).items() if value is not None})
    return load_data("npz", name="mine", data_dir=str(tmp_path))


def test_what_is_read_is_said():
    told = "data: digits: 1,297 train, 200 validation, 300 test images of 8 x 8 x 1, 17 levels, 10 classes"
    assert understood(load_data("digits"), "digits") == told
    told = "data: sprites sparse: 614 train, 77 validation, 77 test images of 32 x 32 x 1, 2 levels, 3 classes"
    assert understood(load_data("sprites", name="sparse"), "sprites") == told


def test_of_a_file(tmp_path):
    sizes = "data: mine (npz): 54 train, 6 validation, 20 test images of 6 x 5 x 1, 256 levels"
    assert understood(load(tmp_path), "npz") == f"{sizes}, 3 classes"
    assert understood(load(tmp_path, y_train=None, y_test=None), "npz") == f"{sizes}, no labels"


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"weights": np.zeros(3), "ids": np.zeros(2)}, "ignores 'weights', 'ids'"),
        ({"x_train": np.zeros((60, 6, 5), np.uint8), "x_test": np.zeros((9, 6, 5), np.uint8), "y_test": np.arange(9)},
         "all pixels of all images are 0"),
        ({"x_train": np.ones((60, 6, 5), np.uint8), "x_test": np.zeros((20, 6, 5), np.uint8)},
         "no level is above 1 of 255: --config.data.num_levels=2 is right if there are no others"),
        ({"x_test": np.ones((20, 6, 5), np.uint8)}, "no level of the test images is above 1, of the others up to 255"),
        ({"y_train": 1 + np.arange(60) % 3, "y_test": 1 + np.arange(20) % 3}, "no image is of class '0'"),
        ({"y_test": 5 + np.arange(20) % 2}, "no training image is of class '5', '6', which other splits have"),
        ({"y_train": 100 * (np.arange(60) % 3), "y_test": np.zeros(20, int)}, "198 of 201 classes have no images"),
        ({"y_train": np.minimum(np.arange(60), 1)}, "fewer than 10 training images are of class '0'"),
        ({"y_train": np.zeros(60, int), "y_test": np.zeros(20, int)}, "all training images are of one class"),
    ],
)  # fmt: skip
def test_what_is_odd_is_named(tmp_path, change, note):
    assert note in understood(load(tmp_path, **change), "npz")
