"""An ensemble: a run that consists of runs of its own kind, complete runs in WORKDIR/members/NAME.

WORKDIR itself has the config with the lists, and the table of its members. Every job goes over the members, or does
them all at once (`Job.run_members`).
"""

import pathlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.launch import store
from vdm_jax.launch.config_files import naming_settings
from vdm_jax.launch.jobs import Prepared, build, check_folder, check_ready, pack_run, run_job, run_jobs
from vdm_jax.launch.kind import MEMBERS, Kind, Kinds, RunOptions, Status, jobs_of, kind_of
from vdm_jax.launch.memory import what_memory_lacks
from vdm_jax.launch.settings import plain
from vdm_jax.launch.status import is_compared


class OneOf(NamedTuple):
    """A member of an ensemble: its config and its folder."""

    config: ConfigDict
    workdir: pathlib.Path


def members_of(kind: Kind, config: ConfigDict, workdir: pathlib.Path) -> dict[str, OneOf]:
    """The members of a run by name; {} where it is a single run.

    Raises `UserError` for a folder that holds a single run where there are members, and the other way round.
    """
    members = {name: OneOf(own, workdir / MEMBERS / name) for name, own in kind.members(config).items()}
    if not members:
        if (workdir / MEMBERS).is_dir():
            why = f"workdir {workdir} holds an ensemble, whose members are in {workdir / MEMBERS}"
            raise UserError(f"{why}; name one of these, or choose another --workdir")
        return {}
    held = [path for job in kind.jobs.values() if job.has_kept(workdir) for path in job.keeps]
    if held:
        raise UserError(f"workdir {workdir} holds {held[0]} of a single run; choose another --workdir for an ensemble")
    return members


def prepared(kinds: Kinds, members: Mapping[str, OneOf], jobs: Sequence[str]) -> dict[str, Prepared]:
    """What the jobs of each member take, after the checks that need no folder. Raises `UserError`."""
    found = {}
    for name, (config, workdir) in members.items():
        kind = kind_of(kinds, config)
        try:
            check_ready(kind, config, jobs)
            with what_memory_lacks("reading the data"), naming_settings(config):
                built, place = build(kind, config, workdir)
        except UserError as error:
            raise UserError(f"member {name!r}: {error}") from error
        found[name] = Prepared(config, workdir, built, kind.inputs(built), place)
    return found


def run_members(
    kinds: Kinds,
    config: ConfigDict,
    workdir: pathlib.Path,
    members: Mapping[str, OneOf],
    jobs: Sequence[str],
    options: RunOptions,
) -> Status:
    """Runs `jobs` of all members, job by job, and writes their table into WORKDIR. Raises `UserError`."""
    kind, status = kind_of(kinds, config), "done"
    with_data = any(jobs_of(kind)[name].reads for name in jobs)
    if with_data:
        runs = prepared(kinds, members, jobs)
        if line := kind.understood(next(iter(runs.values())).built):
            print(line, flush=True)
        for name, run in runs.items():
            check_folder(kinds, run, jobs, _archive_of(options, name))
    else:
        for own in members.values():
            store.refuse_other_kinds(kinds, own.config.kind, own.workdir)
        runs = {name: Prepared(*own, None, {}) for name, own in members.items()}
    for name in jobs:
        if jobs_of(kind)[name].keeps or not (workdir / store.CONFIG).exists():
            write_json(workdir / store.CONFIG, plain(config))
        status = _run_one_job(kind, name, runs, options, pack_now=name == jobs[-1])
        if status == "stopped":
            return status
    if kind.compare:
        print(compare(kind, workdir, members))
    return status


def compare(kind: Kind, workdir: pathlib.Path, members: Mapping[str, OneOf]) -> str:
    """Writes the table of the members into WORKDIR, as that of a sweep; returns its text."""
    done = {name: own.workdir for name, own in members.items() if is_compared(kind, *own)}
    record = f"no {kind.jobs[kind.compared].writes} yet"
    return kind.compare(workdir, done, {name: record for name in members if name not in done})


def _run_one_job(kind: Kind, name: str, runs: Mapping[str, Prepared], options: RunOptions, pack_now: bool) -> Status:
    """A job of all members: at once where the job can do that, otherwise one after the other."""
    job = jobs_of(kind)[name]
    if job.run_members is None:
        for number, (member, run) in enumerate(runs.items(), 1):
            print(f"{name}: member {number} of {len(runs)}: {member}", flush=True)
            own = options._replace(archive=_archive_of(options, member) if pack_now or job.can_stop else None)
            if run_jobs(kind, run, [name], own) == "stopped":
                return "stopped"
        return "done"
    pairs = [(run.built, run.workdir) for run in runs.values()]
    status = run_job(kind, name, list(runs.values()), partial(job.run_members, pairs, options))
    if options.archive and (pack_now or job.can_stop):
        for member, run in runs.items():
            pack_run(kind, run, _archive_of(options, member), status)
    return status


def _archive_of(options: RunOptions, name: str) -> pathlib.Path | None:
    """The folder of a member in that of the archive."""
    return options.archive / name if options.archive else None
