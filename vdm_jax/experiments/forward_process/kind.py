"""The kind "forward_process": what noise does to images under every schedule, and how models undo it by timestep."""

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from vdm_jax.diffusion.schedules import SCHEDULES, settings_of
from vdm_jax.experiments.common.build import DATA, IMPLIED, above, find_data, not_empty, understood_data
from vdm_jax.experiments.common.programs import MODELS
from vdm_jax.experiments.common.trained_model import is_about_model
from vdm_jax.experiments.forward_process import noise, reconstruct, strips
from vdm_jax.experiments.forward_process import schedules as tables
from vdm_jax.experiments.forward_process.build import (
    ForwardExperiment,
    build_forward_process,
    check_forward_process,
)
from vdm_jax.experiments.forward_process.models import needs_of_model
from vdm_jax.experiments.forward_process.reconstruct import check_before_training, check_built
from vdm_jax.experiments.forward_process.split import FOLDER as SPLIT_FOLDER
from vdm_jax.experiments.forward_process.split import RECORD as SPLIT_RECORD
from vdm_jax.experiments.forward_process.split import split
from vdm_jax.launch.choices import Choice
from vdm_jax.launch.kind import Job, Kind, from_files
from vdm_jax.launch.settings import value_of
from vdm_jax.launch.store import read_record
from vdm_jax.report.sections import FORWARD_PAGE

READS = ("data", "picture", "schedules")
IGNORED = ("data.dir", "picture.image")  # both are known by their content


OF_TABLES = ("beta", "beta_1", "beta_T", "s", "t1", "t2", "total")  # of the schedules that take them
OF_RECONSTRUCT = tuple(
    f"reconstruct.{name}"
    for name in ("foreign", "num_images", "num_timesteps", "num_starts", "num_sampling_steps", "tolerance", "seed")
)
OF_SPLIT = tuple(
    f"split.{name}"
    for name in (
        *("boundaries", "denoiser_share", "num_images", "num_sampling_steps", "sampler", "passes", "batch_size"),
        "seed",
    )
)


def has_model(settings: Mapping[str, Any]) -> Iterable[str]:
    """Whether there is a trained model: "MODEL" or ""."""
    return ["MODEL" if value_of(settings, "model.workdir") or value_of(settings, "model.train") else ""]


def named_schedules(settings: Mapping[str, Any]) -> Iterable[str]:
    """The schedules that are named."""
    return [name.strip() for name in value_of(settings, "schedules.names").split(",")]


TABLES = Choice(
    "schedules.names",
    {name: tuple(f"schedules.{each}" for each in settings_of(name) if each in OF_TABLES) for name in SCHEDULES},
    named_schedules,
)


def no_model(config: ConfigDict) -> bool:
    """Whether the config names no trained model."""
    return not (config.model.workdir or config.model.train)


def no_split(config: ConfigDict) -> bool:
    """Whether the config trains no models apart."""
    return not (config.model.train and config.split.num_seeds)


def is_of_named_model(config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether reconstruct.json is of the checkpoint in the folder `model.workdir`, where that is named."""
    folder, checkpoint = config.model.workdir, config.model.checkpoint
    about = read_record(workdir, KIND.jobs["reconstruct"]).get("model") or {}
    return not folder or is_about_model(about, pathlib.Path(folder), checkpoint)


def inputs(experiment: ForwardExperiment) -> dict[str, str]:
    """The data, the picture where it is a file, the trained model and foreign data."""
    found = {"data": experiment.data.fingerprint}
    if experiment.digest:
        found["picture"] = experiment.digest
    if experiment.model is not None:
        found["model"] = experiment.model.fingerprint
    if experiment.foreign:
        found["foreign"] = " ".join(data.fingerprint for data in experiment.foreign.values())
    return found


KIND = Kind(
    build_forward_process,
    {
        "strips": Job(
            from_files(strips.strips),
            reads=(*READS, "strips"),
            ignores=IGNORED,
            writes=strips.RECORD,
            leaves=(strips.ARRAYS, strips.FOLDER),
        ),
        "schedules": Job(
            from_files(tables.schedules),
            reads=("data", "schedules"),
            ignores=("data.dir",),
            writes=tables.RECORD,
            leaves=(tables.ARRAYS,),
        ),
        "closeness": Job(
            from_files(noise.measure_closeness),
            reads=(*READS, "closeness"),
            ignores=IGNORED,
            writes=noise.RECORD,
            memory_hint="lower config.closeness.counts and config.closeness.sizes",
        ),
        "reconstruct": Job(
            from_files(reconstruct.reconstruct),
            reads=("data", "model", "reconstruct"),
            ignores=("data.dir", "model.workdir", "model.train", "model.num_steps", "model.channels"),
            writes=reconstruct.RECORD,
            idle=no_model,
            is_done=is_of_named_model,
            check=check_built,
            ready=check_before_training,
            memory_hint="lower config.reconstruct.num_images",
        ),
        "split": Job(
            split,
            reads=("data", "model.train", "model.num_steps", "model.channels", "split"),
            ignores=("data.dir", "split.batch_size"),
            keeps=(SPLIT_FOLDER,),
            writes=SPLIT_RECORD,
            idle=no_split,
            can_stop=True,
            memory_hint="lower config.split.batch_size",
        ),
    },
    inputs=inputs,
    find=find_data,
    understood=understood_data,
    check=check_forward_process,
    needs=needs_of_model,
    programs=MODELS | {"noised_rows": "noise"},
    sections=FORWARD_PAGE,
    implied=IMPLIED | dict.fromkeys(f"schedules.{each}" for each in OF_TABLES),
    choices=(
        DATA,
        TABLES,
        Choice("model.train", {"MODEL": (*OF_RECONSTRUCT, "model.checkpoint"), "": ()}, has_model),
        not_empty("model.train", "digits-linear", ("model.num_steps", "model.channels", "split.num_seeds")),
        above("split.num_seeds", 1, OF_SPLIT),
    ),
    folders=("data.dir", "picture.image", "model.workdir"),
)
