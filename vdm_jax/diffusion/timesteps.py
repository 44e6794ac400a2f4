"""Grids of timesteps 0 … T on a table of noise, and gamma at each of them."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from vdm_jax.diffusion.schedules import Schedule, ends_of_rest, even_timesteps

LEAST_NOISE = -20.0  # the gamma that stands for no noise: a deviation of 5e-5


def timesteps(num_timesteps: int, schedule: Schedule) -> Int[np.ndarray, " m"]:
    """`num_timesteps` of 0 … T, or as many as add noise, evenly spaced.

    Both ends are always among them, and the ends of every stretch in which no noise is added, such as before and after
    that of a Dirac schedule.
    """
    ends = np.union1d(ends_of_rest(schedule), [0, schedule.num_steps])
    num_even = num_timesteps - len(ends) + 2
    return np.union1d(ends, even_timesteps(schedule, max(2, num_even))).astype(int)


def every_nth(steps: Sequence[int] | np.ndarray, n: int) -> Int[np.ndarray, " m"]:
    """Every n-th timestep, and the last."""
    return np.unique([*steps[::n], steps[-1]])


def gammas_at(schedule: Schedule, steps: np.ndarray) -> Float[np.ndarray, " m"]:
    """gamma of each timestep; `LEAST_NOISE` where there is no noise."""
    gammas = np.asarray(schedule.gamma(jnp.asarray(steps) / schedule.num_steps), np.float64)
    return np.maximum(gammas, LEAST_NOISE)


class DistinctSteps(NamedTuple):
    """Timesteps, of which several may have one gamma, as on a Dirac schedule.

    `steps[first]` are one of each gamma; `first[where]` gives for each timestep the one with its gamma.
    """

    steps: Int[np.ndarray, " m"]
    gammas: Float[np.ndarray, " m"]
    first: Int[np.ndarray, " n"]
    where: Int[np.ndarray, " m"]


def distinct_steps(num_timesteps: int, schedule: Schedule) -> DistinctSteps:
    """`timesteps`, with equal gammas found."""
    steps = timesteps(num_timesteps, schedule)
    gammas = gammas_at(schedule, steps)
    _, first, where = np.unique(gammas, return_index=True, return_inverse=True)
    return DistinctSteps(steps, gammas, first, where.reshape(-1))
