"""Sprites: the generative factors of dSprites (Matthey et al. 2017), rendered on the device from factor indices.

Every image is one of a few hundred templates (shape, scale, orientation) in a window, shifted by whole pixels. The data
set is a table of templates and a table of shifts; its images are never all in memory.
"""

import math
from dataclasses import dataclass
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer, Key

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import named_key

FACTORS = ("shape", "scale", "orientation", "x", "y")
SAMPLES = 8  # points along the side of a pixel; a pixel is on where half of its points are covered
HEART_CENTRE, HEART_RADIUS = 0.25, 1.25  # the circle around (u² + v² - 1)³ <= u² v³

Points = Float[np.ndarray, "*shape"]


def in_square(u: Points, v: Points) -> Bool[np.ndarray, "*shape"]:
    """Corners on the unit circle."""
    return np.maximum(abs(u), abs(v)) <= math.sqrt(0.5)


def in_ellipse(u: Points, v: Points) -> Bool[np.ndarray, "*shape"]:
    """Half axes 1 and ½."""
    return u**2 + (2 * v) ** 2 <= 1


def in_heart(u: Points, v: Points) -> Bool[np.ndarray, "*shape"]:
    """(u² + v² - 1)³ <= u² v³, its smallest enclosing circle made the unit circle."""
    u, v = HEART_RADIUS * u, HEART_RADIUS * v + HEART_CENTRE
    return (u**2 + v**2 - 1) ** 3 <= u**2 * v**3


SHAPES = {"square": in_square, "ellipse": in_ellipse, "heart": in_heart}
SYMMETRY = {"square": 4, "ellipse": 2, "heart": 1}  # k: a turn by 2π/k leaves the shape unchanged


