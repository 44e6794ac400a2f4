"""The kind "codes": many codes of the same images, measured in the same ways."""

from collections.abc import Iterator

from vdm_jax.experiments.codes import decode, measure, worth
from vdm_jax.experiments.codes.build import CodesExperiment, build_codes, check_codes, needs_of_codes
from vdm_jax.experiments.common.build import DATA, IMPLIED, above, find_data, understood_data
from vdm_jax.experiments.common.programs import AUTOENCODERS, MODELS
from vdm_jax.launch.kind import Job, Kind, from_files
from vdm_jax.report.compare.codes_sweep import write_codes_sweep
from vdm_jax.report.sections import CODES_PAGE

READS = ("data", "runs", "variants", "codes")
IGNORED = ("data.dir", "runs", "codes.batch_size")


def describe(experiment: CodesExperiment) -> Iterator[str]:
    """The lines of `--dry_run`."""
    for run in experiment.runs:
        what = "a code" if run.has_code else "no code, a reference"
        yield f"{run.name}: {run.about['workdir']}, step {run.about['step']}, {what}"
    yield f"codes: {', '.join(code.name for code in experiment.codes)}"


KIND = Kind(
    build_codes,
    {
        "measure": Job(
            from_files(measure.measure),
            reads=(*READS, "measure"),
            ignores=IGNORED,
            writes=measure.RECORD,
            memory_hint="lower config.codes.batch_size and config.measure.train_images",
        ),
        "decode": Job(
            from_files(decode.decode),
            reads=(*READS, "measure.train_images", "decode"),
            ignores=IGNORED,
            writes=decode.RECORD,
            leaves=(decode.ARRAYS,),
            memory_hint="lower config.codes.batch_size and config.decode.num_images",
        ),
        "worth": Job(
            from_files(worth.worth),
            reads=(*READS, "worth"),
            ignores=IGNORED,
            writes=worth.RECORD,
            memory_hint="lower config.worth.num_images",
        ),
    },
    inputs=lambda experiment: experiment.inputs,
    find=find_data,
    understood=understood_data,
    check=check_codes,
    needs=needs_of_codes,
    describe=describe,
    programs=MODELS
    | AUTOENCODERS
    | {
        "fit_codes": "the readouts",
        "codes_between": "the sampler",
        "latents_between": "the decoder",
        "exact_errors": "the exact denoiser",
        "model_errors": "the denoiser",
    },
    sections=CODES_PAGE,
    compare=write_codes_sweep,
    compared="measure",
    implied=IMPLIED,
    choices=(DATA, above("measure.disentanglement_images", 1, ("measure.dci",))),
    folders=("data.dir", "runs"),
)
