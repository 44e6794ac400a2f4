"""A training small enough to be killed often: `python toy_training.py WORKDIR [NUM_STEPS [SECONDS_A_CALL]]`.

A noisy linear regression with AdamW, EMA and a carry, every draw from a seed; resumes from what WORKDIR holds.
Prints "done" or "stopped" at the end.
"""

import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from vdm_jax.base.keys import named_key
from vdm_jax.train.checkpoint import Checkpointer
from vdm_jax.train.loop import Result, run
from vdm_jax.train.metrics import MetricsLog
from vdm_jax.train.optimizer import make_optimizer
from vdm_jax.train.sharding import make_mesh, replicate
from vdm_jax.train.state import TrainState, init_state
from vdm_jax.train.step import make_train_step

BATCH_SIZE = 8
NUM_STEPS = 120
STEPS_PER_CALL = 2


def make_data() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(64, 4)).astype(np.float32)
    return {"x": x, "y": x @ np.arange(12, dtype=np.float32).reshape(4, 3)}


def make_params() -> dict[str, jax.Array]:
    return {"kernel": jnp.zeros((4, 3)), "bias": jnp.zeros((1, 3))}


def make_carry() -> dict[str, jax.Array]:
    return {"mean_loss": jnp.zeros(())}


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


def make_state(optimizer, mesh) -> TrainState:
    return replicate(init_state(make_params(), optimizer, make_carry()), mesh)


def evaluate(state: TrainState) -> dict[str, float]:
    data = make_data()
    error = data["x"] @ np.asarray(state.ema_params["kernel"]) + np.asarray(state.ema_params["bias"]) - data["y"]
    return {"score": float(np.mean(error**2))}


def train(workdir: Path, num_steps: int = NUM_STEPS, seconds_a_call: float = 0.0) -> Result:
    mesh = make_mesh()
    optimizer = make_optimizer(0.05, num_steps=NUM_STEPS, warmup_steps=5)
    step = make_train_step(
        loss_fn,
        optimizer,
        jax.random.key(1),
        mesh=mesh,
        batch_fn=batch_fn,
        update_carry=update_carry,
        ema_decay=0.9,
        steps_per_call=STEPS_PER_CALL,
    )
    data = replicate(make_data(), mesh)

    def one_call(state):
        time.sleep(seconds_a_call)
        return step(state, data)

    state = make_state(optimizer, mesh)
    with Checkpointer(workdir / "checkpoints", keep_latest=2, keep_best=1) as checkpointer:
        if checkpointer.saved():
            state = checkpointer.restore(state)
        return run(
            state,
            one_call,
            num_steps=num_steps,
            batch_size=BATCH_SIZE,
            steps_per_call=STEPS_PER_CALL,
            log_every=4,
            eval_every=12,
            checkpoint_every=8,
            evaluate=evaluate,
            checkpointer=checkpointer,
            log=MetricsLog(workdir / "metrics.jsonl"),
        )


if __name__ == "__main__":
    numbers = [float(number) for number in sys.argv[2:]]
    print(train(Path(sys.argv[1]), int(numbers[0]) if numbers else NUM_STEPS, *numbers[1:]).status)
