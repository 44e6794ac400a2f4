"""Which sprites a model generates, and how evenly, by two readers: the exact posterior and a trained network."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Integer

from vdm_jax.base.images import to_pixels
from vdm_jax.base.progress import bar
from vdm_jax.data.sprite_data import SpriteData, rendered
from vdm_jax.data.sprite_posterior import make_sprite_posterior
from vdm_jax.data.sprites import FACTORS
from vdm_jax.evals.batches import map_batches
from vdm_jax.evals.feature_reader import FeatureReader, read_features, train_reader
from vdm_jax.evals.mode_coverage import histogram, mode_coverage, same_source
from vdm_jax.networks.classifier import make_classifier

READER_SEED = 0  # one network a data set, whatever the run, but for the rounding of another machine
READER_WIDTH = 16
POSTERIOR_NUMBERS = 3e7  # floats that the exact reader holds at a time
KIND, PLACE = ("shape", "scale", "orientation"), ("coarse x", "coarse y")
HISTOGRAMS = {name: (name,) for name in FACTORS} | {"kind": KIND, "place": PLACE, "kind and place": KIND + PLACE}
MOST_CELLS = 1_000  # of a histogram that is written count by count

Levels = Integer[np.ndarray, "n h w c"]
Labels = dict[str, Integer[np.ndarray, " _"]]


def measure_coverage(
    data: SpriteData,
    draw: Callable[[int], Levels],
    *,
    num_images: int,
    sprite_tolerance: float,
    reader_images: int,
    reader_steps: int,
) -> dict[str, Any]:
    """Which sprites the images `draw(num_images)` show, and how evenly.

    The network is trained on `reader_images` sprites for `reader_steps`. See `coverage_of`.
    """
    reader, held_out = make_reader(data, reader_images, reader_steps)
    return coverage_of(data, draw(num_images), reader, held_out, sprite_tolerance)


def coverage_of(
    data: SpriteData, made: Levels, reader: FeatureReader, held_out: Int[np.ndarray, " m"], sprite_tolerance: float
) -> dict[str, Any]:
    """Which sprites the images `made` show, and how evenly.

    {"num_images", "not_a_sprite", "exactly_a_sprite", …, "net_errors", "net_any_error", …, "readers_agree", "readers":
    {"exact" | "net": {"histograms": {name: `mode_coverage`, "counts", "shares", for the network also "against_real":
    `same_source`}}}}. An image is no sprite where it differs from its nearest sprite in more pixels than
    `sprite_tolerance` times the pixels of that sprite; only sprites are counted. The readings of the network are tested
    against its own readings of as many held-out sprites. reader, held_out: of `make_reader`.
    """
    exact, distance, area = read_exactly(data, made)
    net, real = (read(reader, data, levels) for levels in (made, rendered(data, held_out[: len(made)])))
    is_sprite = distance <= sprite_tolerance * area
    share, sprites = float(np.mean(~is_sprite)), np.where(is_sprite)[0]
    agree = {name: _mean(exact[name][sprites] == net[name][sprites]) for name in FACTORS}
    return {
        "num_images": len(made),
        "not_a_sprite": share,
        "not_a_sprite_standard_error": float(np.sqrt(share * (1 - share) / len(made))),
        "exactly_a_sprite": float(np.mean(distance == 0)),
        "median_distance_pixels": float(np.median(distance)),
        "sprite_tolerance": sprite_tolerance,
        "net_errors": reader.errors,
        "net_any_error": reader.any_error,
        "net_num_held_out": len(held_out),
        "net_network": reader.network._asdict(),
        "readers_agree": agree,
        "readers": compare_readers(data, only(exact, sprites), only(net, sprites), real),
    }


def compare_readers(data: SpriteData, exact: Labels, net: Labels, real: Labels) -> dict[str, Any]:
    """Histograms of the same sprites by each reader; those of the network are also tested against `real`."""
    shares = data_shares(data)
    found = {
        name: {"histograms": histograms(labels, data, shares)} for name, labels in (("exact", exact), ("net", net))
    }
    for name, names in HISTOGRAMS.items():
        counts = (histogram(labels, names, data.label_sizes) for labels in (net, real))
        found["net"]["histograms"][name]["against_real"] = same_source(*counts)
    return found


def make_reader(data: SpriteData, num_images: int, num_steps: int) -> tuple[FeatureReader, Int[np.ndarray, " n"]]:
    """A network trained on the first `num_images` training sprites, and the test sprites on which its errors are
    measured."""
    train, held_out = data.train.stored[:num_images], data.test.stored[:num_images]
    sizes = {name: data.label_sizes[name] for name in FACTORS}
    reader = train_reader(
        make_classifier(data.shape, sum(sizes.values()), width=READER_WIDTH, pooled=False),
        data.name,
        data.pixel_values,
        sizes,
        *((rendered(data, index), data.labels(data.grid.factors(index))) for index in (train, held_out)),
        key=jax.random.key(READER_SEED),
        num_steps=num_steps,
        progress=bar("evaluate: feature reader"),
    )
    return reader, held_out


def read(reader: FeatureReader, data: SpriteData, levels: Levels) -> Labels:
    """The readings of the network, as labels."""
    return data.labels(read_features(reader, levels))


def read_exactly(data: SpriteData, levels: Levels) -> tuple[Labels, Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Labels of the nearest sprite of each image, the number of pixels that differ from it, and the number it covers.

    The nearest sprite is the limit of the exact posterior without noise.
    """
    posterior, grid = make_sprite_posterior(data.grid), data.grid

    @jax.jit
    def nearest(batch):
        index = posterior.nearest(to_pixels(batch, jnp.asarray(data.pixel_values)))
        sprite = data.levels_of(index)
        return index, (sprite != batch).sum((1, 2, 3)), sprite.astype(jnp.int32).sum((1, 2, 3))

    index, distance, area = map_batches(nearest, levels, _batch_size(data), progress=bar("evaluate: exact reader"))
    return data.labels(grid.factors(index)), distance.astype(float), area.astype(float)


