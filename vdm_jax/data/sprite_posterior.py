"""p(sprite | z_t) over a whole grid of sprites: one correlation of z_t with every template at every place.

Pixels are ±1, so all images have the same norm and -||z - alpha x||²/(2 sigma²) is alpha (x·z)/sigma² up to a constant.
x·z is twice the sum of z under the sprite, less the sum of all of z. The windows of z at all places times all templates
are one matrix product, which is exact for all images of the grid. Equal templates are correlated once, and only at the
pixels that some template covers.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int, Integer, Key

from vdm_jax.base.keys import named_key
from vdm_jax.data.sprites import SpriteGrid, feature_values, orientation_vectors
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.posterior import Feature, Posterior
from vdm_jax.diffusion.rows import Correlations, inverse_variance, product

Images = Float[Array, "q h w 1"]


class Distinct(NamedTuple):
    """The templates of a grid without repetitions, in the order of their first occurrence."""

    first: Int[np.ndarray, " t"]  # index among all templates
    which: Int[np.ndarray, " n"]  # for each of all templates, its index here
    count: Float[np.ndarray, " t"]  # how many of all templates are equal to it


def distinct_templates(grid: SpriteGrid) -> Distinct:
    """The distinct templates: full turns, symmetries and coarse pixels make some of them equal."""
    flat = grid.templates.reshape(grid.num_templates, -1)
    _, first, which, count = np.unique(flat, axis=0, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    return Distinct(first[order], np.argsort(order)[which.reshape(-1)], count[order].astype(np.float32))


def sprite_features(grid: SpriteGrid) -> dict[str, Feature]:
    """Shape without values; scale, x and y with one value; orientation with two, its class shape and turn together."""
    scalars = {
        name: Feature(_even(len(feature_values(grid, name))), feature_values(grid, name)[:, None])
        for name in ("scale", "x", "y")
    }
    angles = orientation_vectors(grid).reshape(-1, 2)
    return {"shape": Feature(_even(len(grid.shapes))), "orientation": Feature(_even(len(angles)), angles)} | scalars


def sprite_labels(grid: SpriteGrid, index: Integer[Array, " q"]) -> dict[str, Integer[Array, " q"]]:
    """The class of each image by feature, as counted by `sprite_features` and the posterior."""
    shape, scale, turn, x, y = jnp.unravel_index(index, grid.sizes)
    return {"shape": shape, "orientation": shape * grid.sizes[2] + turn, "scale": scale, "x": x, "y": y}


def _even(num: int) -> np.ndarray:
    return np.full(num, 1 / num)


def make_class_sums(
    grid: SpriteGrid, templates: Distinct
) -> Callable[[Callable, Array | Correlations], dict[str, Float[Array, "q c"]]]:
    """Returns `class_sums(weigh, rows)`: p(c) of each feature, [Q, C], from weights [T, P] = weigh(row) of every image.

    The weights need no normalisation. Queries follow each other, so that the weights of one stay in a cache. Sums over
    all templates and over all places are two matrix products; sums over classes follow from these.
    """
    shape, scale, turn = (index.reshape(-1) for index in np.indices(grid.sizes[:3]))
    of_template = {"shape": shape, "orientation": shape * grid.sizes[2] + turn, "scale": scale}
    shares = {name: np.zeros((len(templates.first), kind.max() + 1), np.float32) for name, kind in of_template.items()}
    for name, kind in of_template.items():
        np.add.at(shares[name], (templates.which, kind), 1)
    count = jnp.asarray(templates.count)[None]

    def class_sums(weigh, rows):
        def one(row):
            p = jax.lax.optimization_barrier(weigh(row))  # once, for two products
            return product(p, jnp.ones((p.shape[1], 1))), product(count, p)

        kinds, places = jax.lax.map(one, rows)
        kinds, places = kinds[..., 0], places.reshape(len(places), *grid.sizes[3:])
        sums = {name: product(kinds, share) for name, share in shares.items()}
        sums |= {"x": places.sum(2), "y": places.sum(1)}
        return {name: sum_ / sum_.sum(axis=1, keepdims=True) for name, sum_ in sums.items()}

    return class_sums


def make_correlation(grid: SpriteGrid, templates: Distinct) -> Callable[[Images], Float[Array, "q t p"]]:
    """Returns `correlation(z)`: the sum of z under each distinct template at each place, x slowest, image by image."""
    masks = grid.templates[templates.first].reshape(len(templates.first), -1)
    covered = np.flatnonzero(masks.any(axis=0))
    rows, columns = np.unravel_index(covered, (grid.window, grid.window))
    places = np.asarray(grid.offsets)
    corner = places[None, :] * grid.side + places[:, None]  # [x, y]: the window's first pixel in the flat image
    pixel = (rows * grid.side + columns)[:, None] + corner.reshape(1, -1)  # [pixels of a window, P]
    masks = jnp.asarray(masks[:, covered], jnp.float32)

    def correlation(z):
        return jax.lax.map(lambda image: product(masks, image[pixel]), z.reshape(z.shape[0], -1))

    return correlation


def make_sprite_posterior(grid: SpriteGrid) -> Posterior:
    """The exact posterior over all images of `grid`, every image as likely as every other.

    Q queries hold 4 Q T P bytes for T distinct templates at P places; `mean` holds windows of w² pixels too, 4 Q P w².
    """
    templates = distinct_templates(grid)
    correlation, class_sums = make_correlation(grid, templates), make_class_sums(grid, templates)
    num_places = len(grid.offsets) ** 2

    def log_weights(z: Images, gamma: Float[Array, ""]) -> Float[Array, "q t p"]:
        """The log weight of one image of each distinct template; the largest is 0.

        The largest is subtracted before the multiplication: a fused multiplication and subtraction rounds once, and its
        remainder of 1e12 - 1e12 overflows exp.
        """
        found = correlation(z)
        below = found - found.max(axis=(1, 2), keepdims=True)
        return 2 * alpha_sigma(gamma)[0] * inverse_variance(gamma) * below

    def classes(z: Images, gamma: Float[Array, ""]) -> dict[str, Float[Array, "q c"]]:
        return class_sums(jnp.exp, log_weights(z, gamma))

    def correlate(index: Integer[Array, " q"], eps: Images, key: Key[Array, ""] | None = None) -> Correlations:
        """Those of T distinct templates at P places, [Q, T, P], less that of the clean image: `signal` is at most 0."""
        template, place = jnp.asarray(templates.which)[index // num_places], index % num_places

        def beyond_truth(images):
            found = 2 * correlation(images)
            return found - found[jnp.arange(len(index)), template, place][:, None, None]

        return Correlations(beyond_truth(grid.render(index)), beyond_truth(eps))

    def classes_from(found: Correlations, gamma: Float[Array, ""]) -> dict[str, Float[Array, "q c"]]:
        """No maximum is subtracted: the sum of p_j/p_truth over all j is N on average, so that it exceeds e^88, where
        exp overflows, with a probability below N e^-88."""
        snr = jnp.exp(-gamma)
        roots = (jnp.sqrt(snr), -jnp.sqrt(snr))
        both = [class_sums(lambda row, r=root: jnp.exp(snr * row.signal + r * row.noise), found) for root in roots]
        return jax.tree.map(lambda *sums: jnp.concatenate(sums), *both)

    def draw(key: Key[Array, ""], z: Images, gamma: Float[Array, ""]) -> Images:
        logits = log_weights(z, gamma) + jnp.log(jnp.asarray(templates.count))[None, :, None]
        return grid.render(whole_index(jax.random.categorical(named_key(key, "sprite"), flat(logits), axis=1)))

    def mean(z: Images, gamma: Float[Array, ""]) -> Images:
        logits = log_weights(z, gamma) + jnp.log(jnp.asarray(templates.count))[None, :, None]
        return expected_image(grid, templates, jax.nn.softmax(flat(logits), axis=1).reshape(logits.shape))

    def nearest(z: Images) -> Int[Array, " q"]:
        return whole_index(jnp.argmax(flat(correlation(z)), axis=1))

    def whole_index(index: Integer[Array, " q"]) -> Integer[Array, " q"]:
        """The index among all images of the grid, from one of distinct templates and places."""
        return jnp.asarray(templates.first, jnp.int32)[index // num_places] * num_places + index % num_places

    alike = make_alike(templates, num_places)
    return Posterior(*map(Partial, (classes, draw, mean, nearest, alike, correlate, classes_from)))


def make_alike(
    templates: Distinct, num_places: int
) -> Callable[[Key[Array, ""], Integer[Array, " q"]], Int[Array, " q"]]:
    """Returns `alike(key, index)`: an image of an equal template at the same place, each as likely."""
    members = [np.flatnonzero(templates.which == t) for t in range(len(templates.first))]
    members = np.stack([np.resize(those, int(templates.count.max())) for those in members])

    def alike(key: Key[Array, ""], index: Integer[Array, " q"]) -> Int[Array, " q"]:
        template, place = jnp.asarray(templates.which)[index // num_places], index % num_places
        count = jnp.asarray(templates.count, jnp.int32)[template]
        one = jax.random.randint(key, index.shape, 0, count)
        return jnp.asarray(members, jnp.int32)[template, one] * num_places + place

    return alike


def flat(weights: Float[Array, "q t p"]) -> Float[Array, "q tp"]:
    """All images of a query in one row."""
    return weights.reshape(weights.shape[0], -1)


def expected_image(grid: SpriteGrid, templates: Distinct, p: Float[Array, "q t p"]) -> Images:
    """The mean of the images with probabilities p."""
    masks = jnp.asarray(grid.templates[templates.first].reshape(len(templates.first), -1), jnp.float32)
    places, num = grid.offsets, p.shape[0]
    under = product(p.transpose(2, 0, 1).reshape(-1, p.shape[1]), masks)  # [P Q, w w]
    under = under.reshape(len(places), len(places), num, grid.window, grid.window)
    # Windows overlap. They are added one column, then one row of places at a time: a scatter runs on one core of a CPU.
    strips = jnp.zeros((len(places), num, grid.window, grid.side))
    for column, left in enumerate(places):
        strips = strips.at[..., left : left + grid.window].add(under[column])
    covered = jnp.zeros((num, grid.side, grid.side))
    for row, top in enumerate(places):
        covered = covered.at[:, top : top + grid.window].add(strips[row])
    return 2 * covered[..., None] - 1
