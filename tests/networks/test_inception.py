"""InceptionV3's shapes, its pools and its inputs; its numbers are tested with its weights file, in tests/evals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.pytrees import num_parameters
from vdm_jax.networks.inception import (
    BLOCKS,
    Block,
    average_pool,
    inception_input,
    make_inception,
    max_pool,
    shrink,
)


@pytest.mark.slow
def test_known_counts():
    """21,785,568 parameters before the classifier, as everywhere; two statistics for each of 17,216 channels."""
    params = jax.eval_shape(make_inception().init, jax.random.key(0))
    paths = [(path[-1].key, leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)]
    statistics = num_parameters([leaf for kind, leaf in paths if kind in ("mean", "var")])
    assert num_parameters(params) - statistics == 21_785_568
    assert statistics == 2 * 17_216 and sum(kind == "kernel" for kind, _ in paths) == 94
    assert set(params) >= set(BLOCKS) and params["Mixed_6b"]["branch7x7_2"]["kernel"].shape == (1, 7, 128, 128)


def test_sizes_after_each_block():
    """Szegedy et al., table 1, from 35x35 on."""
    h = jax.ShapeDtypeStruct((1, 35, 35, 192), jnp.float32)
    sizes = []
    for branches in BLOCKS.values():
        h = jax.eval_shape(lambda h, b=branches: Block(b).init_with_output(jax.random.key(0), h)[0], h)
        sizes.append(h.shape[1:])
    widths = [(35, 256), (35, 288), (35, 288), *[(17, 768)] * 5, (8, 1280), (8, 2048), (8, 2048)]
    assert sizes == [(side, side, width) for side, width in widths]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 28, 28, 1), (2, 32, 48, 3), (2, 600, 600, 3)])
def test_every_image_gives_2048_features(shape):
    model = make_inception()
    params = jax.eval_shape(model.init, jax.random.key(0))
    features = jax.eval_shape(model.apply, params, jax.ShapeDtypeStruct(shape, jnp.float32))
    assert features.shape == (shape[0], 2048) and features.dtype == jnp.float32


def test_pools_leave_the_padding_out():
    h = -jnp.arange(1.0, 17.0).reshape(1, 4, 4, 1)
    corner, edge = float(average_pool(h)[0, 0, 0, 0]), float(average_pool(h)[0, 0, 1, 0])
    assert corner == -(1 + 2 + 5 + 6) / 4 and edge == pytest.approx(-(1 + 2 + 3 + 5 + 6 + 7) / 6)
    assert max_pool(h)[0, :, :, 0].tolist() == [
        [-1, -1, -2, -3],
        [-1, -1, -2, -3],
        [-5, -5, -6, -7],
        [-9, -9, -10, -11],
    ]
    assert shrink(h).shape == (1, 1, 1, 1) and float(shrink(h)[0, 0, 0, 0]) == -1


def bilinear(row, side):
    """Pixel centres at half-integers; beyond the first and the last the edge is repeated."""
    at = (np.arange(side) + 0.5) * len(row) / side - 0.5
    return np.interp(at, np.arange(len(row)), row)


@pytest.mark.parametrize(("height", "width"), [(28, 28), (8, 31), (75, 75), (301, 640)])
def test_resizing_is_bilinear_without_antialiasing(height, width):
    image = np.random.default_rng(0).random((height, width)).astype(np.float32)
    rows = np.stack([bilinear(row, 75) for row in image])
    expected = np.stack([bilinear(column, 75) for column in rows.T]).T
    found = inception_input(jnp.asarray(image)[None, :, :, None], 75)
    float32 = 4e-7 * max(height, width, 75)  # of a pixel's place, as in PyTorch
    np.testing.assert_allclose(found[0, :, :, 0], 2 * expected - 1, atol=float32)


def test_grey_is_colour_of_three_equal_channels():
    grey = jnp.asarray(np.random.default_rng(0).random((2, 9, 7, 1)).astype(np.float32))
    found = inception_input(grey, 80)
    assert found.shape == (2, 80, 80, 3)
    np.testing.assert_array_equal(found, inception_input(jnp.repeat(grey, 3, axis=-1), 80))
    for level in (0.0, 1.0):
        np.testing.assert_allclose(inception_input(jnp.full((1, 8, 8, 1), level), 75), 2 * level - 1, atol=1e-6)


@pytest.mark.slow
def test_mistakes():
    with pytest.raises(UserError, match="images of 2 channels"):
        inception_input(jnp.zeros((1, 8, 8, 2)), 75)
    with pytest.raises(UserError, match="side=64; InceptionV3 takes images of 75x75 or more"):
        make_inception(64)
