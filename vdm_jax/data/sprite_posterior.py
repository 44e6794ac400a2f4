"""p(sprite | z_t) over a whole grid of sprites: one correlation of z_t with every template at every place.

Pixels are ±1, so all images have the same norm and -||z - alpha x||²/(2 sigma²) is alpha (x·z)/sigma² up to a constant;
x·z is twice the sum of z under the sprite, less the sum of all of z. The windows of z at all places times all templates
are one matrix product: exact for all images of the grid at the cost of some of them.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, Key

from vdm_jax.base.keys import named_key
from vdm_jax.data.sprites import SpriteGrid, feature_values, orientation_vectors
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.optimal import Feature, inverse_variance

Images = Float[Array, "q h w 1"]


class SpritePosterior(NamedTuple):
    """`features`: what there is to know, every image as likely as every other. `classes(z, gamma)`: p(c | z_t) of each,
    [Q, C]; `draw(key, z, gamma)`: x ~ p(x | z_t); `mean(z, gamma)`: E[x | z_t], the optimal denoiser; `nearest(z)`: the
    index of the sprite that is likeliest at any noise level, the first of several."""

    features: dict[str, Feature]
    classes: Callable[[Images, Float[Array, ""]], dict[str, Float[Array, "q c"]]]
    draw: Callable[[Key[Array, ""], Images, Float[Array, ""]], Images]
    mean: Callable[[Images, Float[Array, ""]], Images]
    nearest: Callable[[Images], Int[Array, " q"]]


def sprite_features(grid: SpriteGrid) -> dict[str, Feature]:
    """Shape to tell apart; scale, x and y to regress; the angle, whose class is shape and orientation together."""
    scalars = {
        name: Feature(_even(len(feature_values(grid, name))), feature_values(grid, name)[:, None])
        for name in ("scale", "x", "y")
    }
    angles = orientation_vectors(grid).reshape(-1, 2)
    return {"shape": Feature(_even(len(grid.shapes))), "orientation": Feature(_even(len(angles)), angles)} | scalars


def sprite_labels(grid: SpriteGrid, index: Integer[Array, " q"]) -> dict[str, Integer[Array, " q"]]:
    """The class of each image by feature, as `sprite_features` and `SpritePosterior.classes` count them."""
    shape, scale, turn, x, y = jnp.unravel_index(index, grid.sizes)
    return {"shape": shape, "orientation": shape * grid.sizes[2] + turn, "scale": scale, "x": x, "y": y}


def _even(num: int) -> np.ndarray:
    return np.full(num, 1 / num)


def make_sprite_posterior(grid: SpriteGrid) -> SpritePosterior:
    """The exact posterior of every image of `grid`, prior uniform.

    Q queries hold 4 Q P² (T + w²) bytes: P places a side, T templates, windows of w² pixels."""
    masks = jnp.asarray(grid.templates.reshape(grid.num_templates, -1), jnp.float32)
    places = np.asarray(grid.offsets)
    shapes, scales, turns, num_places = (*grid.sizes[:3], len(places))
    ticks = places[:, None] + np.arange(grid.window)  # [P, w]: the pixels under a window

    def correlation(z: Images) -> Float[Array, "q t x y"]:
        windows = z[..., 0][:, ticks[:, None, :, None], ticks[None, :, None, :]]  # [Q, y, x, w, w]
        return jnp.einsum("qyxp,tp->qtxy", windows.reshape(*windows.shape[:3], -1), masks)

    def log_weights(z: Images, gamma: Float[Array, ""]) -> Float[Array, "q t x y"]:
        return 2 * alpha_sigma(gamma)[0] * inverse_variance(gamma) * correlation(z)

    def weights(z, gamma):
        logits = log_weights(z, gamma).reshape(z.shape[0], -1)
        return jax.nn.softmax(logits, axis=1).reshape(z.shape[0], shapes, scales, turns, num_places, num_places)

    def classes(z: Images, gamma: Float[Array, ""]) -> dict[str, Float[Array, "q c"]]:
        p = weights(z, gamma)
        kinds = p.sum((4, 5))
        places = p.sum((1, 2, 3))
        return {
            "shape": kinds.sum((2, 3)),
            "orientation": kinds.sum(2).reshape(z.shape[0], -1),
            "scale": kinds.sum((1, 3)),
            "x": places.sum(2),
            "y": places.sum(1),
        }

    def draw(key: Key[Array, ""], z: Images, gamma: Float[Array, ""]) -> Images:
        logits = log_weights(z, gamma).reshape(z.shape[0], -1)
        return grid.render(jax.random.categorical(named_key(key, "sprite"), logits, axis=1))

    def mean(z: Images, gamma: Float[Array, ""]) -> Images:
        p = weights(z, gamma).reshape(z.shape[0], -1, num_places, num_places)
        under = p.transpose(2, 3, 0, 1).reshape(-1, grid.num_templates) @ masks  # [P P Q, w w]
        under = under.reshape(num_places, num_places, z.shape[0], grid.window, grid.window)
        # Windows overlap: added one column, then one row of places at a time, for a scatter runs on one core of a CPU.
        strips = jnp.zeros((num_places, z.shape[0], grid.window, z.shape[2]))
        for column, left in enumerate(places):
            strips = strips.at[..., left : left + grid.window].add(under[column])
        covered = jnp.zeros(z.shape[:3])
        for row, top in enumerate(places):
            covered = covered.at[:, top : top + grid.window].add(strips[row])
        return 2 * covered[..., None] - 1

    def nearest(z: Images) -> Int[Array, " q"]:
        return jnp.argmax(correlation(z).reshape(z.shape[0], -1), axis=1)

    return SpritePosterior(sprite_features(grid), classes, draw, mean, nearest)
