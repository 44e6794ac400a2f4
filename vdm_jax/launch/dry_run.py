"""What a run would do: what was understood of its settings and data, its size, and what remains. Nothing is written."""

import pathlib
from collections.abc import Iterator, Sequence

from ml_collections import ConfigDict

from vdm_jax.launch import store
from vdm_jax.launch.config_files import naming_settings
from vdm_jax.launch.kind import Kinds, chosen_jobs, jobs_of, kind_of
from vdm_jax.launch.memory import what_memory_lacks
from vdm_jax.launch.run import are_needs_complete, build, check_ready, needs_of
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
    if not any(jobs_of(kind)[name].reads for name in jobs):
        yield "data: none of these jobs reads them"
    else:
        check_ready(kind, config, jobs)
        yield from _built(kinds, config, workdir, jobs)
    left = remaining(kind, config, workdir, jobs)
    for name in jobs:
        yield f"job {name}: {'to do' if name in left else 'done'}"
    yield "nothing was run or written; without --dry_run the jobs start"


def _built(kinds: Kinds, config: ConfigDict, workdir: pathlib.Path, jobs: Sequence[str]) -> Iterator[str]:
    """The lines on what is built; on nothing where that takes the files of a run that is not complete."""
    kind = kind_of(kinds, config)
    if not are_needs_complete(kinds, config, workdir):
        yield "data: read when the runs that this one needs are complete"
    else:
        with what_memory_lacks("reading the data"), naming_settings(config):
            built, _ = build(kind, config, workdir)
        store.check(kinds, config, workdir, kind.inputs(built), built, jobs)
        store.refuse_untrained(kind, workdir, jobs)
        yield from filter(None, [kind.understood(built)])
        yield from kind.describe(built)
