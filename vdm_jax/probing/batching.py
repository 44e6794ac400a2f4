"""How a device computes the timesteps of an ensemble and the members of each: at once, or in turn."""

from collections.abc import Callable
from typing import NamedTuple

import jax


def in_turn(function: Callable) -> Callable:
    """A `vmap` that computes the elements one after the other."""
    return lambda *arrays: jax.lax.map(lambda element: function(*element), arrays)


class Batching(NamedTuple):
    """`jax.vmap` or `in_turn`."""

    timesteps: Callable[[Callable], Callable]
    members: Callable[[Callable], Callable]  # of one timestep


BATCHING = {
    "vmap": Batching(jax.vmap, jax.vmap),
    "map": Batching(in_turn, jax.vmap),
    "map_members": Batching(in_turn, in_turn),
}


def usual_batching(net: str) -> str:
    """The fastest batching for this net, over separate nets, trunks and several seeds (`results/benchmarks`).

    On a CPU members come in turn, except linear probes, which are too small for a turn of their own. Elsewhere all the
    work is done at once.
    """
    if jax.default_backend() != "cpu":
        return "vmap"
    return "map" if net == "linear" else "map_members"
