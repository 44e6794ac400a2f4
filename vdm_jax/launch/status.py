"""Which jobs of a run remain, from the files that each leaves when it is complete."""

import pathlib
from collections.abc import Sequence

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.launch.kind import MEMBERS, Kind, chosen_jobs, jobs_of
from vdm_jax.launch.settings import plain, read_config
from vdm_jax.launch.store import DATA, claim_differences, read_record, record_differences


def remaining(kind: Kind, config: ConfigDict, workdir: pathlib.Path, jobs: Sequence[str]) -> list[str]:
    """Those of `jobs`, in their order, that are not complete for this config; with each, those that come after it.

    Of an ensemble, those that are not complete for each of its members.
    """
    if members := kind.members(config):
        of_members = [remaining(kind, own, workdir / MEMBERS / name, jobs) for name, own in members.items()]
        return [name for name in chosen_jobs(kind, jobs) if any(name in own for own in of_members)]
    left: list[str] = []
    for name in chosen_jobs(kind, jobs):
        if set(jobs_of(kind)[name].after) & set(left) or not is_complete(kind, name, config, workdir):
            left.append(name)
    return left


def is_complete(kind: Kind, name: str, config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether what the job keeps and its record are of this config and these data, and `Job.is_done` agrees.

    An idle job is complete. A job that neither writes a record nor has `is_done` never is. Where what it keeps is of
    another config, it is not complete, and `store.check` refuses to run it.
    """
    job = jobs_of(kind)[name]
    if job.is_idle(config):
        return True
    if not job.writes and job.is_done is None:
        return False
    if job.writes and not has_record(kind, name, config, workdir):
        return False
    try:
        if claim_differences(kind, name, plain(config), workdir):
            return False
    except UserError:  # a claim that cannot be read
        return False
    return job.is_done is None or job.is_done(config, workdir)


def has_record(kind: Kind, name: str, config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether the job's record states this config, and the data that the folder's files were made from."""
    record = read_record(workdir, kind.jobs[name])
    if not record or record_differences(kind, name, plain(config), workdir, record):
        return False
    origin = record.get("provenance")
    if not isinstance(origin, dict) or "data" not in origin:
        return True
    try:
        return origin["data"] == read_config(workdir / DATA).get("fingerprint")
    except UserError:
        return False


def is_compared(kind: Kind, config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether the run has the numbers that the table of a sweep compares."""
    return not remaining(kind, config, workdir, [*kind.jobs[kind.compared].after, kind.compared])
