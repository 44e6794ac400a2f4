"""The training of one autoencoder, and of the members of an ensemble through the same path.

What members differ in is no constant of the program: the seed is in the data (the key of the batches) and in the key of
the step, the weights of the loss in the carry, the learning rate in the state of the optimizer. So one compiled step
serves all members, one after the other, each with the checkpoints and the log of a run alone.
"""

import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import jax
import numpy as np
import optax
from jaxtyping import PyTree
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import across_devices, make_mesh
from vdm_jax.base.progress import bar
from vdm_jax.base.signals import catch_sigterm, sigterm_after
from vdm_jax.data.order import batch_indices
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.experiments.autoencoder.at_once import MemberTraining, train_at_once
from vdm_jax.experiments.autoencoder.build import AutoencoderExperiment
from vdm_jax.experiments.autoencoder.features import trained_features
from vdm_jax.experiments.common.checkpoints import initial_params
from vdm_jax.experiments.common.train import DECAYS, make_optimizer_of, make_step, run_step, say
from vdm_jax.experiments.common.training import ModelTraining, describe_training
from vdm_jax.launch.kind import MEMBERS, RunOptions, Status
from vdm_jax.launch.settings import plain
from vdm_jax.models.autoencoder import Autoencoder
from vdm_jax.train.loop import TrainingFailed
from vdm_jax.train.optimizer import with_own_rate
from vdm_jax.train.step import CompiledStep
from vdm_jax.train.writers import open_log

OTHER_PLAYER = "discriminator"


def train(experiment: AutoencoderExperiment, workdir: pathlib.Path, options: RunOptions) -> Status:
    """Trains, validates and saves; returns "done", or "stopped" after SIGTERM."""
    return train_members([(experiment, workdir)], options)


def train_members(
    members: Sequence[tuple[AutoencoderExperiment, pathlib.Path]], options: RunOptions, at_once: bool | None = None
) -> Status:
    """Trains each member in its folder with one compiled step. They have one shape and one data set.

    One that fails does not end the others. Raises `TrainingFailed` at the end, and `Stopped` where SIGTERM arrives
    while the features of a perceptual loss are trained.

    at_once: whether they are stacked, or trained one after the other. None: stacked but on a CPU, whose cache holds the
    weights of one member.
    """
    first = members[0][0]
    at_once = len(members) > 1 and (jax.default_backend() != "cpu" if at_once is None else at_once)
    with sigterm_after(options.stop_after), catch_sigterm() as stop_requested:
        workdirs = [workdir for _, workdir in members]
        features = trained_features(first.config.reconstruction, first.data, workdirs, stop_requested)

        def prepared(num_devices: int) -> Iterator[MemberTraining]:
            for experiment, workdir in members:
                training = make_training(experiment, first.model, num_devices, features)
                params = initial_params(experiment.model, experiment.config.train.seed)
                optimizer = make_players(experiment.config.train, params)
                yield MemberTraining(experiment.config, workdir, training, params, optimizer)

        vectors = not first.model.is_two_player
        if at_once:
            failed = train_at_once(list(prepared(1)), stop_requested, vectors=vectors)
        else:
            failed = _train_in_turn(prepared(make_mesh().size), stop_requested, vectors=vectors)
        if failed:
            raise _failure(failed, len(members))
        if stop_requested():
            say("stopped and saved; the same command goes on from there")
            return "stopped"
    return "done"


def _failure(failed: Mapping[pathlib.Path, TrainingFailed], num_members: int) -> TrainingFailed:
    """The error of a training of several runs, of which some failed."""
    if num_members == 1:
        return next(iter(failed.values()))
    told = "; ".join(f"{workdir.name}: {error}" for workdir, error in failed.items())
    way = "leave its values out of config.ensemble, and the same command goes on with the other members"
    return TrainingFailed(f"{len(failed)} of {num_members} members failed: {told}; {way}")


def _train_in_turn(
    members: Iterator[MemberTraining], stop_requested: Callable[[], bool], *, vectors: bool
) -> dict[pathlib.Path, TrainingFailed]:
    """The failures, by the folder of the member."""
    mesh, shared, failed = make_mesh(), None, {}
    for config, workdir, training, params, optimizer in members:
        if stop_requested():
            break
        if workdir.parent.name == MEMBERS:
            say(workdir.name)
        step = make_step(training, config.train, optimizer, mesh)
        shared = shared or step
        own = CompiledStep(shared.jitted, step.key)
        with open_log(config.train.get("writers", ""), workdir, plain(config)) as log:
            try:
                run_step(training, own, optimizer, params, config.train, workdir, mesh, log, vectors=vectors)
            except TrainingFailed as error:
                failed[workdir] = error
    return failed


