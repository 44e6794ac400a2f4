"""Where probes get what they look at: fresh noisy examples of one timestep, with the class of every feature."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, Key

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import noised

Images = Float[Array, "b ..."]
Classes = dict[str, Int[Array, " b"]]
IMAGE = "image"  # among the classes: which clean image an example shows; those of one image are not independent
Level = dict[str, Array]  # what a timestep is: "gamma" [] at least


class Feed(NamedTuple):
    """`draw(key, level, batch_size) -> (z [B, ...], {feature: class [B], IMAGE: [B]})`: of its arguments alone.

    It is traced into the program that trains, once for each seed of a timestep, whose members share the batch. level:
    one timestep's part of the levels [M, ...] that the ensemble is given; `level["gamma"]` is the noise.
    """

    draw: Callable[[Key[Array, ""], Level, int], tuple[Images, Classes]]


def make_forward_feed(
    images: Callable[[Integer[Array, " b"]], Images],
    classes: Callable[[Integer[Array, " b"]], Classes],
    split: Integer[np.ndarray, " n"],
) -> Feed:
    """z_t ~ q(z_t | x), x drawn with replacement from the indices in `split`, noise new in every draw."""

    def draw(key, level, batch_size):
        index = draw_index(key, split, batch_size)
        x = images(index)
        return noised(x, jax.random.normal(named_key(key, "eps"), x.shape), level["gamma"]), classes(index) | {
            IMAGE: index
        }

    return Feed(draw)


def make_pool_feed(classes: Mapping[str, Int[np.ndarray, " n"]], rows: Integer[np.ndarray, " r"]) -> Feed:
    """Rows of level["z"] [N, ...] with replacement: what was made beforehand, as by chains that are kept at every
    timestep, the same N at all of them; classes: of each row."""

    def draw(key, level, batch_size):
        index = draw_index(key, rows, batch_size)
        return level["z"][index], {name: jnp.asarray(label)[index] for name, label in classes.items()}

    return Feed(draw)


def draw_index(key: Key[Array, ""], split: Integer[np.ndarray, " n"], batch_size: int) -> Integer[Array, " b"]:
    """Members of `split`, with replacement."""
    return jnp.asarray(split)[jax.random.randint(named_key(key, "index"), (batch_size,), 0, len(split))]
