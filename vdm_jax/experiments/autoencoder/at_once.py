"""The members of an ensemble as one stacked training, for back ends that are faster with more work at a time."""

import pathlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

import jax
import optax
from jaxtyping import Array, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.experiments.common.train import (
    loop_settings,
    open_checkpoints,
    resumed,
    say,
    scores_of,
    step_key,
    step_settings,
)
from vdm_jax.experiments.common.training import ModelTraining
from vdm_jax.launch.settings import plain
from vdm_jax.train.loop import TrainingFailed
from vdm_jax.train.members import Step, TrainedMember, devices_of, run_at_once
from vdm_jax.train.state import Metrics, TrainState, as_vectors, init_state
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


def train_at_once(
    members: Sequence[MemberTraining], stop_requested: Callable[[], bool], *, vectors: bool
) -> dict[pathlib.Path, TrainingFailed]:
    """Trains all members together, with the step of the first; the failures by the folder of the member.

    vectors: whether the state is laid out in vectors.
    """
    step, shared = step_of_a_member(members[0])
    with ExitStack() as stack:
        trained = [_member(stack, member, vectors) for member in members]
        say(f"{len(trained)} members at once, {devices_of(len(trained)).size} of {jax.device_count()} device(s)")
        failed = run_at_once(trained, step, shared, stop_requested, **loop_settings(members[0].config.train))
    return {members[i].workdir: error for i, error in failed.items()}


def step_of_a_member(member: MemberTraining) -> tuple[Step, PyTree]:
    """`step(state, shared, own, key)` of one member, not compiled, and the data that all members share. `own` is the
    rest of `member.training.data`."""
    data, settings = member.training.data, step_settings(member.training, member.config.train, member.optimizer)

    def step(state: TrainState, shared: PyTree, own: PyTree, key: Key[Array, ""]) -> tuple[TrainState, Metrics]:
        return train_steps(state, shared | own, key, mesh=None, **settings)

    return step, {name: array for name, array in data.items() if name != OWN}


def _member(stack: ExitStack, member: MemberTraining, vectors: bool) -> TrainedMember:
    whole, workdir, training, params, optimizer = member
    state = resumed(workdir, init_state(params, optimizer, training.carry))
    return TrainedMember(
        as_vectors(state) if vectors else state,
        {OWN: training.data[OWN]},
        step_key(whole.train),
        scores_of(training),
        stack.enter_context(open_checkpoints(workdir, whole.train)),
        stack.enter_context(open_log(whole.train.get("writers", ""), workdir, plain(whole))),
    )
