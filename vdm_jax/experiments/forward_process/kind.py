"""The kind "forward_process": what noise does to images under every schedule, without any training."""

from vdm_jax.experiments.common.build import DATA, IMPLIED, find_data, understood_data
from vdm_jax.experiments.forward_process import noise, strips
from vdm_jax.experiments.forward_process import schedules as tables
from vdm_jax.experiments.forward_process.build import ForwardExperiment, build_forward_process
from vdm_jax.launch.kind import Job, Kind, from_files
from vdm_jax.report.sections import FORWARD_PAGE

READS = ("data", "picture", "schedules")
IGNORED = ("data.dir", "picture.image")  # both are known by their content


def inputs(experiment: ForwardExperiment) -> dict[str, str]:
    """The data, and the picture where it is a file."""
    found = {"data": experiment.data.fingerprint}
    return found | {"picture": experiment.digest} if experiment.digest else found


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
    },
    inputs=inputs,
    find=find_data,
    understood=understood_data,
    programs={"noised_rows": "noise"},
    sections=FORWARD_PAGE,
    implied=IMPLIED,
    choices=(DATA,),
    folders=("data.dir", "picture.image"),
)
