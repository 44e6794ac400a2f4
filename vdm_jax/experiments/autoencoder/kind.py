"""The kind "autoencoder": the spaces in which other experiments live."""

import pathlib
from functools import partial

from ml_collections import ConfigDict

from vdm_jax.data.encoded import FOLDER, MEAN, VARIANCE, path_of, read_about
from vdm_jax.experiments.autoencoder.build import build_autoencoder
from vdm_jax.experiments.autoencoder.choices import AUTOENCODER_CHOICES
from vdm_jax.experiments.autoencoder.encode import RECORD, encode
from vdm_jax.experiments.autoencoder.evaluate import LATENTS, evaluate
from vdm_jax.experiments.autoencoder.features import FILE as FEATURES
from vdm_jax.experiments.autoencoder.functions import autoencoder_functions
from vdm_jax.experiments.autoencoder.members import members_of
from vdm_jax.experiments.autoencoder.sample import draw_autoencoder
from vdm_jax.experiments.autoencoder.training import describe, train, train_members
from vdm_jax.experiments.common.autoencoders import RENAMED
from vdm_jax.experiments.common.build import IMPLIED, find_data, understood_data
from vdm_jax.experiments.common.functions import restore
from vdm_jax.experiments.common.jobs import IGNORED, fingerprints, is_of_named_weights, model_jobs
from vdm_jax.experiments.common.programs import AUTOENCODERS
from vdm_jax.launch.kind import Job, Kind, from_files
from vdm_jax.report.compare.autoencoder_sweep import write_autoencoder_sweep
from vdm_jax.report.sections import AUTOENCODER_PAGE
from vdm_jax.report.summary import autoencoder_summary

READS = ("data", "model", "quantiser", "regulariser", "reconstruction", "rate", "train")
PROGRESS = f"{FOLDER}/progress.json"


def is_encoded(job: Job, config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether the record is of the named weights, and every file that it speaks of is there."""
    about = read_about(workdir / FOLDER)
    if about is None or not is_of_named_weights(job, config, workdir):
        return False
    moments = (MEAN,) if about["deterministic"] else (MEAN, VARIANCE)
    return all(path_of(workdir / FOLDER, part, moment).is_file() for part in about["num_images"] for moment in moments)


def autoencoder_jobs() -> dict[str, Job]:
    """train, encode, evaluate, sample."""
    jobs = model_jobs(READS, evaluate, draw_autoencoder, (LATENTS,))
    encoding = Job(
        from_files(encode),
        reads=(*READS, "encode", "evaluate.checkpoint", "evaluate.weights"),
        ignores=(*IGNORED, "encode.batch_size"),
        after=("train",),
        keeps=(PROGRESS,),
        extends=("train.num_steps", "evaluate.checkpoint", "evaluate.weights"),  # other weights are encoded anew
        writes=RECORD,
        leaves=(FOLDER,),
        remade=True,
        memory_hint="lower config.encode.batch_size",
    )
    return {
        "train": jobs["train"]._replace(run=train, run_members=train_members, keeps=(*jobs["train"].keeps, FEATURES)),
        "encode": encoding._replace(is_done=partial(is_encoded, encoding)),
        "evaluate": jobs["evaluate"]._replace(
            reads=(*READS, "evaluate"), summary=autoencoder_summary, memory_hint="lower config.evaluate.batch_size"
        ),
        "sample": jobs["sample"]._replace(reads=(*READS, "sample")),
    }


KIND = Kind(
    build_autoencoder,
    autoencoder_jobs(),
    inputs=fingerprints,
    find=find_data,
    understood=understood_data,
    describe=describe,
    programs=AUTOENCODERS,
    members=members_of,
    restore=restore,
    functions=autoencoder_functions,
    sections=AUTOENCODER_PAGE,
    compare=write_autoencoder_sweep,
    compared="evaluate",
    implied=IMPLIED,
    renamed=RENAMED,
    choices=AUTOENCODER_CHOICES,
    folders=("data.dir",),
)
