"""Time to the exact curve: training in which every member stops as soon as its gap is small enough."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.probing.ensemble import ClassPosterior, Ensemble
from vdm_jax.probing.example_sources import Condition, ExampleSource
from vdm_jax.probing.heads import Members

Gap = Callable[[PyTree, Key[Array, " m"], Condition], Float[np.ndarray, "m k"]]
JUDGED = ("accuracy_missed", "r2_missed")  # the gaps of `Head.judge`, of classes and of values


class Course(NamedTuple):
    """A training at R evaluations, one before it and one after each round.

    seconds: of training so far, without the evaluations. gap: of each member to the exact curve. params: at the end.
    """

    seconds: Float[np.ndarray, " r"]
    gap: Float[np.ndarray, "r m k"]
    params: PyTree  # [M, K, ...]; of `from_neighbours` by timestep


def make_gap(ensemble: Ensemble, test: ExampleSource, num_batches: int, classes: ClassPosterior) -> Gap:
    """Returns `gap(params, keys, conditions)` [M, K]: accuracy or R² of the exact posterior less that of each member
    on the same noisy images, the largest of both and of the member's features."""
    scores = ensemble.scores(test, num_batches, classes)

    def gap(params, keys, conditions):
        judged = scores(params, keys, conditions).judged
        by_feature = {
            name: np.max([np.asarray(found[key], np.float64).mean((1, 3)) for key in JUDGED if key in found], axis=0)
            for name, found in judged.items()
        }
        return largest_by_member(ensemble.members, by_feature)

    return gap


def largest_by_member(members: Members, by_feature: dict[str, Float[np.ndarray, "m s"]]) -> Float[np.ndarray, "m k"]:
    """Over the features of each member's group, in the members' order."""
    return np.concatenate([np.max([by_feature[name] for name in group], axis=0) for group in members.groups], axis=1)


def make_fit_to_curve(ensemble: Ensemble, gap: Gap, within: float) -> Callable[..., Course]:
    """Returns `fit(keys [M], conditions [M, ...], params [M, K, ...] or None)`: trains each member until its gap is at
    most `within`, or for `num_updates`; nothing else stops one.

    Where members come in turn no gradient of a stopped member is computed; the other costs of a timestep last until its
    last member stops (`Ensemble.round`). The clock measures making parameters (unless given) and training. It does not
    measure compilation, once for each M, or evaluation.
    """
    programs: dict[int, tuple[Callable, Callable]] = {}

    def compiled(keys, conditions):
        if len(keys) not in programs:
            params = jax.block_until_ready(ensemble.init(keys))
            start = ensemble.start.compile(params, keys, conditions)
            state = jax.eval_shape(ensemble.start, params, keys, conditions)
            index = jnp.zeros(len(keys), jnp.int32)
            programs[len(keys)] = start, ensemble.round.compile(state, keys, conditions, index)
        return programs[len(keys)]

    def fit(keys, conditions, params=None):
        start, one_round = compiled(keys, conditions)
        clock = Clock()
        state = clock(lambda: start(ensemble.init(keys) if params is None else params, keys, conditions))
        seconds, found = [clock.seconds], [gap(state.params, keys, conditions)]
        for index in range(ensemble.training.num_rounds):
            there = found[-1] <= within
            if there.all():
                break
            state = state._replace(stale=jnp.where(there, ensemble.training.patience, 0))
            state = clock(partial(one_round, state, keys, conditions, jnp.full(len(keys), index, jnp.int32)))
            seconds.append(clock.seconds)
            found.append(gap(state.params, keys, conditions))
        return Course(np.array(seconds), np.stack(found), state.params)

    return fit


class Clock:
    """Adds up the seconds of the calls made through it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, do: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        done = jax.block_until_ready(do())
        self.seconds += time.perf_counter() - began
        return done


def from_one(begun: Course, fit: Callable[..., Course], keys: Key[Array, " m"], conditions: Condition) -> Course:
    """All timesteps start from the end of `begun`, the training of one of them."""
    params = jax.tree.map(lambda leaf: jnp.repeat(leaf, len(keys), axis=0), begun.params)
    rest = fit(keys, conditions, params)
    return rest._replace(seconds=begun.seconds[-1] + rest.seconds)


def from_neighbours(
    begun: Course, fit: Callable[..., Course], first: int, keys: Key[Array, " m"], conditions: Condition
) -> Course:
    """Each timestep starts from its trained neighbour, from `first` to both ends; `begun` is the training of `first`.

    The gap of a timestep that has not started is infinite.
    """
    params = {first: begun.params}
    now = np.full((len(keys), begun.gap.shape[2]), np.inf)
    now[first] = begun.gap[-1, 0]
    seconds, gap = [begun.seconds[-1]], [now]
    for wave in [[(first, first)], *outwards(first, len(keys))]:
        own = np.array([i for i, _ in wave])
        start = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(params[source] for _, source in wave))
        course = fit(keys[own], {name: values[own] for name, values in conditions.items()}, start)
        params |= {
            i: jax.tree.map(lambda leaf, n=n: leaf[n : n + 1], course.params) for n, i in enumerate(own.tolist())
        }
        began = seconds[-1]
        for passed, found in zip(course.seconds, course.gap, strict=True):
            now = now.copy()
            now[own] = found
            seconds.append(began + passed)
            gap.append(now)
    return Course(np.array(seconds), np.stack(gap), params)


def outwards(first: int, num: int) -> list[list[tuple[int, int]]]:
    """Waves from timestep `first` of `num` to both ends; each has pairs (timestep, neighbour that it starts from)."""
    reach = range(1, max(first, num - 1 - first) + 1)
    waves = [[(first + sign * step, first + sign * (step - 1)) for sign in (-1, 1)] for step in reach]
    return [[pair for pair in wave if 0 <= pair[0] < num] for wave in waves]
