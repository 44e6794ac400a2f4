"""The kind "exact": when noise destroys the class of labelled images, from the exact posterior, without training."""

import pathlib

from vdm_jax.diffusion.timesteps import timesteps
from vdm_jax.experiments.common.build import DATA, IMPLIED, NOISE, find_data, understood_data
from vdm_jax.experiments.common.exact import ExactExperiment, check_exact, check_timesteps, describe_exact, exact
from vdm_jax.experiments.common.programs import EXACT_CURVES
from vdm_jax.experiments.common.space.settings import (
    SPACE_CHOICES,
    SPACE_FOLDERS,
    SPACE_IGNORED,
    SPACE_IMPLIED,
    space_needs,
)
from vdm_jax.experiments.exact.build import build_exact
from vdm_jax.launch.kind import Job, Kind, from_files
from vdm_jax.report.compare.probe_sweep import write_probe_sweep
from vdm_jax.report.sections import EXACT_PAGE


def check(experiment: ExactExperiment, workdir: pathlib.Path) -> None:
    """Raises `UserError` where the curves in the folder are at other timesteps."""
    check_timesteps(workdir, timesteps(experiment.config.exact.num_timesteps, experiment.schedule))


KIND = Kind(
    build_exact,
    {
        "exact": Job(
            from_files(exact),
            reads=("data", "space", "diffusion", "exact"),
            ignores=("data.dir", *SPACE_IGNORED),
            keeps=("exact.jsonl",),
            writes="exact.json",
            check=check,
            memory_hint="lower config.exact.batch_size",
        )
    },
    inputs=lambda experiment: {"data": experiment.identity},
    check=check_exact,
    needs=space_needs,
    find=find_data,
    understood=understood_data,
    describe=describe_exact,
    programs=EXACT_CURVES,
    sections=EXACT_PAGE,
    compare=write_probe_sweep,
    compared="exact",
    implied=IMPLIED | SPACE_IMPLIED,
    choices=(DATA, NOISE, *SPACE_CHOICES),
    folders=("data.dir", *SPACE_FOLDERS),
)
