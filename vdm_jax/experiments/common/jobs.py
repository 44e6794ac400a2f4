"""The jobs that kinds with a trained diffusion model share: train, evaluate, sample."""

import pathlib
from collections.abc import Callable
from functools import partial
from typing import Any

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.signals import sigterm_after
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import CHECKPOINTS, are_published, step_of
from vdm_jax.experiments.common.sample import NAME, PARTS, Draw, sample
from vdm_jax.experiments.common.train import train
from vdm_jax.experiments.common.training import ModelTraining, make_training
from vdm_jax.launch.kind import Job, RunOptions, Status, from_files
from vdm_jax.launch.store import read_record
from vdm_jax.report.summary import summary
from vdm_jax.train.checkpoint import saved_checkpoints
from vdm_jax.train.writers import check_installed

LOG = "metrics.jsonl"
# Data are known by their content. The best checkpoint is one of those saved, each of which has its own score: how often
# there is a row of the log between them, and how many others are kept, changes no number.
IGNORED = (
    "data.dir",
    "train.writers",
    "train.log_every",
    "train.eval_every",
    "train.keep_latest",
    "train.max_skipped_in_a_row",
)
OF_THE_SET = ("sample.num_images", "sample.batch_size", "sample.png_folder")  # image i of a set is the same under all
OF_OTHER_SETS = ("sample.guided_sources", "sample.guided_per_source", "sample.num_paths")
OF_SAMPLES = (*OF_THE_SET, *OF_OTHER_SETS, "sample.seed")  # no number of the evaluation depends on them
TRAIN_HINT = (
    "lower config.train.batch_size, or raise config.train.accumulate for the same batch in parts, and lower "
    "config.evaluate.batch_size, the validation's"
)
EVALUATE_HINT = "lower config.evaluate.batch_size and config.sample.batch_size"
SAMPLE_HINT = "lower config.sample.batch_size"


def model_jobs(
    reads: tuple[str, ...],
    evaluate: Callable[[Experiment, pathlib.Path], Status],
    draw: Draw,
    evaluate_leaves: tuple[str, ...] = (),
    *,
    make: Callable[[Any, int], ModelTraining] = make_training,
    ignores: tuple[str, ...] = IGNORED,
    stated: Callable[[Any], dict[str, Any]] = lambda experiment: {},
) -> dict[str, Job]:
    """The jobs of a kind whose weights depend on the sections `reads`.

    evaluate_leaves: files that the evaluation writes with its record, evaluate.json. make: of the training, as in
    `common/train.py: train`. ignores: settings in `reads` that change no number.
    stated: what the record of the samples says besides, of the experiment.
    """
    jobs = {
        "train": Job(
            partial(run_training, make=make),
            reads=reads,
            ignores=ignores,
            keeps=(CHECKPOINTS, LOG),
            extends=lengthens,
            is_done=is_trained,
            check=check_length,
            ready=lambda config: check_installed(config.train.get("writers", "")),
            can_stop=True,
            memory_hint=TRAIN_HINT,
        ),
        "evaluate": Job(
            from_files(evaluate),
            reads=(*reads, "evaluate", "sample"),
            ignores=(*ignores, *OF_SAMPLES),
            after=("train",),
            writes="evaluate.json",
            leaves=evaluate_leaves,
            summary=summary,
            memory_hint=EVALUATE_HINT,
        ),
        "sample": Job(
            from_files(partial(sample, draw=draw, stated=stated)),
            reads=(*reads, "sample"),
            ignores=(*ignores, *OF_THE_SET),
            after=("train",),
            keeps=(f"samples/{PARTS}",),
            extends=lambda settings: (*OF_OTHER_SETS, *lengthens(settings)),  # other weights: batches are made anew
            writes="samples/about.json",
            leaves=("samples",),
            memory_hint=SAMPLE_HINT,
        ),
    }
    done = {"evaluate": is_of_named_weights, "sample": is_sampled}
    return jobs | {name: jobs[name]._replace(is_done=partial(is_done, jobs[name])) for name, is_done in done.items()}


def fingerprints(experiment: Experiment) -> dict[str, str]:
    """`Kind.inputs`: the data, by content."""
    return {"data": experiment.data.fingerprint}


def run_training(
    experiment: Experiment,
    workdir: pathlib.Path,
    options: RunOptions,
    make: Callable[[Any, int], ModelTraining] = make_training,
) -> Status:
    """The training, stopped and saved after `options.stop_after` seconds."""
    with sigterm_after(options.stop_after):
        return train(experiment, workdir, make)


def lengthens(settings: dict[str, Any]) -> tuple[str, ...]:
    """With a constant learning rate a training may be continued to another length."""
    return ("train.num_steps",) if settings["train"]["learning_rate_schedule"] == "constant" else ()


def is_trained(config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether the latest checkpoint is that of the last step, or the weights are published."""
    if are_published(workdir):
        return True
    saved = saved_checkpoints(workdir / CHECKPOINTS)
    return bool(saved) and saved[-1].step == config.train.num_steps


def check_length(experiment: Experiment, workdir: pathlib.Path) -> None:
    """Raises `UserError` where the folder is trained further than this config asks."""
    saved, wanted = saved_checkpoints(workdir / CHECKPOINTS), experiment.config.train.num_steps
    if saved and saved[-1].step > wanted:
        raise UserError(f"{workdir} is trained to step {saved[-1].step}, beyond train.num_steps={wanted}")


def is_of_named_weights(job: Job, config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether a record is of the checkpoint and the weights that `config.evaluate` names now."""
    try:
        step = step_of(workdir, config.evaluate.checkpoint)
    except UserError:
        return False
    record = read_record(workdir, job)
    return (record.get("checkpoint_step"), record.get("weights")) == (step, config.evaluate.weights)


def is_sampled(job: Job, config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether the samples are of these weights, at least as many as asked for, and PNG files if these are asked for."""
    made = read_record(workdir, job).get("settings", {}).get("sample", {}).get("num_images", 0)
    enough = isinstance(made, int) and made >= config.sample.num_images
    has_files = (workdir / "samples" / NAME).is_dir() or not config.sample.get("png_folder", False)
    return enough and has_files and is_of_named_weights(job, config, workdir)
