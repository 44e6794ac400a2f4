"""How long until probes are at the exact curve: training in which every member stops as soon as it is there."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.probing.ensemble import Ensemble, Posterior
from vdm_jax.probing.feeds import Feed, Level
from vdm_jax.probing.heads import Members

Missed = Callable[[PyTree, Key[Array, " m"], Level], Float[np.ndarray, "m k"]]
JUDGED = ("accuracy_missed", "r2_missed")  # what a curve is, of classes and of values


class Course(NamedTuple):
    """A training at R looks, before it and after each round: the seconds it took so far, the looks left out, and what
    the members missed of the exact curve; the parameters it ended with."""

    seconds: Float[np.ndarray, " r"]
    missed: Float[np.ndarray, "r m k"]
    params: PyTree  # [M, K, ...]; of `from_neighbours` by timestep


def make_missed(ensemble: Ensemble, test: Feed, num_batches: int, posterior: Posterior) -> Missed:
    """-> missed(params, keys, levels): by how much accuracy or R² of each member is below that of the exact posterior
    of the same noisy images, the largest of both and of its features."""
    scores = ensemble.scores(test, num_batches, posterior)

    def missed(params, keys, levels):
        judged = scores(params, keys, levels).judged
        by_feature = {
            name: np.max([np.asarray(found[key], np.float64).mean((1, 3)) for key in JUDGED if key in found], axis=0)
            for name, found in judged.items()
        }
        return largest_by_member(ensemble.members, by_feature)

    return missed


def largest_by_member(members: Members, by_feature: dict[str, Float[np.ndarray, "m s"]]) -> Float[np.ndarray, "m k"]:
    """Over the features of each member's group, in the members' order."""
    return np.concatenate([np.max([by_feature[name] for name in group], axis=0) for group in members.groups], axis=1)


def make_fit_to_curve(ensemble: Ensemble, missed: Missed, within: float) -> Callable[..., Course]:
    """-> fit(keys [M], levels [M, ...], params [M, K, ...] or None): trains each member until it misses at most
    `within`, or for `num_updates`; nothing else stops one. A stopped member's gradient is spared where members come
    in turn; what else the members of a timestep cost is spent until the last of them stops (`Ensemble.round`).

    The clock runs while parameters are made (unless they are given) and trained, not while programs are compiled, once
    for each M, or members are looked at.
    """
    programs: dict[int, tuple[Callable, Callable]] = {}

    def compiled(keys, levels):
        if len(keys) not in programs:
            params = jax.block_until_ready(ensemble.init(keys))
            start = ensemble.start.lower(params, keys, levels).compile()
            state = jax.eval_shape(ensemble.start, params, keys, levels)
            index = jnp.zeros(len(keys), jnp.int32)
            programs[len(keys)] = start, ensemble.round.lower(state, keys, levels, index).compile()
        return programs[len(keys)]

    def fit(keys, levels, params=None):
        start, one_round = compiled(keys, levels)
        clock = Clock()
        state = clock(lambda: start(ensemble.init(keys) if params is None else params, keys, levels))
        seconds, found = [clock.seconds], [missed(state.params, keys, levels)]
        for index in range(ensemble.training.num_rounds):
            there = found[-1] <= within
            if there.all():
                break
            state = state._replace(stale=jnp.where(there, ensemble.training.patience, 0))
            state = clock(partial(one_round, state, keys, levels, jnp.full(len(keys), index, jnp.int32)))
            seconds.append(clock.seconds)
            found.append(missed(state.params, keys, levels))
        return Course(np.array(seconds), np.stack(found), state.params)

    return fit


class Clock:
    """Adds up the seconds of what it is given to do."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, do: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        done = jax.block_until_ready(do())
        self.seconds += time.perf_counter() - began
        return done


def from_one(begun: Course, fit: Callable[..., Course], keys: Key[Array, " m"], levels: Level) -> Course:
    """`begun` is the training of one timestep; all others then start from it, and it from itself."""
    params = jax.tree.map(lambda leaf: jnp.repeat(leaf, len(keys), axis=0), begun.params)
    rest = fit(keys, levels, params)
    return rest._replace(seconds=begun.seconds[-1] + rest.seconds)


def from_neighbours(
    begun: Course, fit: Callable[..., Course], first: int, keys: Key[Array, " m"], levels: Level
) -> Course:
    """`begun` is the training of timestep `first`, which goes on from there; then, to both ends, each starts from its
    neighbour. What is not begun yet misses everything (infinity)."""
    params = {first: begun.params}
    now = np.full((len(keys), begun.missed.shape[2]), np.inf)
    now[first] = begun.missed[-1, 0]
    seconds, missed = [begun.seconds[-1]], [now]
    for wave in [[(first, first)], *outwards(first, len(keys))]:
        own = np.array([i for i, _ in wave])
        start = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(params[source] for _, source in wave))
        course = fit(keys[own], {name: values[own] for name, values in levels.items()}, start)
        params |= {
            i: jax.tree.map(lambda leaf, n=n: leaf[n : n + 1], course.params) for n, i in enumerate(own.tolist())
        }
        began = seconds[-1]
        for passed, found in zip(course.seconds, course.missed, strict=True):
            now = now.copy()
            now[own] = found
            seconds.append(began + passed)
            missed.append(now)
    return Course(np.array(seconds), np.stack(missed), params)


def outwards(first: int, num: int) -> list[list[tuple[int, int]]]:
    """Waves from timestep `first` of `num` to both ends: (who trains, the neighbour it starts from) each."""
    reach = range(1, max(first, num - 1 - first) + 1)
    waves = [[(first + sign * step, first + sign * (step - 1)) for sign in (-1, 1)] for step in reach]
    return [[pair for pair in wave if 0 <= pair[0] < num] for wave in waves]
