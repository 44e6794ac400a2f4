"""Ensembles of probes: all members of all timesteps train in one compiled program.

A member is (timestep, features, seed). Nothing passes between timesteps, nor between the members of one but the batch
that those of one seed look at: an ensemble gives the numbers that its members give when each is trained alone. Seeds
differ in everything that chance decides: what a net begins from, and every batch it learns from.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
from vdm_jax.probing.batching import BATCHING, in_turn
from vdm_jax.probing.feeds import IMAGE, Classes, Feed, Images, Level
from vdm_jax.probing.heads import Members
from vdm_jax.probing.nets import Net
from vdm_jax.probing.objective import BatchOfSeed, Objective

Posterior = Callable[[Images, Float[Array, ""]], dict[str, Float[Array, "b c"]]]


class Scored(NamedTuple):
    """What fresh examples show of the probes, [M, batches, ...]: by the labels, and by the exact posterior if known."""

    by_label: dict[str, dict[str, Float[Array, "*m n s b"]]]  # {feature: `Head.scores`}
    judged: dict[str, dict[str, Float[Array, "*m n s b"]]] | None  # {feature: `Head.judge`}
    image: Int[Array, "*m n b"]  # which clean image it was


class State(NamedTuple):
    """The members of a timestep, [K, ...]; of an ensemble [M, K, ...]. `best` are the parameters of `best_loss`."""

    params: PyTree
    opt_state: PyTree
    best: PyTree
    best_loss: Float[Array, "*m k"]  # on validation
    stale: Int[Array, "*m k"]  # rounds since
    rounds: Int[Array, "*m k"]  # of training, until the member stopped


@dataclass(frozen=True)
class Training:
    """How long and how fast. A member whose validation loss has not fallen for `patience` rounds stops."""

    batch_size: int
    num_updates: int  # at most, in rounds of `updates_per_round`
    updates_per_round: int
    learning_rate: float  # of Adam, falling to 0 by a cosine
    patience: int
    num_validation: int  # examples
    clip: float = 1.0  # norm of a member's gradient

    @property
    def num_rounds(self) -> int:
        """At most."""
        return -(-self.num_updates // self.updates_per_round)


@dataclass(frozen=True)
class Ensemble:
    """The compiled parts. Each takes and returns arrays that lead with the timesteps M, cut over the devices of `mesh`
    (M a multiple of their number); `batching`, one of `BATCHING`, says how a device goes through its timesteps
    and their members.

    What a timestep draws is a function of its key alone: neither M nor the number of devices changes a result.
    """

    net: Net
    members: Members
    train: Feed
    validation: Feed
    training: Training
    examples: Images  # without noise, for the nets' initialisation
    mesh: Mesh
    batching: str
    example_classes: Classes | None = None  # where known, a net may start from what its examples are
    num_examples: int | None = (
        None  # of the examples for each seed, one after the other, from the first again where they end; none: all
    )

    @cached_property
    def objective(self) -> Objective:
        """Of the members of one timestep. Raises `UserError` where `batching` is none."""
        return Objective(self.net, self.members, choose("batching", self.batching, BATCHING))

    @cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """Of one member."""
        decay = optax.cosine_decay_schedule(self.training.learning_rate, self.training.num_updates)
        return optax.chain(optax.clip_by_global_norm(self.training.clip), optax.adam(decay))

    def init(self, keys: Key[Array, " m"]) -> PyTree:
        """Fresh parameters [M, K, ...]."""
        return self._init(keys, self.examples, self.example_classes)

    @cached_property
    def _init(self) -> Callable[[Key[Array, " m"], Images, Classes | None], PyTree]:
        def one(key, examples, known):
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

        return jax.jit(jax.vmap(one, (0, None, None)))

    @cached_property
    def start(self) -> Callable[[PyTree, Key[Array, " m"], Level], State]:
        """`start(params [M, K, ...], keys, levels)`: training begins with these parameters."""
        return self._compiled(self._start)

    @cached_property
    def round(self) -> Callable[[State, Key[Array, " m"], Level, Int[Array, " m"]], State]:
        """`round(state, keys, levels, index [M])`: `updates_per_round` updates and a validation; donates the state."""
        return self._compiled(self._round, donate_argnums=0)

    def scores(self, feed: Feed, num_batches: int, posterior: Posterior | None = None) -> Callable[..., Scored]:
        """-> `scores(params, keys, levels)`, of fresh examples. posterior: `posterior(z, gamma) -> {feature: [B, C]}`,
        the exact p(c | z), if it is known."""
        return self._compiled(partial(self._scores, feed, num_batches, posterior))

    def row_batches(self, rows: Integer[np.ndarray, " r"]) -> Integer[np.ndarray, "n b"]:
        """Whole batches of them in order; those that fill none are left out."""
        size = self.training.batch_size
        return rows[: len(rows) // size * size].reshape(-1, size)

    def row_scores(
        self, classes: Mapping[str, Int[np.ndarray, " n"]], rows: Integer[np.ndarray, " r"]
    ) -> Callable[..., dict[str, dict[str, Float[Array, "m n s b"]]]]:
        """-> `scores(params, keys, levels)`: {feature: `Head.scores`} of each of these rows of level["z"] once."""
        batches = jnp.asarray(self.row_batches(rows))

        def score(params, _, level):
            def batch(index):
                own = {name: jnp.asarray(label)[index] for name, label in classes.items()}
                return self.members.scores(self.objective.outputs(params, level["z"][index], level["gamma"]), own)

            return jax.lax.map(batch, batches)

        return self._compiled(score)

    def _compiled(self, function: Callable, **options: Any) -> Callable:
        spec = PartitionSpec(self.mesh.axis_names[0])
        sharded = jax.shard_map(
            self.objective.how.timesteps(function), mesh=self.mesh, in_specs=spec, out_specs=spec, check_vma=False
        )
        return jax.jit(sharded, **options)

    def _start(self, params: PyTree, key: Key[Array, ""], level: Level) -> State:
        zeros = jnp.zeros(len(self.members.names), jnp.int32)
        best_loss = self._validate(params, key, level)
        return State(params, jax.vmap(self.optimizer.init)(params), params, best_loss, zeros, zeros)

    def _round(self, state: State, key: Key[Array, ""], level: Level, index: Int[Array, ""]) -> State:
        """Stopped members stay as they are; where all have stopped nothing is computed, if timesteps come in turn."""
        stopped = state.stale >= self.training.patience
        if self.objective.how.timesteps is not in_turn:  # a branch there would be computed all the same
            return self._train(state, stopped, key, level, index)
        return jax.lax.cond(stopped.all(), lambda: state, lambda: self._train(state, stopped, key, level, index))

    def _train(self, state, stopped, key, level, index) -> State:
        size = self.training.updates_per_round

        def update(carry, i):
            params, opt_state = carry
            at = jax.random.fold_in(named_key(key, "train"), i)
            grads = self.objective.gradients(params, stopped, self.train_batches(at, level), level["gamma"])
            updates, new_opt_state = jax.vmap(self.optimizer.update)(grads, opt_state, params)
            new = (optax.apply_updates(params, updates), new_opt_state)
            return select(stopped, carry, new), None

        (params, opt_state), _ = jax.lax.scan(update, (state.params, state.opt_state), index * size + jnp.arange(size))
        loss = self._validate(params, key, level)
        better = (loss < state.best_loss) & ~stopped
        best, best_loss = select(better, (params, loss), (state.best, state.best_loss))
        stale = jnp.where(better, 0, state.stale + 1)
        stale, rounds = select(stopped, (state.stale, state.rounds), (stale, state.rounds + 1))
        return State(params, opt_state, best, best_loss, stale, rounds)

    def train_batches(self, key: Key[Array, ""], level: Level) -> BatchOfSeed:
        """Fresh examples to learn from, for each seed."""

        def of_seed(seed):
            return self.train.draw(jax.random.fold_in(key, seed), level, self.training.batch_size)

        return jax.vmap(of_seed)(jnp.asarray(self.members.seeds))

    def _validate(self, params: PyTree, key: Key[Array, ""], level: Level) -> Float[Array, " k"]:
        """Mean loss of the same examples in every round."""

        def batch(i):
            at = jax.random.fold_in(named_key(key, "validation"), i)
            drawn = self.validation.draw(at, level, self.training.batch_size)
            return self.objective.losses(params, *drawn, level["gamma"]).mean(axis=1)

        num_batches = -(-self.training.num_validation // self.training.batch_size)
        return jax.lax.map(batch, jnp.arange(num_batches)).mean(axis=0)

    def _scores(self, feed, num_batches, posterior, params: PyTree, key: Key[Array, ""], level: Level) -> Scored:
        def batch(i):
            z, classes = feed.draw(jax.random.fold_in(named_key(key, "test"), i), level, self.training.batch_size)
            outputs = self.objective.outputs(params, z, level["gamma"])
            judged = None if posterior is None else self.members.judge(outputs, posterior(z, level["gamma"]))
            return Scored(self.members.scores(outputs, classes), judged, classes[IMAGE])

        return jax.lax.map(batch, jnp.arange(num_batches))


def select(mask: Array, where_true: PyTree, where_false: PyTree) -> PyTree:
    """Leaf by leaf, member by member: mask [K] against leaves [K, ...]."""

    def one(true, false):
        return jnp.where(mask.reshape(mask.shape + (1,) * (true.ndim - 1)), true, false)

    return jax.tree.map(one, where_true, where_false)


def timestep_keys(key: Key[Array, ""], timesteps: Int[Any, " m"]) -> Key[Array, " m"]:
    """A key for each timestep, by its number."""
    return jax.vmap(partial(jax.random.fold_in, named_key(key, "timestep")))(jnp.asarray(timesteps))


def fit(
    ensemble: Ensemble,
    keys: Key[Array, " m"],
    levels: Level,
    *,
    params: PyTree = None,
    progress: Callable[[range], Any] = iter,
) -> State:
    """Trains until every member has stopped or `num_updates` are done. params: [M, K, ...], to start from."""
    state = ensemble.start(ensemble.init(keys) if params is None else params, keys, levels)
    for index in progress(range(ensemble.training.num_rounds)):
        state = ensemble.round(state, keys, levels, jnp.full(len(keys), index))
        if bool((state.stale >= ensemble.training.patience).all()):
            break
    return state
