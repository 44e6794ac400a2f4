"""A training small enough to be killed often: `python toy_training.py WORKDIR [SECONDS_A_CALL]`.

A noisy linear regression with AdamW, EMA and a carry, every draw from a seed; resumes from what WORKDIR holds.
Prints "done" or "stopped" at the end.
"""

import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import make_mesh, replicate
from vdm_jax.train.checkpoint import Checkpointer
from vdm_jax.train.loop import Result, run
from vdm_jax.train.metrics import MetricsLog
from vdm_jax.train.optimizer import make_optimizer
from vdm_jax.train.state import TrainState, init_state
from vdm_jax.train.step import make_train_step

BATCH_SIZE = 8
NUM_STEPS = 64
STEPS_PER_CALL = 2


def make_data() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(64, 4)).astype(np.float32)
    return {"x": x, "y": x @ np.arange(12, dtype=np.float32).reshape(4, 3)}


def batch_fn(data, step):
    rows = (step * BATCH_SIZE + jnp.arange(BATCH_SIZE)) % 64
    return jax.tree.map(lambda leaf: leaf[rows], data)


def loss_fn(params, carry, batch, key, step):
    noise = 0.1 * jax.random.normal(named_key(key, "noise"), batch["y"].shape)
    error = batch["x"] @ params["kernel"] + params["bias"] - batch["y"] - noise
    loss = jnp.sum(error**2, axis=1) + 0.01 * carry["mean_loss"]
    return loss, {"largest": jnp.max(jnp.abs(error))}


def update_carry(carry, metrics, step):
    return {"mean_loss": 0.9 * carry["mean_loss"] + 0.1 * metrics["loss"]}


def make_parts(loss_fn=loss_fn, steps_per_call: int = STEPS_PER_CALL):
    """-> the optimizer, the compiled step and the data on its devices."""
    mesh = make_mesh()
    optimizer = make_optimizer(0.5, num_steps=NUM_STEPS, warmup_steps=5)
    step = make_train_step(
        loss_fn,
        optimizer,
        jax.random.key(1),
        mesh=mesh,
        batch_fn=batch_fn,
        update_carry=update_carry,
        ema_decay=0.9,
        steps_per_call=steps_per_call,
    )
    return optimizer, step, replicate(make_data(), mesh)


def initial_state() -> TrainState:
    params = {"kernel": jnp.zeros((4, 3)), "bias": jnp.zeros((1, 3))}
    return replicate(init_state(params, make_parts()[0], {"mean_loss": jnp.zeros(())}), make_mesh())


def evaluate(state: TrainState) -> dict[str, float]:
    data = make_data()
    error = data["x"] @ np.asarray(state.ema_params["kernel"]) + np.asarray(state.ema_params["bias"]) - data["y"]
    return {"score": float(np.mean(error**2))}


def train(
    workdir: Path,
    num_steps: int = NUM_STEPS,
    *,
    loss_fn=loss_fn,
    steps_per_call: int = STEPS_PER_CALL,
    log_every: int = 4,
    at_call: Callable[[int], None] = lambda call: None,
) -> Result:
    _, step, data = make_parts(loss_fn, steps_per_call)
    calls = count()

    def one_call(state):
        at_call(next(calls))
        return step(state, data)

    with Checkpointer(workdir / "checkpoints", keep_latest=2, keep_best=1) as checkpointer:
        state = initial_state()
        return run(
            checkpointer.restore(state) if checkpointer.saved() else state,
            one_call,
            num_steps=num_steps,
            batch_size=BATCH_SIZE,
            steps_per_call=steps_per_call,
            log_every=log_every,
            eval_every=12,
            checkpoint_every=8,
            evaluate=evaluate,
            checkpointer=checkpointer,
            log=MetricsLog(workdir / "metrics.jsonl"),
        )


if __name__ == "__main__":
    pause = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    print(train(Path(sys.argv[1]), at_call=lambda call: time.sleep(pause)).status)
