"""Which jobs on timestep probes are still to be done, told by the record each leaves behind when it is complete."""

import pathlib
from collections.abc import Sequence

from ml_collections import ConfigDict

from vdm_jax.experiments import workdir as workdirs
from vdm_jax.experiments.exact import NO_SETTING
from vdm_jax.experiments.finished import is_reported
from vdm_jax.experiments.kinds import jobs_of
from vdm_jax.report.workdir import Workdir

SECTIONS = {
    "exact": ("data", "diffusion", "exact"),
    "probe": ("data", "diffusion", "exact", "probe"),
    "chains": ("data", "diffusion", "exact", "chains"),
}
REPORTED = tuple(f"{job}.json" for job in SECTIONS)


def outstanding_probes(config: ConfigDict, workdir: pathlib.Path, jobs: Sequence[str]) -> list[str]:
    """Those of `jobs`, in their order, whose record does not state these settings; with `exact` all that follow it.

    A report is complete where it is younger than what it shows.
    """
    jobs = [job for job in jobs_of(config) if job in jobs]
    if "exact" in jobs and not _is_done("exact", config, workdir):
        return jobs
    left = [job for job in jobs if job in SECTIONS and not _is_done(job, config, workdir)]
    if "report" in jobs and (left or not is_reported(workdir, REPORTED)):
        left.append("report")
    return left


def is_measured(config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether the exact curves of this config are there."""
    return _is_done("exact", config, workdir)


def _is_done(job: str, config: ConfigDict, workdir: pathlib.Path) -> bool:
    record, wanted = getattr(Workdir(workdir), job), workdirs.plain(config)
    stored = record.get("settings")
    if not isinstance(stored, dict):
        return False
    told = (line for name in SECTIONS[job] for line in workdirs.differences_of(stored.get(name), wanted[name], name))
    return all(line.startswith(NO_SETTING) for line in told)