def sprite_distances(data: SpriteData, images: Float[np.ndarray, "n h w c"]) -> Float[np.ndarray, " n"]:
    """Root mean square a pixel between each image and its nearest sprite, pixels in [0, 1]. images: pixels of ±1, any
    numbers between."""
    return nearest_sprites(data, images)[1]


def nearest_sprites(data: SpriteData, images: Float[np.ndarray, "n h w c"]) -> tuple[Labels, Float[np.ndarray, " n"]]:
    """Labels of the nearest sprite of each image, and `sprite_distances`. images: pixels of ±1, any numbers between."""
    posterior = make_sprite_posterior(data.grid)

    @jax.jit
    def nearest(batch):
        index = posterior.nearest(batch)
        return index, jnp.sqrt(jnp.mean((batch - data.take(index)) ** 2, axis=(1, 2, 3))) / 2

    index, distance = map_batches(nearest, images, _batch_size(data), progress=bar("evaluate: nearest sprites"))
    return data.labels(data.grid.factors(index)), distance


def _batch_size(data: SpriteData) -> int:
    """Images whose exact posteriors are held at a time."""
    grid = data.grid
    return max(1, int(POSTERIOR_NUMBERS / (len(grid.offsets) ** 2 * (grid.num_templates + grid.window**2))))


def data_shares(data: SpriteData) -> dict[str, Float[np.ndarray, " k"]]:
    """The probability of each mode of each histogram in the whole data set."""
    labels = data.labels(data.grid.factors(np.arange(len(data.grid))))
    return {name: histogram(labels, names, data.label_sizes) / len(data.grid) for name, names in HISTOGRAMS.items()}


def histograms(labels: Labels, data: SpriteData, shares: dict[str, Float[np.ndarray, " k"]]) -> dict[str, Any]:
    """`mode_coverage` of each histogram, with counts and shares for up to `MOST_CELLS` cells."""
    found = {}
    for name, names in HISTOGRAMS.items():
        counts = histogram(labels, names, data.label_sizes)
        found[name] = mode_coverage(counts, shares[name])
        if len(counts) <= MOST_CELLS:
            found[name] |= {"counts": counts.tolist(), "shares": shares[name].tolist()}
    return found


def only(labels: Labels, rows: Integer[np.ndarray, " k"]) -> Labels:
    """The labels of some of the images."""
    return {name: values[rows] for name, values in labels.items()}


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
