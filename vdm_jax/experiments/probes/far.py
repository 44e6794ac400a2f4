"""From which distance on the end of a chain is far from the data."""

import jax
import numpy as np

from vdm_jax.base.program import Program
from vdm_jax.experiments.common.space.encoded import EncodedSpace
from vdm_jax.probing.population import Access, Population, draw_members

DRAWS = 1_000  # of members
BATCH = 100
NEAR = 0.99  # the share of draws from the data that are near it, wherever random x put them


def far_from(far: float, population: Population, space: EncodedSpace | None) -> float:
    """The root mean square distance a value from the nearest member beyond which x is far from the data.

    In pixels it is `far`. In a space it is `far` times the standard deviation of x, √(mean variance of its values),
    beyond the distance within which `NEAR` of draws from the data are: 0 where x is a function of the image. A space
    may have any scale, and random x lie around the means of their members.
    """
    if space is None:
        return far
    distance = Program(Access.distance, population.access)
    key, number = jax.random.key(0), population.num_members
    draws = [
        draw_members(population.access, jax.random.fold_in(key, i), BATCH, number)[0] for i in range(DRAWS // BATCH)
    ]
    distances = np.concatenate([np.asarray(distance(x)) for x in draws])
    spread = float(np.sqrt(np.asarray(population.moments()[1], np.float64).mean()))
    return float(np.quantile(distances, NEAR)) + far * spread
