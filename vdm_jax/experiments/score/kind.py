"""The kind "score": score matching and Langevin dynamics, on images and on a mixture of Gaussians in the plane."""

from collections.abc import Iterable, Mapping
from typing import Any

from vdm_jax.experiments.common.build import DATA, IMPLIED, above, by_data, find_data, understood_data
from vdm_jax.experiments.common.functions import restore
from vdm_jax.experiments.common.jobs import fingerprints, model_jobs
from vdm_jax.experiments.common.networks import PIXEL_NETWORKS, network_choices
from vdm_jax.experiments.common.programs import MODELS
from vdm_jax.experiments.common.samplers.job import SAMPLERS_CHOICE, samplers_job
from vdm_jax.experiments.common.samplers.sets import draw_sets
from vdm_jax.experiments.common.training import describe_model
from vdm_jax.experiments.score.build import EXPLODING, PRESERVING, build_score
from vdm_jax.experiments.score.evaluate import evaluate_score
from vdm_jax.experiments.score.functions import score_functions
from vdm_jax.experiments.score.mixture import ARRAYS, MIXTURE, mixture_summary, study_mixture
from vdm_jax.launch.choices import Choice
from vdm_jax.launch.kind import Job, Kind, from_files
from vdm_jax.launch.settings import value_of
from vdm_jax.report.compare.ddpm_sweep import write_ddpm_sweep
from vdm_jax.report.sections import SCORE_PAGE

READS = ("data", "model", "noise", "objective", "train")
GEOMETRIC = ("noise.sigma_max", "noise.sigma_min", "noise.num_levels")
GIVEN = "a list"
BY_ENDS = "by its ends"


def score_jobs() -> dict[str, Job]:
    """train, evaluate, sample, samplers, mixture."""
    study = Job(
        from_files(study_mixture), reads=("mixture",), writes=MIXTURE, leaves=(ARRAYS,), summary=mixture_summary
    )
    return model_jobs(READS, evaluate_score, draw_sets) | {"samplers": samplers_job(READS), "mixture": study}


def _of_sigmas(settings: Mapping[str, Any]) -> Iterable[str]:
    return [GIVEN if value_of(settings, "noise.sigmas") else BY_ENDS]


CHOICES = (
    DATA,
    *network_choices("model", PIXEL_NETWORKS),
    Choice("noise.process", {EXPLODING: ("noise.sigmas",), PRESERVING: ("noise.num_steps",)}),
    Choice("noise.sigmas", {GIVEN: (), BY_ENDS: GEOMETRIC}, _of_sigmas),
    by_data(("evaluate.coverage_images",), ("evaluate.frechet_images",)),
    above(
        "evaluate.coverage_images",
        1,
        ("evaluate.sprite_tolerance", "evaluate.reader_images", "evaluate.reader_steps"),
    ),
    SAMPLERS_CHOICE,
)

KIND = Kind(
    build_score,
    score_jobs(),
    inputs=fingerprints,
    find=find_data,
    understood=understood_data,
    describe=describe_model,
    programs=MODELS | {"errors": "the error by noise level", "fit": "the training of a score in the plane"},
    restore=restore,
    functions=score_functions,
    sections=SCORE_PAGE,
    compare=write_ddpm_sweep,
    compared="evaluate",
    implied=IMPLIED,
    choices=CHOICES,
)