def make_players(config: ConfigDict, params: PyTree) -> optax.GradientTransformation:
    """The optimizer of `config.train`; where there is a discriminator one for it and one for all other parameters."""
    if OTHER_PLAYER not in params:
        return with_own_rate(make_optimizer_of(config, params, learning_rate=1.0), config.learning_rate)
    decays = DECAYS[config.decay]
    players = {part: jax.tree.map(lambda _, own=part: _player(own), params[part]) for part in params}
    optimizers = {_player(part): make_optimizer_of(config, params, learning_rate=1.0, decays=decays) for part in params}
    return with_own_rate(optax.partition(optimizers, players), config.learning_rate)


def _player(part: str) -> str:
    return part if part == OTHER_PLAYER else "autoencoder"


def make_training(
    experiment: AutoencoderExperiment, model: Autoencoder, num_devices: int, features: PyTree | None = None
) -> ModelTraining:
    """Batches of training images, rendered in the compiled step where the data set stores indices; with labels of a
    conditional model, and with validation images where the rate mode is steered by their KL.

    model: whose functions are compiled, the first member's. features: trained ones, in place of those of zeros.
    """
    config, data, own = experiment.config, experiment.data, experiment.model
    key = jax.random.key(config.train.seed)
    parts = {"levels": (data.train, "labels", config.train.batch_size)}
    if own.rate.steered_by_held_out:
        pieces = config.train.accumulate * num_devices
        size = pieces * max(1, min(config.train.batch_size, len(data.validation)) // pieces)
        parts["held_out"] = (data.validation, "held_out_labels", size)
    stored = {name: split.stored for name, (split, _, _) in parts.items()}
    if own.num_classes:
        stored |= {labels: split.labels for split, labels, _ in parts.values()}

    def batch_fn(arrays, step):
        found = {}
        for name, (split, labels, size) in parts.items():
            rows = batch_indices(named_key(arrays["key"], name), step, len(split), size)
            found[name] = data.levels_of(arrays[name][rows])
            if labels in arrays:
                found[labels] = arrays[labels][rows]
        return found

    carry = own.init_carry(named_key(key, "carry"))
    return ModelTraining(
        loss_fn=model.loss_fn,
        data=stored | {"key": key},
        batch_fn=batch_fn,
        num_images=len(data.train),
        validate=partial(validate, terms=model.terms, experiment=experiment),
        carry=carry if features is None else carry | {"features": features},
        update_carry=model.update_carry,
        complete=model.complete,
    )


def validate(params: PyTree, *, terms: Callable, experiment: AutoencoderExperiment) -> dict[str, float]:
    """Means over validation images with the averaged weights, and the score by which a checkpoint is the best: that of
    the rate mode; without a rate D, and the squared error where another distance than D is minimised."""
    config, data, model = experiment.config, experiment.data, experiment.model
    split = data.validation.first(config.train.eval_images)
    estimate = evaluate_bound(
        terms,
        params,
        {"levels": split.levels} | ({"labels": split.labels} if model.num_classes else {}),
        passes=config.train.eval_passes,
        batch_size=config.evaluate.batch_size,
        key=named_key(jax.random.key(config.train.seed), "validation"),
        progress=bar("validation"),
        place=across_devices,
    )
    means = {name: float(np.asarray(value)) for name, value in estimate.mean.items()}
    if model.reconstruction is not None:
        return means | {"score": means["squared_error"]}
    return means | {"score": model.rate.select(means["distortion"], means.get("rate", 0.0))}


def describe(experiment: AutoencoderExperiment) -> Iterator[str]:
    """The lines of `--dry_run`: the objective, the latents, the parameters, memory and work of the training."""
    model = experiment.model
    yield f"minimises {model.describe_objective()}; latents of {' x '.join(map(str, model.latent_shape))}"
    params = jax.eval_shape(model.init, jax.random.key(0))
    training = make_training(experiment, model, jax.device_count())
    yield from describe_training(training, params, experiment.config.train)
