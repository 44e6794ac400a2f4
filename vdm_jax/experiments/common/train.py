"""The training job: from the latest checkpoint, or from fresh parameters, to `config.train.num_steps`."""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import make_mesh, replicate
from vdm_jax.base.pytrees import num_parameters
from vdm_jax.base.signals import catch_sigterm
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import CHECKPOINTS, are_published, initial_params
from vdm_jax.experiments.common.training import ModelTraining, make_training
from vdm_jax.launch.settings import plain
from vdm_jax.train.checkpoint import Checkpointer, resume
from vdm_jax.train.flat import layout_of
from vdm_jax.train.loop import Result, run
from vdm_jax.train.metrics import MetricsLog
from vdm_jax.train.optimizer import make_optimizer
from vdm_jax.train.state import TrainState, as_vectors, averaged, init_state
from vdm_jax.train.step import CompiledStep, make_train_step
from vdm_jax.train.writers import open_log

LOOP_SETTINGS = (
    *("num_steps", "batch_size", "steps_per_call", "log_every", "eval_every", "checkpoint_every"),
    "max_skipped_in_a_row",
)


def train(
    experiment: Experiment, workdir: pathlib.Path, make: Callable[[Any, int], ModelTraining] = make_training
) -> str:
    """Trains, validates and saves; returns "done", or "stopped" after SIGTERM.

    make: what the training needs, of the experiment and the number of devices.
    """
    mesh, seed = make_mesh(), experiment.config.train.seed
    with catch_sigterm() as stop_requested:
        training = make(experiment, mesh.size)
        params = initial_params(experiment.model, seed)
        writers = experiment.config.train.get("writers", "")  # older files lack it
        with open_log(writers, workdir, plain(experiment.config)) as log:
            result = run_from_checkpoint(training, params, experiment.config.train, workdir, mesh, log)
        status = "stopped" if stop_requested() else result.status
    if status == "stopped":
        say(f"stopped and saved at step {int(result.state.step)}; the same command goes on from there")
    return status


def run_from_checkpoint(
    training: ModelTraining, params: PyTree, config: ConfigDict, workdir: pathlib.Path, mesh: Mesh, log: MetricsLog
) -> Result:
    """The loop with the settings `config.train`, from the latest checkpoint or from `params`."""
    optimizer = make_optimizer_of(config, params)
    step = make_step(training, config, optimizer, mesh)
    return run_step(training, step, optimizer, params, config, workdir, mesh, log)


def make_optimizer_of(config: ConfigDict, params: PyTree, **settings) -> optax.GradientTransformation:
    """The optimizer that `config.train` states, for parameters in a vector. settings: in place of those."""
    stated = dict(
        learning_rate=config.learning_rate,
        num_steps=config.num_steps,
        schedule=config.learning_rate_schedule,
        warmup_steps=config.warmup_steps,
        b1=config.b1,
        b2=config.b2,
        weight_decay=config.weight_decay,
        clip=config.clip or None,
        decays=of_vectors(choose("config.train.decay", config.decay, DECAYS), params),
    )
    return make_optimizer(**stated | settings)


def run_step(
    training: ModelTraining,
    step: CompiledStep,
    optimizer: optax.GradientTransformation,
    params: PyTree,
    config: ConfigDict,
    workdir: pathlib.Path,
    mesh: Mesh,
    log: MetricsLog,
    *,
    vectors: bool = True,
) -> Result:
    """`run_from_checkpoint` with a step that is compiled already. vectors: whether the state is laid out in vectors,
    which an optimizer of parts of the parameters cannot take."""
    data = replicate(training.data, mesh)
    say(f"{num_parameters(params):,} parameters, {training.num_images:,} images, {mesh.size} device(s)")
    state = resumed(workdir, replicate(init_state(params, optimizer, training.carry), mesh))
    with open_checkpoints(workdir, config) as checkpointer:
        return run(
            replicate(as_vectors(state) if vectors else state, mesh),
            lambda state: step(state, data),
            evaluate=scores_of(training),
            checkpointer=checkpointer,
            log=log,
            **loop_settings(config),
        )


def open_checkpoints(workdir: pathlib.Path, config: ConfigDict) -> Checkpointer:
    """The checkpoints of a run, of which `config.train` says how many are kept. Raises `UserError` in a folder with
    published weights alone."""
    if are_published(workdir):
        why = f"{workdir} has published weights, from which no training continues"
        raise UserError(f"{why}; leave train out of --jobs, or choose another --workdir")
    return Checkpointer(workdir / CHECKPOINTS, keep_latest=config.keep_latest, keep_best=config.keep_best)


def resumed(workdir: pathlib.Path, state: TrainState) -> TrainState:
    """The latest state that is stored, or the first one, `state`; says what was damaged."""
    restored, damages = resume(workdir / CHECKPOINTS, state)
    for damage in damages:
        say(damage)
    if restored is None:
        return state
    say(f"goes on from step {int(restored.step)}")
    return restored


def scores_of(training: ModelTraining) -> Callable[[TrainState], dict[str, float]]:
    """The numbers of the validation images of a state, with its averaged weights.

    The weights go to all devices, over which the images are split: members that are trained at once may be on fewer.
    """

    def scores(state: TrainState) -> dict[str, float]:
        return training.validate(replicate(training.complete(averaged(state), state.carry), make_mesh()))

    return scores


def loop_settings(config: ConfigDict) -> dict[str, int]:
    """The settings of `config.train` that are arguments of `train.loop.run`."""
    return {name: config[name] for name in LOOP_SETTINGS}


def all_but_gamma(params: PyTree) -> PyTree:
    """The parameters that weight decay applies to: a learned schedule has no reason to shrink."""
    return {name: jax.tree.map(lambda _, decays=name != "gamma": decays, part) for name, part in params.items()}


def all_but_biases(params: PyTree) -> PyTree:
    """`all_but_gamma` without biases: kernels, and the scales of norms."""
    return jax.tree_util.tree_map_with_path(
        lambda path, decays: decays and path[-1].key != "bias", all_but_gamma(params)
    )


DECAYS = {"all": all_but_gamma, "all_but_biases": all_but_biases}


def of_vectors(decays: Callable[[PyTree], PyTree], params: PyTree) -> Callable[[PyTree], PyTree]:
    """One of `DECAYS` for parameters that are a vector (`as_vectors`), or a tree where no vector can hold them."""
    chosen, layout = decays(params), layout_of(params)
    return lambda _: chosen if layout is None else layout.spread(chosen)


def make_step(training: ModelTraining, config: ConfigDict, optimizer: optax.GradientTransformation, mesh: Mesh):
    """`step(state, data)`, compiled, with the settings `config.train`."""
    return make_train_step(key=step_key(config), mesh=mesh, **step_settings(training, config, optimizer))


def step_key(config: ConfigDict) -> Key[Array, ""]:
    """The key of the draws of a training's steps."""
    return named_key(jax.random.key(config.seed), "step")


def step_settings(
    training: ModelTraining, config: ConfigDict, optimizer: optax.GradientTransformation
) -> dict[str, Any]:
    """The arguments of `train.step.train_steps` but the key and the mesh. config: `config.train`."""
    return dict(
        loss_fn=training.loss_fn,
        optimizer=optimizer,
        batch_fn=training.batch_fn,
        update_carry=training.update_carry,
        ema_decay=config.ema_decay,
        ema_warmup=config.ema_warmup,
        accumulate=config.accumulate,
        steps_per_call=config.steps_per_call,
    )


def say(what: str) -> None:
    """Prints a line of the job."""
    print(f"train: {what}", flush=True)
