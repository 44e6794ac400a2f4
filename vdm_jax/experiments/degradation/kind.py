"""The kind "degradation": restoration of degraded images, and images that chains of restorations make."""

from functools import partial

from vdm_jax.diffusion.degradation.user import fingerprint_of
from vdm_jax.experiments.common.build import IMPLIED, find_data, understood_data
from vdm_jax.experiments.common.functions import restore
from vdm_jax.experiments.common.jobs import OF_THE_SET, fingerprints, model_jobs
from vdm_jax.experiments.common.programs import MODELS
from vdm_jax.experiments.common.training import describe_model
from vdm_jax.experiments.degradation.build import RestorationExperiment, build_degradation
from vdm_jax.experiments.degradation.checks import FUNCTION, check_degradation
from vdm_jax.experiments.degradation.choices import DEGRADATION_CHOICES
from vdm_jax.experiments.degradation.evaluate import degradation_summary, evaluate_degradation
from vdm_jax.experiments.degradation.functions import restoration_functions
from vdm_jax.experiments.degradation.properties import RECORD, properties
from vdm_jax.experiments.degradation.sample import draw_degradation
from vdm_jax.experiments.degradation.training import make_restoration_training
from vdm_jax.launch.kind import Job, Kind, from_files
from vdm_jax.report.compare.degradation_sweep import write_degradation_sweep
from vdm_jax.report.sections import DEGRADATION_PAGE

READS = ("data", "degradation", "model", "train")
OF_D = tuple(f"degradation.{name}" for name in ("name", "function", "sigma_max", "softness"))


def inputs(experiment: RestorationExperiment) -> dict[str, str]:
    """The fingerprints of the data, and of the source of a degradation of the user."""
    found = fingerprints(experiment)
    settings = experiment.config.degradation
    if settings.name != FUNCTION:
        return found
    return found | {"degradation": fingerprint_of(experiment.model.process.degrade, settings.function)}


JOBS = model_jobs(READS, evaluate_degradation, draw_degradation, make=make_restoration_training)
PROPERTIES = Job(
    from_files(properties),
    reads=("data", *OF_D, "evaluate.num_images", "evaluate.num_times", "evaluate.batch_size"),
    ignores=("data.dir", "evaluate.batch_size"),
    writes=RECORD,
    memory_hint="lower config.evaluate.batch_size",
)

KIND = Kind(
    build_degradation,
    {
        "properties": PROPERTIES,
        "train": JOBS["train"],
        "evaluate": JOBS["evaluate"]._replace(reads=(*READS, "start", "evaluate"), summary=degradation_summary),
        "sample": JOBS["sample"]._replace(
            reads=(*READS, "start", "sample"), ignores=(*JOBS["train"].ignores, *OF_THE_SET)
        ),
    },
    inputs=inputs,
    find=find_data,
    understood=understood_data,
    check=check_degradation,
    describe=partial(describe_model, make=make_restoration_training),
    programs=MODELS
    | {
        "advance": "a step of the chain",
        "errors": "errors of restorations",
        "noisy": "starts of chains",
        "restored": "the restoration",
    },
    restore=restore,
    functions=restoration_functions,
    sections=DEGRADATION_PAGE,
    implied=IMPLIED,
    choices=DEGRADATION_CHOICES,
    compare=write_degradation_sweep,
    compared="evaluate",
    folders=("data.dir",),
)