@dataclass(frozen=True)
class SpriteGrid:
    """All combinations of the factors' values; an index has the factors as its digits, shape first and y last.

    scales: radius of the circle around the shape, relative to `radius` pixels. orientations: radians, counterclockwise.
    offsets: left and top edge of the window, pixels, the same for x and y.
    """

    name: str
    side: int  # of the image
    radius: int  # pixels, of scale 1; the window's side is 2 radius + 1
    scales: tuple[float, ...]
    orientations: tuple[float, ...]
    offsets: tuple[int, ...]
    shapes: tuple[str, ...] = tuple(SHAPES)

    @property
    def window(self) -> int:
        """Side of the window of a template, pixels."""
        return 2 * self.radius + 1

    @property
    def sizes(self) -> tuple[int, int, int, int, int]:
        """The number of values of each factor."""
        return (len(self.shapes), len(self.scales), len(self.orientations), len(self.offsets), len(self.offsets))

    def __len__(self) -> int:
        return math.prod(self.sizes)

    @property
    def num_templates(self) -> int:
        return math.prod(self.sizes[:3])

    @cached_property
    def templates(self) -> Bool[np.ndarray, "t w w"]:
        """A window for each shape, scale and orientation, in that order."""
        combinations = [(s, r, o) for s in self.shapes for r in self.scales for o in self.orientations]
        return np.stack(
            [template(shape, scale * self.radius, turn, self.radius) for shape, scale, turn in combinations]
        )

    def factors(self, index: Integer[Array | np.ndarray, "*n"]) -> dict[str, Int[np.ndarray, "*n"]]:
        """The index of each factor's value by name."""
        return dict(zip(FACTORS, np.unravel_index(np.asarray(index), self.sizes), strict=True))

    def index(self, factors: dict[str, Integer[np.ndarray, "*n"]]) -> Int[np.ndarray, "*n"]:
        """The image with these factor indices."""
        return np.ravel_multi_index(tuple(factors[name] for name in FACTORS), self.sizes)

    def render(self, index: Integer[Array, " b"]) -> Float[Array, "b height width 1"]:
        """The images with these indices, pixels of ±1; traced into what calls it."""
        return _render(jnp.asarray(self.templates), jnp.asarray(self.offsets), index, side=self.side, sizes=self.sizes)

    def spread(self, key: Key[Array, ""], num: int) -> Int[Array, " n"]:
        """Indices of `num` images, each as likely as any, spread more evenly over the factors than independent draws.

        A Latin hypercube (McKay et al. 1979): the values of shape with scale, of orientation, of x and of y are each
        cut into `num` equal parts. Each part is drawn from once, in an independent order for each factor.
        """
        shape, scale, *others = self.sizes
        parts = {"kind": shape * scale} | dict(zip(FACTORS[2:], others, strict=True))
        found = []
        for name, size in parts.items():
            part = jax.random.permutation(named_key(key, f"{name} order"), num)
            within = jax.random.uniform(named_key(key, f"{name} within"), (num,))
            found.append(jnp.minimum(jnp.floor((part + within) * size / num), size - 1).astype(jnp.int32))
        return jnp.ravel_multi_index(tuple(found), tuple(parts.values()), mode="clip")

    def image_numbers(self, index: Integer[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """A number for each image; two are equal where the images are, such as those of turns by 0 and 2π."""
        kind, x, y = np.unravel_index(index, (self.num_templates, *self.sizes[3:]))
        sprites, top, left = (part[kind] for part in self._sprites)
        rows, columns = (np.asarray(self.offsets)[place] for place in (y, x))
        return (sprites * self.side + top + rows) * self.side + left + columns

    @cached_property
    def _sprites(self) -> tuple[Int[np.ndarray, " t"], ...]:
        """Of each template the number of its sprite, cut out of the window, and the sprite's first row and column."""
        found: dict[tuple[int, bytes], int] = {}
        numbers, tops, lefts = [], [], []
        for window in self.templates:
            rows, columns = (np.flatnonzero(window.any(axis)) for axis in (1, 0))
            sprite = window[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            numbers.append(found.setdefault((len(sprite), sprite.tobytes()), len(found)))
            tops.append(rows[0])
            lefts.append(columns[0])
        return np.array(numbers), np.array(tops), np.array(lefts)

    def splits(self, seed: int = 0) -> dict[str, Int[np.ndarray, " n"]]:
        """Indices of train, validation and test, 80/10/10, shuffled the same way in every run.

        Equal images, such as turns by 0 and 2π, are in one split: no image of one is in another.
        """
        order = np.random.RandomState(seed).permutation(len(self)).astype(np.int32)
        _, first, number, count = np.unique(
            self.image_numbers(order), return_index=True, return_inverse=True, return_counts=True
        )
        by_place = np.argsort(first)  # distinct images, in the order of their first indices
        before = np.empty_like(count)  # the number of images ahead of those equal to each
        before[by_place] = np.cumsum(count[by_place]) - count[by_place]
        ends = [int(share * len(order)) for share in (0.8, 0.9)]
        part = np.searchsorted(ends, before[number], side="right")
        return {name: order[part == i] for i, name in enumerate(("train", "validation", "test"))}


def template(shape: str, radius: float, orientation: float, half_side: int) -> Bool[np.ndarray, "w w"]:
    """The pixels that the shape covers by at least half; its centre is the middle of the window, y points upwards."""
    inside = choose("shape", shape, SHAPES)
    ticks = (np.arange((2 * half_side + 1) * SAMPLES) + 0.5) / SAMPLES - half_side - 0.5
    x, y = np.meshgrid(ticks, -ticks)
    cos, sin = math.cos(orientation), math.sin(orientation)
    covered = inside((cos * x + sin * y) / radius, (cos * y - sin * x) / radius)
    return covered.reshape(2 * half_side + 1, SAMPLES, -1, SAMPLES).mean((1, 3)) >= 0.5


@partial(jax.jit, static_argnames=("side", "sizes"))
def _render(
    templates: Bool[Array, "t w w"],
    offsets: Int[Array, " p"],
    index: Integer[Array, " b"],
    *,
    side: int,
    sizes: tuple[int, ...],
) -> Float[Array, "b height width 1"]:
    kind, x, y = jnp.unravel_index(index, (math.prod(sizes[:3]), *sizes[3:]))
    window = templates.shape[-1]

    def within(offset):  # the place of each row or column of the image in the window
        place = jnp.arange(side)[None, :] - offsets[offset][:, None]
        return jnp.clip(place, 0, window - 1), (place >= 0) & (place < window)

    (rows, in_rows), (columns, in_columns) = within(y), within(x)
    on = templates[kind[:, None, None], rows[:, :, None], columns[:, None, :]]
    on = on & in_rows[:, :, None] & in_columns[:, None, :]
    return jnp.where(on, 1.0, -1.0)[..., None]


def _turns(num: int) -> tuple[float, ...]:
    """The orientations of dSprites, with both 0 and 2π."""
    return tuple(np.linspace(0, 2 * np.pi, num).tolist())


def _distinct_turns(num: int) -> tuple[float, ...]:
    """Evenly spaced in [0, π/2), so that no symmetry makes two of them equal."""
    return tuple((np.arange(num) * np.pi / 2 / num).tolist())


# Only "full" has equal images: an angle of 2π is one of 0, and small shapes turn by less than a pixel.
GRIDS = {
    grid.name: grid
    for grid in (
        SpriteGrid("full", 64, 15, tuple(np.linspace(0.5, 1, 6).tolist()), _turns(40), tuple(range(1, 33))),
        SpriteGrid("distinct", 64, 15, (0.6, 0.8, 1.0), _distinct_turns(8), tuple(range(1, 33))),
        SpriteGrid("small", 32, 7, (0.6, 0.8, 1.0), _distinct_turns(4), tuple(range(1, 17))),
        SpriteGrid("sparse", 32, 7, (0.7, 1.0), _distinct_turns(2), tuple(range(1, 17, 2))),
    )
}


def load_sprites(name: str) -> SpriteGrid:
    """The grid called `name`, one of `GRIDS`."""
    return choose("sprite grid", name, GRIDS)


def feature_values(grid: SpriteGrid, factor: str) -> Float[np.ndarray, " c"]:
    """The values to regress: scale itself, x and y as 0 … 1. Raises `UserError` for a factor that is not a scalar."""
    if factor == "scale":
        return np.asarray(grid.scales, np.float32)
    if factor in ("x", "y"):
        return np.linspace(0, 1, len(grid.offsets), dtype=np.float32)
    raise UserError(f"factor={factor!r} is no scalar; expected scale, x or y")


def orientation_vectors(grid: SpriteGrid) -> Float[np.ndarray, "s o 2"]:
    """(cos kθ, sin kθ) for each shape and orientation, k the shape's symmetry: equal for turns with the same image."""
    turns = np.array([SYMMETRY[shape] for shape in grid.shapes])[:, None] * np.asarray(grid.orientations)[None, :]
    return np.stack([np.cos(turns), np.sin(turns)], axis=-1).astype(np.float32)
