"""Grey levels, the values that models see, and images for people."""

import numpy as np
import pytest

from vdm_jax.base.images import even_pixel_values, image_grid, num_images, read_images, to_pixels, to_unit


@pytest.mark.parametrize(
    ("num_levels", "first", "last"), [(256, -255 / 256, 255 / 256), (17, -16 / 17, 16 / 17), (2, -0.5, 0.5)]
)
def test_pixel_values_are_even_and_symmetric(num_levels, first, last):
    values = even_pixel_values(num_levels)
    assert values.dtype == np.float32 and values.shape == (num_levels,)
    np.testing.assert_allclose(values[[0, -1]], [first, last], rtol=1e-6)
    np.testing.assert_allclose(np.diff(values), 2 / num_levels, rtol=1e-4)
    np.testing.assert_allclose(values, -values[::-1], atol=1e-7)


def test_five_levels_by_hand():
    np.testing.assert_allclose(even_pixel_values(5), [-0.8, -0.4, 0.0, 0.4, 0.8], atol=1e-7)


def test_levels_to_pixels_whatever_the_dtype():
    values = np.array([-1.0, 0.25, 3.0], np.float32)
    levels = np.array([[2, 0], [1, 1]])
    for dtype in (np.uint8, np.uint16, np.int32):
        np.testing.assert_array_equal(to_pixels(levels.astype(dtype), values), [[3.0, -1.0], [0.25, 0.25]])


def test_levels_to_the_unit_interval():
    unit = to_unit(np.array([0, 4, 8, 16], np.uint8), 17)
    np.testing.assert_array_equal(unit, [0.0, 0.25, 0.5, 1.0])
    assert unit.dtype == np.float32
    np.testing.assert_array_equal(to_unit(np.array([0, 65535], np.uint16), 65536), [0.0, 1.0])


def test_grid_lays_images_out_row_by_row_on_mid_grey():
    images = np.stack([np.full((2, 3, 1), value, np.float32) for value in (0.0, 0.2, 0.4, 0.6, 0.8)])
    grid = image_grid(images, num_columns=2)
    assert grid.shape == (3 * (2 + 1) + 1, 2 * (3 + 1) + 1, 1)
    for i, image in enumerate(images):
        top, left = 1 + 3 * (i // 2), 1 + 4 * (i % 2)
        np.testing.assert_array_equal(grid[top : top + 2, left : left + 3], image)
    ground = np.ones(grid.shape, bool)
    ground[1:3, 1:4] = ground[1:3, 5:8] = ground[4:6, 1:4] = ground[4:6, 5:8] = ground[7:9, 1:4] = False
    np.testing.assert_array_equal(grid[ground], 0.5)


def test_grid_keeps_colour_and_takes_another_margin():
    image = np.random.default_rng(0).random((1, 4, 4, 3)).astype(np.float32)
    grid = image_grid(image, num_columns=3, pad=2)
    assert grid.shape == (8, 20, 3)
    np.testing.assert_array_equal(grid[2:6, 2:6], image[0])
    np.testing.assert_array_equal(grid[2:6, 8:], 0.5)


def test_a_damaged_file_has_no_images_however_it_is_compressed(tmp_path):
    path, images = tmp_path / "earlier.npz", np.arange(240, dtype=np.uint8).reshape(5, 4, 4, 3)
    np.savez_compressed(path, images=images)
    np.testing.assert_array_equal(np.concatenate(list(read_images(path))), images)
    content = bytearray(path.read_bytes())
    content[60:90] = b"\xff" * 30  # the start of the compressed array: no block of zlib begins so
    path.write_bytes(content)
    assert num_images(path) == 0
    with pytest.raises(ValueError):
        list(read_images(path))
