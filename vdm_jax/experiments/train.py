"""The training job: from the latest checkpoint, or from nothing, to `config.train.num_steps`."""

import pathlib
from functools import partial

import jax
import optax
from jax.sharding import Mesh
from jaxtyping import PyTree
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.base.pytrees import num_parameters
from vdm_jax.data.dataset import Split
from vdm_jax.data.order import batch_indices
from vdm_jax.diffusion.rate_target import TargetRate
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.evals.information import active_units
from vdm_jax.experiments.build import Experiment
from vdm_jax.experiments.checkpoints import initial_params
from vdm_jax.experiments.codes import encode_all
from vdm_jax.experiments.devices import across_devices
from vdm_jax.experiments.vae_vdm import VaeVdm
from vdm_jax.train.checkpoint import Checkpointer
from vdm_jax.train.lock import alone_in
from vdm_jax.train.loop import Result, run
from vdm_jax.train.metrics import MetricsLog
from vdm_jax.train.optimizer import make_optimizer
from vdm_jax.train.sharding import make_mesh, replicate
from vdm_jax.train.signals import catch_sigterm
from vdm_jax.train.state import TrainState, init_state
from vdm_jax.train.step import make_train_step


def train(experiment: Experiment, workdir: pathlib.Path) -> str:
    """Trains, validates and saves, alone in the folder; returns "done", or "stopped" where SIGTERM asked for it."""
    with alone_in(workdir), catch_sigterm() as stop_requested:
        result = run_from_checkpoint(experiment, workdir)
        status = "stopped" if stop_requested() else result.status
    if status == "stopped":
        say(f"stopped and saved at step {int(result.state.step)}; the same command goes on from there")
    return status


def run_from_checkpoint(experiment: Experiment, workdir: pathlib.Path) -> Result:
    """The loop, from the latest checkpoint or from nothing."""
    config, data, model = experiment.config.train, experiment.data, experiment.model
    mesh = make_mesh()
    optimizer = make_optimizer(
        config.learning_rate,
        num_steps=config.num_steps,
        schedule=config.learning_rate_schedule,
        warmup_steps=config.warmup_steps,
        b1=config.b1,
        b2=config.b2,
        weight_decay=config.weight_decay,
        clip=config.clip,
        decays=all_but_gamma,
    )
    step = make_step(experiment, optimizer, mesh)
    state = replicate(init_state(initial_params(model, experiment.config), optimizer, model.rate.init()), mesh)
    splits = replicate({"levels": data.train.levels, "held_out": data.validation.levels}, mesh)
    say(f"{num_parameters(state.params):,} parameters, {len(data.train):,} images, {mesh.size} device(s)")
    checkpoints = Checkpointer(workdir / "checkpoints", keep_latest=config.keep_latest, keep_best=config.keep_best)
    with checkpoints as checkpointer:
        if checkpointer.saved():
            state = checkpointer.restore(state)
            say(f"goes on from step {int(state.step)}")
        return run(
            state,
            lambda state: step(state, splits),
            num_steps=config.num_steps,
            batch_size=config.batch_size,
            steps_per_call=config.steps_per_call,
            log_every=config.log_every,
            eval_every=config.eval_every,
            checkpoint_every=config.checkpoint_every,
            evaluate=partial(validate, model=model, config=experiment.config, split=data.validation),
            checkpointer=checkpointer,
            log=MetricsLog(workdir / "metrics.jsonl"),
            max_skipped_in_a_row=config.max_skipped_in_a_row,
        )


def all_but_gamma(params: PyTree) -> PyTree:
    """What weight decay applies to: a learned schedule has no reason to shrink."""
    return {name: jax.tree.map(lambda _, decays=name != "gamma": decays, part) for name, part in params.items()}


def make_step(experiment: Experiment, optimizer: optax.GradientTransformation, mesh: Mesh):
    """`step(state, splits)`, compiled; batches are a function of seed and step.

    Where the rate mode holds a target, each batch brings validation images along: their KL steers the multiplier.
    """
    config, data, model = experiment.config.train, experiment.data, experiment.model
    key = jax.random.key(config.seed)
    sizes = {"levels": config.batch_size}
    if isinstance(model.rate, TargetRate):
        parts = config.accumulate * mesh.size
        sizes["held_out"] = parts * max(1, min(config.batch_size, len(data.validation)) // parts)

    def batch_fn(splits, step):
        def take(name, size):
            return splits[name][batch_indices(named_key(key, name), step, len(splits[name]), size)]

        return {name: take(name, size) for name, size in sizes.items()}

    return make_train_step(
        model.loss_fn,
        optimizer,
        named_key(key, "step"),
        mesh=mesh,
        batch_fn=batch_fn,
        update_carry=model.update_carry,
        ema_decay=config.ema_decay,
        accumulate=config.accumulate,
        steps_per_call=config.steps_per_call,
    )


def validate(state: TrainState, *, model: VaeVdm, config: ConfigDict, split: Split) -> dict[str, float]:
    """The bound of the averaged weights on validation images, and the score by which a checkpoint is the best."""
    levels, batch_size = split.levels[: config.train.eval_images or None], config.evaluate.batch_size
    mu, logvar = encode_all(model, state.ema_params, levels, batch_size)
    estimate = evaluate_bound(
        model.bound_terms,
        state.ema_params,
        {"levels": levels, "mu": mu, "logvar": logvar},
        passes=config.train.eval_passes,
        batch_size=batch_size,
        key=named_key(jax.random.key(config.train.seed), "validation"),
        place=across_devices,
    )
    means = {name: float(value) for name, value in estimate.mean.items()}
    means["active_units"] = active_units(mu)
    return means | {"score": model.rate.select(means["distortion"], means["rate"])}


def say(what: str) -> None:
    print(f"train: {what}", flush=True)
