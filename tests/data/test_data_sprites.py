"""Sprites: against an independent rendering of polygons, their symmetries, and every image where its factors say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.path import Path

from vdm_jax.base.errors import UserError
from vdm_jax.data.sprites import (
    FACTORS,
    GRIDS,
    SYMMETRY,
    SpriteGrid,
    feature_values,
    load_sprites,
    orientation_vectors,
    template,
)

FULL = load_sprites("full")


def boundary(shape: str, radius: float) -> np.ndarray:
    """Vertices of the shape, counterclockwise, its enclosing circle of that radius around the origin."""
    turn = np.linspace(0, 2 * np.pi, 2001)[:-1]
    if shape == "square":
        turn = np.pi / 4 + np.arange(4) * np.pi / 2
    x, y = np.cos(turn), np.sin(turn) * (0.5 if shape == "ellipse" else 1)
    if shape == "heart":  # (r² - 1)³ = r⁵ cos² sin³ along each ray, by bisection
        low, high = np.zeros_like(turn), np.full_like(turn, 2.0)
        for _ in range(50):
            r = (low + high) / 2
            inside = (r**2 - 1) ** 3 <= r**5 * np.cos(turn) ** 2 * np.sin(turn) ** 3
            low, high = np.where(inside, r, low), np.where(inside, high, r)
        x, y = low * np.cos(turn) / 1.25, (low * np.sin(turn) - 0.25) / 1.25
    return radius * np.stack([x, y], axis=1)


@pytest.mark.parametrize("shape", FULL.shapes)
@pytest.mark.parametrize(("scale", "orientation"), [(15.0, 0.0), (11.3, 0.7), (7.5, 4.1)])
def test_templates_are_the_polygons_of_a_finer_rendering(shape, scale, orientation):
    vertices = boundary(shape, scale)
    cos, sin = np.cos(orientation), np.sin(orientation)
    turned = vertices @ np.array([[cos, sin], [-sin, cos]])
    fine = 20
    ticks = (np.arange(31 * fine) + 0.5) / fine - 15.5
    x, y = np.meshgrid(ticks, -ticks)
    covered = Path(np.vstack([turned, turned[:1]])).contains_points(np.stack([x.ravel(), y.ravel()], axis=1))
    share = covered.reshape(31, fine, 31, fine).mean((1, 3))
    mine = template(shape, scale, orientation, 15)
    sure = abs(share - 0.5) > 0.05
    np.testing.assert_array_equal(mine[sure], (share > 0.5)[sure])
    assert (~sure).sum() < 30 and mine.sum() > 50
    assert np.hypot(*vertices.T).max() == pytest.approx(scale, rel=1e-3)


@pytest.mark.parametrize("shape", FULL.shapes)
def test_symmetries(shape):
    """The same image after a turn by 2π/k, another one after half of that."""
    turn, k = 0.3, SYMMETRY[shape]
    image, same, half = (template(shape, 14.0, turn + extra, 15) for extra in (0, 2 * np.pi / k, np.pi / k))
    assert (image != same).sum() <= 2 and (image != half).sum() > 40
    upright = template(shape, 14.0, 0.0, 15)
    np.testing.assert_array_equal(upright, upright[:, ::-1])


def test_the_full_grid_has_dsprites_factors():
    assert FULL.sizes == (3, 6, 40, 32, 32) and len(FULL) == 737_280 and FULL.side == 64
    np.testing.assert_array_equal(FULL.templates[0], FULL.templates[39])  # 0 and 2π
    vectors = orientation_vectors(FULL)
    np.testing.assert_allclose(vectors[:, 0], vectors[:, -1], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, rtol=1e-6)


def trimmed(mask: np.ndarray) -> bytes:
    rows, columns = np.where(mask.any(1))[0], np.where(mask.any(0))[0]
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return bytes(part.shape) + part.tobytes()


@pytest.mark.parametrize("name", sorted(set(GRIDS) - {"full"}))
def test_no_two_images_of_a_sub_grid_are_equal(name):
    """No template is another one, shifted or not."""
    grid = load_sprites(name)
    assert len({trimmed(mask) for mask in grid.templates}) == grid.num_templates


@pytest.mark.parametrize("name", GRIDS)
def test_images_are_their_templates_shifted_to_where_the_factors_say(name):
    grid = load_sprites(name)
    index = np.random.default_rng(0).integers(0, len(grid), 20)
    index[:2] = 0, len(grid) - 1
    images = np.asarray(grid.render(jnp.asarray(index)))
    assert images.shape == (20, grid.side, grid.side, 1) and set(np.unique(images)) == {-1.0, 1.0}
    factors = grid.factors(index)
    np.testing.assert_array_equal(grid.index(factors), index)
    assert tuple(factors) == FACTORS
    assert all(values.max() < n for values, n in zip(factors.values(), grid.sizes, strict=True))
    for i, image in enumerate(images[..., 0]):
        kind = np.ravel_multi_index([factors[name][i] for name in FACTORS[:3]], grid.sizes[:3])
        left, top = grid.offsets[factors["x"][i]], grid.offsets[factors["y"][i]]
        expected = -np.ones((grid.side, grid.side))
        expected[top : top + grid.window, left : left + grid.window] += 2 * grid.templates[kind]
        np.testing.assert_array_equal(image, expected)


def test_nothing_is_cut_off():
    for grid in GRIDS.values():
        assert min(grid.offsets) >= 0 and max(grid.offsets) + grid.window <= grid.side


def test_splits_are_disjoint_complete_and_the_same_each_time():
    grid = load_sprites("small")
    splits, again = grid.splits(), grid.splits()
    assert [len(part) for part in splits.values()] == [7372, 922, 922]
    np.testing.assert_array_equal(np.sort(np.concatenate(list(splits.values()))), np.arange(len(grid)))
    assert all(np.array_equal(splits[name], again[name]) for name in splits)
    counts = np.bincount(grid.factors(splits["test"])["shape"])
    assert counts.min() > 250


TURNED = SpriteGrid("turned", 16, 4, (0.3, 1.0), (0.0, 0.05, np.pi, 2 * np.pi), (0, 2, 4), ("square", "heart"))


@pytest.mark.parametrize("grid", [FULL, TURNED])
def test_no_test_image_has_a_twin_in_train(grid):
    """Equal images have equal numbers and are in one split; no split is smaller for it."""
    places = len(grid.offsets) ** 2
    index = np.arange(0, len(grid), places)  # every template at the first place, and a pixel to the right
    index = np.concatenate([index, index + len(grid.offsets)])
    images = np.asarray(grid.render(jnp.asarray(index))).reshape(len(index), -1)
    equal = np.unique(images, axis=0, return_inverse=True)[1].reshape(-1)
    numbers = np.unique(grid.image_numbers(index), return_inverse=True)[1].reshape(-1)
    np.testing.assert_array_equal(equal[:, None] == equal[None], numbers[:, None] == numbers[None])
    splits = grid.splits()
    np.testing.assert_array_equal(np.sort(np.concatenate(list(splits.values()))), np.arange(len(grid)))
    of_split = {name: set(grid.image_numbers(part).tolist()) for name, part in splits.items()}
    assert sum(map(len, of_split.values())) == len(set.union(*of_split.values())) < 0.95 * len(grid)
    shares = [len(part) / len(grid) for part in splits.values()]
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=3 / len(grid) + 1e-3)


@pytest.mark.parametrize("name", sorted(set(GRIDS) - {"full"}))
def test_where_no_two_images_are_equal_the_splits_are_parts_of_one_order(name):
    grid = load_sprites(name)
    order = np.random.RandomState(0).permutation(len(grid))
    ends = int(0.8 * len(grid)), int(0.9 * len(grid))
    for part, expected in zip(grid.splits().values(), np.split(order, ends), strict=True):
        np.testing.assert_array_equal(part, expected)


def test_positions_differ_as_the_theory_says():
    """Two independent x of 32 in [0, 1]: mean square .1774; the mean as a guess: .0887."""
    x = feature_values(FULL, "x")
    np.testing.assert_allclose(np.mean((x[:, None] - x[None]) ** 2), 0.1774, atol=1e-4)
    np.testing.assert_allclose(np.var(x), 0.0887, atol=1e-4)
    with pytest.raises(UserError, match="factor='shape' is no scalar"):
        feature_values(FULL, "shape")


def test_unknown_grid():
    with pytest.raises(UserError, match=r"sprite grid='smal'; expected one of .*did you mean 'small'\?"):
        load_sprites("smal")


def test_rendering_is_part_of_a_compiled_program(key):
    grid = load_sprites("small")
    noisy = jax.jit(lambda key: grid.render(jax.random.randint(key, (4,), 0, len(grid))).mean())
    assert -1 < noisy(key) < 0


def test_a_spread_sample_is_even_in_every_factor_and_takes_each_image_as_often(key):
    grid = SpriteGrid("even", 16, 4, (0.7, 1.0), (0.0, 0.5, 1.0), (0, 2, 4, 6), ("square", "heart"))
    keys = jax.random.split(key, 800)
    found = np.asarray(jax.vmap(lambda key: grid.spread(key, 12))(keys))
    for sample in found[:5]:
        factors = grid.factors(sample)
        kinds = factors["shape"] * 2 + factors["scale"]
        for values, size in ((kinds, 4), (factors["orientation"], 3), (factors["x"], 4), (factors["y"], 4)):
            np.testing.assert_array_equal(np.bincount(values, minlength=size), 12 // size)
    often = np.bincount(found.ravel(), minlength=len(grid))
    expected = found.size / len(grid)
    assert abs(often - expected).max() < 5 * np.sqrt(expected), "each image is as likely as any other"
