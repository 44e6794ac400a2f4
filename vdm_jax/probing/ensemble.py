"""Ensembles of probes: all members of all timesteps train in one compiled program.

A member is (timestep, features, seed). Timesteps share nothing; the members of one timestep and one seed share their
batches. An ensemble therefore gives the numbers that its members give when each is trained alone. Seeds differ in every
random draw: the initial parameters and all batches.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int, Integer, Key, PyTree

from vdm_jax.base.errors import choose
from vdm_jax.base.keys import named_key
from vdm_jax.base.program import Program, as_partial
from vdm_jax.base.signals import Stopped, catch_sigterm
from vdm_jax.probing.batching import BATCHING, in_turn
from vdm_jax.probing.example_sources import IMAGE, Classes, Condition, ExampleSource, Images
from vdm_jax.probing.heads import Members
from vdm_jax.probing.nets import Net
from vdm_jax.probing.objective import BatchOfSeed, Objective

ClassPosterior = Callable[[Images, Float[Array, ""]], dict[str, Float[Array, "b c"]]]
"""`classes(z, gamma) -> {feature: p(c | z) [B, C]}`, as of `diffusion.posterior.Posterior`."""


class Scored(NamedTuple):
    """Scores of the probes on fresh examples, [M, batches, ...]: by the labels, and by the exact posterior if given."""

    by_label: dict[str, dict[str, Float[Array, "*m n s b"]]]  # {feature: `Head.scores`}
    judged: dict[str, dict[str, Float[Array, "*m n s b"]]] | None  # {feature: `Head.judge`}
    image: Int[Array, "*m n b"]  # index of the clean image


class State(NamedTuple):
    """The members of a timestep, [K, ...]; of an ensemble [M, K, ...]. `best` has the parameters of `best_loss`."""

    params: PyTree
    opt_state: PyTree
    best: PyTree
    best_loss: Float[Array, "*m k"]  # on validation
    stale: Int[Array, "*m k"]  # rounds since the best loss
    rounds: Int[Array, "*m k"]  # of training, until the member stopped


@dataclass(frozen=True)
class Training:
    """Batches, updates and rate. A member stops when its validation loss has not fallen for `patience` rounds."""

    batch_size: int
    num_updates: int  # at most, in rounds of `updates_per_round`
    updates_per_round: int
    learning_rate: float  # of Adam, falling to 0 by a cosine
    patience: int
    num_validation: int  # examples
    clip: float = 1.0  # norm of a member's gradient

    @property
    def num_rounds(self) -> int:
        """The largest number of rounds."""
        return -(-self.num_updates // self.updates_per_round)


@dataclass(frozen=True)
class Ensemble:
    """The compiled parts. Each takes and returns arrays with a leading axis of M timesteps, sharded over `mesh`.

    M is a multiple of the number of devices. `batching`, one of `BATCHING`: how a device goes through its timesteps and
    their members. The draws of a timestep are a function of its key alone: neither M nor the number of devices changes
    a result. The example sources' arrays are arguments of every program.
    """

    net: Net
    members: Members
    train: ExampleSource
    validation: ExampleSource
    training: Training
    examples: Images  # without noise, for the nets' initialisation
    mesh: Mesh
    batching: str
    example_classes: Classes | None = None  # where known, a net may start from the classes of its examples
    # Examples for each seed, which take them in turn and start again at the end; None: all for each.
    num_examples: int | None = None

    @cached_property
    def objective(self) -> Objective:
        """The objective of the members of one timestep. Raises `UserError` for an unknown `batching`."""
        return Objective(self.net, self.members, choose("batching", self.batching, BATCHING))

    @cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """The optimizer of one member."""
        decay = optax.cosine_decay_schedule(self.training.learning_rate, self.training.num_updates)
        return optax.chain(optax.clip_by_global_norm(self.training.clip), optax.adam(decay))

    def init(self, keys: Key[Array, " m"]) -> PyTree:
        """Fresh parameters [M, K, ...]."""
        return self._init(keys, self.examples, self.example_classes)

    @cached_property
    def _init(self) -> Callable[[Key[Array, " m"], Images, Classes | None], PyTree]:
        def initial(key, examples, known):
            seeds, names = self.members.seeds, self.members.names
            targets = None if known is None else self.members.targets(known)
            categorical = jnp.asarray(self.members.categorical)
            each = self.num_examples or len(examples)
            init, found = jax.vmap(self.net.init, (0, None, 0, 0)), []
            for i, seed in enumerate(seeds):  # its members are every so many-th
                rows = jnp.asarray((seed * each + np.arange(each)) % len(examples))
                keys = jnp.stack([named_key(key, name) for name in names[i :: len(seeds)]])
                own = None if targets is None else targets[i :: len(seeds)][:, rows]
                found.append(init(keys, examples[rows], own, categorical[i :: len(seeds)]))
            return jax.tree.map(lambda *leaves: jnp.stack(leaves, 1).reshape(-1, *leaves[0].shape[1:]), *found)

        return jax.jit(jax.vmap(initial, (0, None, None)))

    @cached_property
    def start(self) -> Program:
        """`start(params [M, K, ...], keys [M], conditions) -> State` from which training begins."""
        return self._compiled(Ensemble._start)

    @cached_property
    def round(self) -> Program:
        """`round(state, keys [M], conditions, index [M]) -> State`: `updates_per_round` updates and a validation.

        Donates the state.
        """
        return self._compiled(Ensemble._round, donate_argnums=(0,))

    def scores(self, source: ExampleSource, num_batches: int, classes: ClassPosterior | None = None) -> Program:
        """Returns `scores(params, keys, conditions) -> Scored` on fresh examples. classes: the exact p(c | z)."""

        def scores(ensemble, source, classes, params, key, condition):
            return ensemble._scores(source, num_batches, classes, params, key, condition)

        return self._compiled(scores, source, None if classes is None else as_partial(classes))

    def row_batches(self, rows: Integer[np.ndarray, " r"]) -> Integer[np.ndarray, "n b"]:
        """Whole batches of rows in order; the rows of an incomplete batch are left out."""
        size = self.training.batch_size
        return rows[: len(rows) // size * size].reshape(-1, size)

    def row_scores(self, classes: Mapping[str, Int[np.ndarray, " n"]], rows: Integer[np.ndarray, " r"]) -> Program:
        """Returns `scores(params, keys, conditions)`: {feature: `Head.scores` [M, N, S, B]} of each row of
        condition["z"] once."""
        batches = jnp.asarray(self.row_batches(rows))

        def score(ensemble, params, _, condition):
            def batch(index):
                own = {name: jnp.asarray(label)[index] for name, label in classes.items()}
                outputs = ensemble.objective.outputs(params, condition["z"][index], condition["gamma"])
                return ensemble.members.scores(outputs, own)

            return jax.lax.map(batch, batches)

        return self._compiled(score)

    def _compiled(self, function: Callable, *bound: Any, **options: Any) -> Program:
        """`function(ensemble, *bound, *arrays of one timestep)` over the timesteps of all devices."""
        spec, over_timesteps = PartitionSpec(self.mesh.axis_names[0]), self.objective.how.timesteps

        def of_timesteps(bound, arrays):
            (train, validation), others = bound
            ensemble = replace(self, train=train, validation=validation)
            return over_timesteps(partial(function, ensemble, *others))(*arrays)

        sharded = jax.shard_map(
            of_timesteps, mesh=self.mesh, in_specs=(PartitionSpec(), spec), out_specs=spec, check_vma=False
        )

        def program(bound, *arrays):
            return sharded(bound, arrays)

        program.__name__ = function.__name__  # by which its compilation is announced
        return Program(program, ((self.train, self.validation), bound), **options)

    def _start(self, params: PyTree, key: Key[Array, ""], condition: Condition) -> State:
        zeros = jnp.zeros(len(self.members.names), jnp.int32)
        best_loss = self._validate(params, key, condition)
        return State(params, jax.vmap(self.optimizer.init)(params), params, best_loss, zeros, zeros)

    def _round(self, state: State, key: Key[Array, ""], condition: Condition, index: Int[Array, ""]) -> State:
        """Stopped members stay as they are. Where all have stopped and timesteps come in turn, nothing is computed."""
        stopped = state.stale >= self.training.patience
        if self.objective.how.timesteps is not in_turn:  # a branch there would be computed all the same
            return self._train(state, stopped, key, condition, index)
        return jax.lax.cond(stopped.all(), lambda: state, lambda: self._train(state, stopped, key, condition, index))

    def _train(self, state, stopped, key, condition, index) -> State:
        size = self.training.updates_per_round

        def update(carry, i):
            params, opt_state = carry
            at = jax.random.fold_in(named_key(key, "train"), i)
            grads = self.objective.gradients(params, stopped, self.train_batches(at, condition), condition["gamma"])
            updates, new_opt_state = jax.vmap(self.optimizer.update)(grads, opt_state, params)
            new = (optax.apply_updates(params, updates), new_opt_state)
            return select(stopped, carry, new), None

        (params, opt_state), _ = jax.lax.scan(update, (state.params, state.opt_state), index * size + jnp.arange(size))
        loss = self._validate(params, key, condition)
        better = (loss < state.best_loss) & ~stopped
        best, best_loss = select(better, (params, loss), (state.best, state.best_loss))
        stale = jnp.where(better, 0, state.stale + 1)
        stale, rounds = select(stopped, (state.stale, state.rounds), (stale, state.rounds + 1))
        return State(params, opt_state, best, best_loss, stale, rounds)

    def train_batches(self, key: Key[Array, ""], condition: Condition) -> BatchOfSeed:
        """Fresh training examples for each seed."""

        def of_seed(seed):
            return self.train.draw(jax.random.fold_in(key, seed), condition, self.training.batch_size)

        return jax.vmap(of_seed)(jnp.asarray(self.members.seeds))

    def _validate(self, params: PyTree, key: Key[Array, ""], condition: Condition) -> Float[Array, " k"]:
        """Mean loss of the same examples in every round."""

        def batch(i):
            at = jax.random.fold_in(named_key(key, "validation"), i)
            drawn = self.validation.draw(at, condition, self.training.batch_size)
            return self.objective.losses(params, *drawn, condition["gamma"]).mean(axis=1)

        num_batches = -(-self.training.num_validation // self.training.batch_size)
        return jax.lax.map(batch, jnp.arange(num_batches)).mean(axis=0)

    def _scores(self, source, num_batches, exact, params: PyTree, key: Key[Array, ""], condition: Condition) -> Scored:
        def batch(i):
            z, classes = source.draw(jax.random.fold_in(named_key(key, "test"), i), condition, self.training.batch_size)
            outputs = self.objective.outputs(params, z, condition["gamma"])
            judged = None if exact is None else self.members.judge(outputs, exact(z, condition["gamma"]))
            return Scored(self.members.scores(outputs, classes), judged, classes[IMAGE])

        return jax.lax.map(batch, jnp.arange(num_batches))


def select(mask: Array, where_true: PyTree, where_false: PyTree) -> PyTree:
    """Leaf by leaf, member by member: mask [K] against leaves [K, ...]."""

    def one(true, false):
        return jnp.where(mask.reshape(mask.shape + (1,) * (true.ndim - 1)), true, false)

    return jax.tree.map(one, where_true, where_false)


def timestep_keys(key: Key[Array, ""], timesteps: Int[Any, " m"]) -> Key[Array, " m"]:
    """A key for each timestep, derived from its number."""
    return jax.vmap(partial(jax.random.fold_in, named_key(key, "timestep")))(jnp.asarray(timesteps))


def fit(
    ensemble: Ensemble,
    keys: Key[Array, " m"],
    conditions: Condition,
    *,
    params: PyTree = None,
    progress: Callable[[range], Any] = iter,
    stored: tuple[State, int] | None = None,
    at_stop: Callable[[State, int], Any] = lambda state, num_rounds: None,
) -> State:
    """Trains until every member has stopped or `num_updates` are done.

    params: [M, K, ...], to start from. stored: a state and its number of rounds, to go on from. At SIGTERM the round is
    finished, `at_stop(state, num_rounds)` is called, and `Stopped` is raised.
    """
    if stored is None:
        state, first = ensemble.start(ensemble.init(keys) if params is None else params, keys, conditions), 0
    else:
        state, first = stored
    done = first
    with catch_sigterm() as stop_requested:
        for index in progress(range(first, ensemble.training.num_rounds)):
            state, done = ensemble.round(state, keys, conditions, jnp.full(len(keys), index)), index + 1
            if bool((state.stale >= ensemble.training.patience).all()) or stop_requested():
                break
        if stop_requested():
            at_stop(state, done)
            raise Stopped
    return state
