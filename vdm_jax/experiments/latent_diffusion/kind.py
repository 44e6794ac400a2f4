"""The kind "latent_diffusion": a diffusion model of the latents of a trained space."""

import pathlib
from functools import partial

from ml_collections import ConfigDict

from vdm_jax.experiments.common.build import IMPLIED, find_data, understood_data
from vdm_jax.experiments.common.functions import restore
from vdm_jax.experiments.common.jobs import IGNORED, fingerprints, is_of_named_weights, model_jobs
from vdm_jax.experiments.common.programs import LATENTS
from vdm_jax.experiments.common.space.settings import SPACE_IGNORED, SPACE_IMPLIED, space_needs
from vdm_jax.experiments.common.training import describe_model
from vdm_jax.experiments.latent_diffusion.build import LatentExperiment, build_latent_diffusion
from vdm_jax.experiments.latent_diffusion.checks import check_latent_diffusion
from vdm_jax.experiments.latent_diffusion.choices import LATENT_CHOICES
from vdm_jax.experiments.latent_diffusion.evaluate import evaluate_latents
from vdm_jax.experiments.latent_diffusion.functions import latent_functions
from vdm_jax.experiments.latent_diffusion.quality import (
    check_curves,
    check_quality,
    is_of_curves,
    quality,
    quality_summary,
)
from vdm_jax.experiments.latent_diffusion.sample import draw_latent_diffusion
from vdm_jax.experiments.latent_diffusion.training import make_latent_training
from vdm_jax.launch.kind import Job, Kind, from_files
from vdm_jax.launch.store import read_record
from vdm_jax.report.compare.latent_sweep import write_latent_sweep
from vdm_jax.report.sections import LATENT_DIFFUSION_PAGE
from vdm_jax.report.summary import latent_summary

OF_THE_READER = tuple(f"evaluate.{name}" for name in ("sprite_tolerance", "reader_images", "reader_steps"))
OF_THE_MIXTURE = ("evaluate.mixture_components", "evaluate.fitted_images")
OF_THE_WEIGHTS = ("evaluate.checkpoint", "evaluate.weights")
READS = ("data", "space", "model", "diffusion", "train")


def inputs(experiment: LatentExperiment) -> dict[str, str]:
    """The fingerprints of the data and of the space, its weights and its scale."""
    return fingerprints(experiment) | {"space": experiment.space.fingerprint}


JOBS = model_jobs(
    READS,
    evaluate_latents,
    draw_latent_diffusion,
    make=make_latent_training,
    ignores=(*IGNORED, *SPACE_IGNORED),
    stated=lambda experiment: {"space": experiment.space.about},
)

QUALITY = Job(
    from_files(quality),
    reads=(*READS, "quality", *OF_THE_READER, *OF_THE_MIXTURE, *OF_THE_WEIGHTS),
    ignores=(*IGNORED, *SPACE_IGNORED, "quality.exact", "quality.batch_size"),  # curves are known by their content
    after=("train",),
    writes="quality.json",
    idle=lambda config: not config.quality.samplers,
    check=check_quality,
    ready=check_curves,
    summary=quality_summary,
    memory_hint="lower config.quality.batch_size",
)


def is_measured(config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether quality.json is of the weights and of the exact curves that the config names now."""
    return is_of_named_weights(QUALITY, config, workdir) and is_of_curves(config, read_record(workdir, QUALITY))


KIND = Kind(
    build_latent_diffusion,
    JOBS
    | {
        "evaluate": JOBS["evaluate"]._replace(summary=latent_summary),
        "quality": QUALITY._replace(is_done=is_measured),
    },
    inputs=inputs,
    find=find_data,
    understood=understood_data,
    check=check_latent_diffusion,
    needs=space_needs,
    describe=partial(describe_model, make=make_latent_training),
    programs=LATENTS,
    restore=restore,
    functions=latent_functions,
    sections=LATENT_DIFFUSION_PAGE,
    compare=write_latent_sweep,
    compared="evaluate",
    implied=IMPLIED | SPACE_IMPLIED,
    choices=LATENT_CHOICES,
    folders=("data.dir", "space.workdir", "quality.exact"),
)
