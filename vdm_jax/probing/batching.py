"""How a device goes through the timesteps of an ensemble and the members of each: at once, or in turn."""

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
    """The quickest way for members with this net (`results/benchmarks`): a CPU keeps in its cache what is done in turn,
    and multiplies one member's matrices at a higher rate than several members' together. A linear probe is too small
    for a turn of its own; and what is no CPU wants all the work at once.
    """
    if jax.default_backend() != "cpu":
        return "vmap"
    return "map" if net == "linear" else "map_members"
