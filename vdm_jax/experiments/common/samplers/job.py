"""The declaration of the job samplers, for every kind with a diffusion model of images without a code."""

from typing import Any

from ml_collections import ConfigDict

from vdm_jax.experiments.common.build import not_empty
from vdm_jax.experiments.common.checks import SEED, check_numbers
from vdm_jax.experiments.common.jobs import IGNORED, is_of_named_weights
from vdm_jax.experiments.common.samplers.compare import (
    OF_READER,
    PICTURES,
    SAMPLINGS,
    compare_samplers,
    methods_of,
    samplers_summary,
)
from vdm_jax.launch.kind import Job, from_files

SAMPLERS_IMPLIED: dict[str, Any] = {
    "samplers.methods": "",
    "samplers.num_images": 1_000,
    "samplers.num_seeds": 3,
    "samplers.seed": 0,
}
OF_METHODS = ("samplers.num_images", "samplers.num_seeds", "samplers.seed")
SAMPLERS_CHOICE = not_empty("samplers.methods", "METHODS", OF_METHODS)
OF_EVALUATION = tuple(f"evaluate.{name}" for name in ("checkpoint", "weights", *OF_READER))
NUMBERS = (
    ("2 to 1,000,000", lambda value: 2 <= value <= 1_000_000, "samplers.num_images"),
    ("1 to 1,000", lambda value: 1 <= value <= 1_000, "samplers.num_seeds"),
    (*SEED, "samplers.seed"),
)


def samplers_job(reads: tuple[str, ...]) -> Job:
    """The job of a kind whose weights depend on the sections `reads`. Without `config.samplers.methods` it is idle."""
    job = Job(
        from_files(compare_samplers),
        reads=(
            *reads,
            *OF_EVALUATION,
            "sample.num_steps",
            "sample.grid",
            "sample.clip",
            "sample.batch_size",
            "samplers",
        ),
        ignores=(*IGNORED, "sample.batch_size"),
        after=("train",),
        writes=SAMPLINGS,
        leaves=(PICTURES,),
        idle=lambda config: not methods_of(config.get("samplers", {}).get("methods", "")),
        summary=samplers_summary,
        memory_hint="lower config.sample.batch_size",
    )
    return job._replace(is_done=lambda config, workdir: is_of_named_weights(job, config, workdir))


def check_samplers(config: ConfigDict) -> None:
    """Raises `UserError` for unknown samplers, one that is named twice, and numbers out of range."""
    if "samplers" in config:  # older files lack the section
        methods_of(config.samplers.methods)
    check_numbers(config, NUMBERS)
