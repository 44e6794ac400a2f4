"""Where probes get their examples: fresh noisy x of one timestep, with the class of every feature."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int, Integer, Key

from vdm_jax.base.keys import named_key
from vdm_jax.base.program import as_partial
from vdm_jax.diffusion.gaussian import noised
from vdm_jax.probing.population import SPACE

Images = Float[Array, "b ..."]
Classes = dict[str, Int[Array, " b"]]
IMAGE = "image"  # among the classes: the index of the clean image; examples of one image are not independent
Condition = dict[str, Array]  # what distinguishes a timestep: "gamma" [] at least


class ExampleSource(NamedTuple):
    """`draw(key, condition, batch_size) -> (z [B, ...], {feature: class [B], IMAGE: [B]})`, of its arguments alone.

    A pytree: `draw` is a `jax.tree_util.Partial`, whose arrays are arguments of what is compiled. It is traced once for
    each seed of a timestep, whose members share the batch. condition: one timestep's part of the conditions [M, ...] of
    an ensemble; `condition["gamma"]` is the noise level.
    """

    draw: Callable[[Key[Array, ""], Condition, int], tuple[Images, Classes]]


def make_forward_source(
    take: Callable[..., Images],
    labels: Callable[[Integer[Array, " b"]], Classes],
    split: Integer[np.ndarray, " n"],
) -> ExampleSource:
    """z_t ~ q(z_t | x), with x drawn with replacement from the indices in `split` and new noise in every draw.

    take: (index, key) -> x, as of a population; x that is random given the image is drawn anew too.
    """

    def draw(take, labels, split, key, condition, batch_size):
        index = draw_index(key, split, batch_size)
        x = take(index, named_key(key, SPACE))
        z = noised(x, jax.random.normal(named_key(key, "eps"), x.shape), condition["gamma"])
        return z, labels(index) | {IMAGE: index}

    return ExampleSource(Partial(draw, as_partial(take), as_partial(labels), jnp.asarray(split)))


def make_pool_source(classes: Mapping[str, Int[np.ndarray, " n"]], rows: Integer[np.ndarray, " r"]) -> ExampleSource:
    """Rows of condition["z"] [N, ...] with replacement: z_t made beforehand, such as those of chains.

    classes: of each row. The same rows are drawn from at all timesteps.
    """

    def draw(classes, rows, key, condition, batch_size):
        index = draw_index(key, rows, batch_size)
        return condition["z"][index], {name: label[index] for name, label in classes.items()}

    held = {name: jnp.asarray(label) for name, label in classes.items()}
    return ExampleSource(Partial(draw, held, jnp.asarray(rows)))


def draw_index(key: Key[Array, ""], split: Integer[Array, " n"], batch_size: int) -> Integer[Array, " b"]:
    """Elements of `split`, with replacement."""
    return split[jax.random.randint(named_key(key, "index"), (batch_size,), 0, len(split))]
