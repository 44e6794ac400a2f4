"""What a run would do: what was understood of its settings and data, its size, and what remains. Nothing is written."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence

from ml_collections import ConfigDict

from vdm_jax.launch import store
from vdm_jax.launch.config_files import naming_settings
from vdm_jax.launch.ensemble import OneOf, members_of, prepared
from vdm_jax.launch.jobs import build, check_folder, check_ready
from vdm_jax.launch.kind import MEMBERS, Kinds, chosen_jobs, jobs_of, kind_of
from vdm_jax.launch.memory import what_memory_lacks
from vdm_jax.launch.run import needs_of, remaining_needs
from vdm_jax.launch.status import remaining


def describe_run(kinds: Kinds, config: ConfigDict, workdir: pathlib.Path, jobs: Sequence[str]) -> Iterator[str]:
    """The lines of `--dry_run`. Checks what a run checks before its first job. Raises `UserError`."""
    kind = kind_of(kinds, config)
    store.check_place(workdir, "workdir")
    store.refuse_other_kinds(kinds, config.kind, workdir)
    yield f"{config.name}: kind {config.kind}, workdir {workdir}"
    for folder, own, needed in needs_of(kinds, config, workdir):
        left = remaining(kind_of(kinds, own), own, folder, needed)
        remain = f"{', '.join(left)} to do" if left else "done"
        yield f"needs: {own.name} in {folder}: {remain}"
    jobs = chosen_jobs(kind, jobs)
    members = members_of(kind, config, workdir)
    if members:
        yield f"members: {len(members)} runs in {workdir / MEMBERS}: {', '.join(members)}"
    if not any(jobs_of(kind)[name].reads for name in jobs):
        yield "data: none of these jobs reads them"
    else:
        check_ready(kind, config, jobs)
        yield from _members(kinds, members, jobs) if members else _built(kinds, config, workdir, jobs)
    runs = members or {"": OneOf(config, workdir)}
    left = [remaining(kind, *own, jobs) for own in runs.values()]
    for name in jobs:
        if all(jobs_of(kind)[name].is_idle(own.config) for own in runs.values()):
            yield f"job {name}: nothing to do under this config"
            continue
        number = sum(name in own for own in left)
        part = f" of {number} of {len(left)} members" if 0 < number < len(left) else ""
        yield f"job {name}: {'to do' if number else 'done'}{part}"
    yield "nothing was run or written; without --dry_run the jobs start"


def _members(kinds: Kinds, members: Mapping[str, OneOf], jobs: Sequence[str]) -> Iterator[str]:
    """The lines on the first member, after the checks of all."""
    runs = prepared(kinds, members, jobs)
    for run in runs.values():
        kind = kind_of(kinds, run.config)
        check_folder(kinds, run, jobs)
    first = next(iter(runs.values()))
    yield from filter(None, [kind.understood(first.built)])
    yield "of each member:"
    yield from kind.describe(first.built)


def _built(kinds: Kinds, config: ConfigDict, workdir: pathlib.Path, jobs: Sequence[str]) -> Iterator[str]:
    """The lines on what is built; on nothing where that takes the files of a run that is not complete."""
    kind = kind_of(kinds, config)
    if remaining_needs(kinds, config, workdir):
        yield "data: read when the runs that this one needs are complete"
    else:
        with what_memory_lacks("reading the data"), naming_settings(config):
            built, _ = build(kind, config, workdir)
        store.check(kinds, config, workdir, kind.inputs(built), built, jobs)
        store.refuse_untrained(kind, workdir, jobs)
        yield from filter(None, [kind.understood(built)])
        yield from kind.describe(built)
