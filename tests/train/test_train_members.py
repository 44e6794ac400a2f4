"""Members of one shape, stacked: as alone to rounding, resumed from different steps, split over devices."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_training import batch_fn, loss_fn, make_data, update_carry

from vdm_jax.train.checkpoint import Checkpointer, resume
from vdm_jax.train.members import TrainedMember, run_at_once
from vdm_jax.train.metrics import MetricsLog, read_metrics
from vdm_jax.train.optimizer import make_optimizer, with_own_rate
from vdm_jax.train.state import init_state
from vdm_jax.train.step import train_step

SETTINGS = dict(batch_size=8, steps_per_call=1, log_every=4, eval_every=8, checkpoint_every=8, max_skipped_in_a_row=5)
RATES = (0.5, 0.1)


def own_batch(data, step):
    """The batch of the toy training, that of the member's own start."""
    return batch_fn(data["shared"], step + data["own"]["start"])


def one_step(optimizer, state, shared, own, key):
    state, metrics = train_step(
        state,
        {"shared": shared, "own": own},
        key,
        loss_fn=loss_fn,
        batch_fn=own_batch,
        optimizer=optimizer,
        update_carry=update_carry,
        ema_decay=0.9,
        ema_warmup=True,
        accumulate=1,
        mesh=None,
    )
    metrics.pop("finite")
    return state, metrics


def optimizer_of(rate):
    return with_own_rate(make_optimizer(1.0, num_steps=16), rate)


def members_in(folder):
    for i, rate in enumerate(RATES):
        params = {"kernel": jnp.full((4, 3), 0.1 * i), "bias": jnp.zeros((1, 3))}
        state = init_state(params, optimizer_of(rate), {"mean_loss": jnp.zeros(())})
        checkpointer = Checkpointer(folder / str(i) / "checkpoints")
        restored, _ = resume(checkpointer.folder, state)
        yield TrainedMember(
            restored or state,
            {"start": jnp.int32(3 * i)},
            jax.random.key(i),
            lambda state: {"score": float(jnp.sum(state.params["bias"] ** 2))},
            checkpointer,
            MetricsLog(folder / str(i) / "metrics.jsonl"),
        )


def trained(folder, num_steps=16, chosen=(0, 1)):
    """The parameters of the chosen members after a training at once."""
    members = [member for i, member in enumerate(members_in(folder)) if i in chosen]
    step, shared = partial(one_step, optimizer_of(1.0)), jax.tree.map(jnp.asarray, make_data())
    run_at_once(members, step, shared, lambda: False, num_steps=num_steps, **SETTINGS)
    for member in members:
        member.checkpointer.close()
    return [resume(member.checkpointer.folder, member.state)[0].params for member in members]


def as_arrays(params):
    return np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(params)])


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Each member by a loop over its own steps."""
    found, shared = [], jax.tree.map(jnp.asarray, make_data())
    step = jax.jit(partial(one_step, optimizer_of(1.0)))
    for member in members_in(tmp_path_factory.mktemp("alone")):
        state = member.state
        for _ in range(16):
            state, _ = step(state, shared, member.data, member.key)
        member.checkpointer.close()
        found.append(state.params)
    return found


def test_at_once_is_as_alone(tmp_path, alone):
    """On as many devices as divide the members. Rows and checkpoints are those of a run alone."""
    for own, other in zip(trained(tmp_path), alone, strict=True):
        np.testing.assert_allclose(as_arrays(own), as_arrays(other), rtol=1e-4, atol=1e-5)
    rows = read_metrics(tmp_path / "1" / "metrics.jsonl")
    assert [row["step"] for row in rows if row["split"] == "train"] == [4, 8, 12, 16]
    assert [row["step"] for row in rows if row["split"] == "validation"] == [8, 16]


def test_members_that_stopped_at_different_steps_end_alike(tmp_path, alone):
    trained(tmp_path, num_steps=8, chosen=(0,))
    for own, other in zip(trained(tmp_path), alone, strict=True):
        np.testing.assert_allclose(as_arrays(own), as_arrays(other), rtol=1e-4, atol=1e-5)


def test_a_member_that_fails_does_not_end_the_others(tmp_path, alone):
    members = list(members_in(tmp_path))
    members[0] = members[0]._replace(data={"start": jnp.int32(0), "bad": jnp.float32(jnp.nan)})
    members[1] = members[1]._replace(data=members[1].data | {"bad": jnp.float32(0)})

    def step(state, shared, own, key):
        shared = jax.tree.map(lambda leaf: leaf + jnp.where(state.step < 6, 0.0, own["bad"]), shared)
        return one_step(optimizer_of(1.0), state, shared, {"start": own["start"]}, key)

    shared = jax.tree.map(jnp.asarray, make_data())
    failed = run_at_once(members, step, shared, lambda: False, num_steps=16, **SETTINGS)
    assert list(failed) == [0] and "the last 6 updates before step 12 were not finite" in str(failed[0])
    for member in members:
        member.checkpointer.close()
    states = [resume(member.checkpointer.folder, member.state)[0] for member in members]
    assert states[0] is None and int(states[1].step) == 16
    np.testing.assert_allclose(as_arrays(states[1].params), as_arrays(alone[1]), rtol=1e-4, atol=1e-5)
