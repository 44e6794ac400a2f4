"""The members of an ensemble as one stacked training, for back ends that are faster with more work at a time."""

import pathlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

import jax
import optax
from jaxtyping import Array, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.experiments.common.train import say
from vdm_jax.experiments.common.training import ModelTraining
from vdm_jax.launch.settings import plain
from vdm_jax.train.checkpoint import Checkpointer, resume
from vdm_jax.train.members import TrainedMember, run_at_once
from vdm_jax.train.state import TrainState, as_vectors, averaged, init_state
from vdm_jax.train.step import train_steps
from vdm_jax.train.writers import open_log

OWN = "key"  # of the data: the key of a member's batches


class MemberTraining(NamedTuple):
    """What the training of a member takes; `params` are the first ones."""

    config: ConfigDict
    workdir: pathlib.Path
    training: ModelTraining
    params: PyTree
    optimizer: optax.GradientTransformation


def train_at_once(members: Sequence[MemberTraining], stop_requested: Callable[[], bool], *, vectors: bool) -> None:
    """Trains all members together, with the step of the first.

    vectors: whether the state is laid out in vectors.
    """
    training, optimizer, config = members[0].training, members[0].optimizer, members[0].config.train
    shared = {name: array for name, array in training.data.items() if name != OWN}
    step = partial(_step, training=training, optimizer=optimizer, config=config)
    with ExitStack() as stack:
        trained = [_member(stack, member, vectors) for member in members]
        say(f"{len(trained)} members at once, {jax.device_count()} device(s)")
        run_at_once(
            trained,
            step,
            jax.device_put(shared),
            stop_requested,
            num_steps=config.num_steps,
            batch_size=config.batch_size,
            steps_per_call=config.steps_per_call,
            log_every=config.log_every,
            eval_every=config.eval_every,
            checkpoint_every=config.checkpoint_every,
            max_skipped_in_a_row=config.max_skipped_in_a_row,
        )


def _member(stack: ExitStack, member: MemberTraining, vectors: bool) -> TrainedMember:
    whole, workdir, training, params, optimizer = member
    config = whole.train
    state = init_state(params, optimizer, training.carry)
    restored, damages = resume(workdir / "checkpoints", state)
    for damage in damages:
        say(damage)
    state = state if restored is None else restored
    checkpoints = Checkpointer(workdir / "checkpoints", keep_latest=config.keep_latest, keep_best=config.keep_best)
    return TrainedMember(
        as_vectors(state) if vectors else state,
        {OWN: training.data[OWN]},
        named_key(jax.random.key(config.seed), "step"),
        lambda state: training.validate(training.complete(averaged(state), state.carry)),
        stack.enter_context(checkpoints),
        stack.enter_context(open_log(config.get("writers", ""), workdir, plain(whole))),
    )


def _step(
    state: TrainState,
    shared: PyTree,
    own: PyTree,
    key: Key[Array, ""],
    *,
    training: ModelTraining,
    optimizer: optax.GradientTransformation,
    config: ConfigDict,
) -> tuple[TrainState, dict[str, Array]]:
    """The steps of one call of one member, as `make_train_step` compiles them."""
    return train_steps(
        state,
        shared | own,
        key,
        steps_per_call=config.steps_per_call,
        loss_fn=training.loss_fn,
        batch_fn=training.batch_fn,
        optimizer=optimizer,
        update_carry=training.update_carry,
        ema_decay=config.ema_decay,
        ema_warmup=config.ema_warmup,
        accumulate=config.accumulate,
        mesh=None,
    )
