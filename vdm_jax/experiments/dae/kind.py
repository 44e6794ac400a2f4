"""The kind "dae": denoising autoencoders, their attractors and their Jacobians."""

from functools import partial

from vdm_jax.experiments.common.build import IMPLIED, find_data, understood_data
from vdm_jax.experiments.common.functions import restore
from vdm_jax.experiments.common.jobs import IGNORED, fingerprints, is_of_named_weights, model_jobs
from vdm_jax.experiments.common.programs import DAES
from vdm_jax.experiments.common.training import describe_model
from vdm_jax.experiments.dae import attractors, jacobians
from vdm_jax.experiments.dae.build import build_dae
from vdm_jax.experiments.dae.choices import DAE_CHOICES
from vdm_jax.experiments.dae.evaluate import dae_summary, evaluate_dae
from vdm_jax.experiments.dae.functions import dae_functions
from vdm_jax.experiments.dae.training import make_dae_training
from vdm_jax.launch.kind import Job, Kind, from_files
from vdm_jax.report.compare.dae_sweep import write_dae_sweep
from vdm_jax.report.sections import DAE_PAGE

READS = ("data", "subset", "model", "train")
OF_WEIGHTS = ("evaluate.checkpoint", "evaluate.weights")
OF_IMAGES = (*OF_WEIGHTS, "evaluate.num_images")


def dae_jobs() -> dict[str, Job]:
    """train, evaluate, attractors, jacobians."""
    made = model_jobs(READS, evaluate_dae, lambda *_: None, make=make_dae_training)  # a DAE draws no samples
    jobs = {
        "evaluate": made["evaluate"]._replace(
            reads=(*READS, "evaluate"),
            ignores=(*IGNORED, "evaluate.batch_size"),
            summary=dae_summary,
            memory_hint="lower config.evaluate.batch_size",
        ),
        "attractors": Job(
            from_files(attractors.attractors),
            reads=(*READS, *OF_IMAGES, "attractors"),
            ignores=(*IGNORED, "attractors.batch_size"),
            after=("train",),
            writes=attractors.RECORD,
            leaves=(attractors.ARRAYS,),
            summary=attractors.attractors_summary,
            memory_hint="lower config.attractors.batch_size",
        ),
        "jacobians": Job(
            from_files(jacobians.jacobians),
            reads=(*READS, *OF_IMAGES, "jacobians"),
            ignores=IGNORED,
            after=("train",),
            writes=jacobians.RECORD,
            leaves=(jacobians.ARRAYS,),
        ),
    }
    done = {name: job._replace(is_done=partial(is_of_named_weights, job)) for name, job in jobs.items()}
    return {"train": made["train"]} | done


KIND = Kind(
    build_dae,
    dae_jobs(),
    inputs=fingerprints,
    find=find_data,
    understood=understood_data,
    describe=partial(describe_model, make=make_dae_training),
    programs=DAES,
    restore=restore,
    functions=dae_functions,
    sections=DAE_PAGE,
    compare=write_dae_sweep,
    compared="evaluate",
    implied=IMPLIED,
    choices=DAE_CHOICES,
)
