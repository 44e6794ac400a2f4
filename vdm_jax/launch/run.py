"""The jobs of a run, one after the other in one workdir."""

import json
import pathlib
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

from ml_collections import ConfigDict

from vdm_jax.base import progress
from vdm_jax.base.errors import UserError
from vdm_jax.base.mesh import check_devices
from vdm_jax.base.program import announced
from vdm_jax.base.signals import Stopped, stop_at_sigterm
from vdm_jax.launch import store
from vdm_jax.launch.choices import refuse_unread
from vdm_jax.launch.config_files import load_config, naming_settings
from vdm_jax.launch.flags import own_jobs
from vdm_jax.launch.kind import NO_OPTIONS, Job, Kind, Kinds, RunOptions, Status, chosen_jobs, jobs_of, kind_of, lock_of
from vdm_jax.launch.memory import what_memory_lacks
from vdm_jax.launch.status import remaining
from vdm_jax.train.archive import MANIFEST, pack, unpack

NEEDS = "needs"  # folder of the runs that a run needs


def run(
    kinds: Kinds, config: ConfigDict, workdir: pathlib.Path, jobs: Sequence[str], options: RunOptions = NO_OPTIONS
) -> Status:
    """Runs `jobs`, always in the order of the config's kind, and prints the numbers that matter at the end.

    Settings, data and folder are checked before anything is written: a mistake leaves no trace (`UserError`). The runs
    that the kind needs come first. With an archive, the run in it is put into the workdir first; it is packed after
    each job that can stop, and after the last job. SIGTERM ends a job that does not save its state itself; what
    it has kept stays.
    """
    with stop_at_sigterm(), announced(kind_of(kinds, config).programs):
        try:
            return _run(kinds, config, workdir, jobs, options)
        except Stopped:
            print(f"{workdir}: stopped by SIGTERM; the same command goes on from there", flush=True)
            return "stopped"


def _run(kinds: Kinds, config: ConfigDict, workdir: pathlib.Path, jobs: Sequence[str], options: RunOptions) -> Status:
    kind = kind_of(kinds, config)
    store.check_place(workdir, "workdir")
    if options.archive:
        store.check_place(options.archive, "archive")
    jobs = chosen_jobs(kind, jobs)
    if not any(jobs_of(kind)[name].reads for name in jobs):
        store.refuse_other_kinds(kinds, config.kind, workdir)
        return _run_jobs(kind, None, config, workdir, {}, jobs, options)
    check_ready(kind, config, jobs)
    began = time.monotonic()
    if complete_needs(kinds, config, workdir, options) == "stopped":
        return "stopped"
    options = _what_remains(options, began)
    with what_memory_lacks("reading the data"), naming_settings(config):
        built, place = build(kind, config, workdir)
    if line := kind.understood(built):
        print(line, flush=True)
    return run_built(kinds, built, config, workdir, jobs, options, place)


def check_ready(kind: Kind, config: ConfigDict, jobs: Sequence[str]) -> None:
    """Raises `UserError` for what can be judged before the data are read: devices, packages, settings."""
    check_devices()
    kind.check(config)
    for name in jobs:
        jobs_of(kind)[name].check_ready(config)


def run_built(
    kinds: Kinds,
    built: Any,
    config: ConfigDict,
    workdir: pathlib.Path,
    jobs: Sequence[str],
    options: RunOptions = NO_OPTIONS,
    place: str = "",
) -> Status:
    """Runs `jobs` of what is built already, after the checks of the folder, which then remembers `place`, where the
    data were found."""
    kind = kind_of(kinds, config)
    inputs = kind.inputs(built)
    store.check(kinds, config, workdir, inputs, built, jobs)
    if options.archive and (options.archive / MANIFEST).exists():
        owner = store.owner(kind, _training(kind), config, inputs)
        print(f"archive: step {unpack(options.archive, workdir, owner, *store.packed(kind))}", flush=True)
        store.check(kinds, config, workdir, inputs, built, jobs)  # what the archive brought
    store.refuse_untrained(kind, workdir, jobs)
    return _run_jobs(kind, built, config, workdir, inputs, jobs, options, place)


def complete_needs(kinds: Kinds, config: ConfigDict, workdir: pathlib.Path, options: RunOptions) -> Status:
    """Runs what remains of each run that this one needs, in WORKDIR/needs/NAME, within the time of `options`."""
    began = time.monotonic()
    for folder, own, jobs in needs_of(kinds, config, workdir):
        if left := remaining(kind_of(kinds, own), own, folder, jobs):
            print(f"needs: {folder}: {','.join(left)}", flush=True)
            limit = _what_remains(options, began).stop_after
            if run(kinds, own, folder, left, RunOptions(stop_after=limit)) == "stopped":
                return "stopped"
    return "done"


def needs_of(
    kinds: Kinds, config: ConfigDict, workdir: pathlib.Path
) -> Iterator[tuple[pathlib.Path, ConfigDict, list[str]]]:
    """(folder, config, jobs) of each run that a run of this config needs. Raises `UserError`."""
    for name, need in kind_of(kinds, config).needs(config).items():
        own, before = load_config(need.config), load_config(need.config)
        own.update_from_flattened_dict(dict(need.overrides))
        try:
            refuse_unread(kind_of(kinds, own).choices, own, before, need.overrides)
        except UserError as error:
            raise UserError(f"{NEEDS}/{name}: {error}") from error
        jobs = chosen_jobs(kind_of(kinds, own), need.jobs) or own_jobs(own, kind_of(kinds, own))
        yield workdir / NEEDS / name, own, jobs


def are_needs_complete(kinds: Kinds, config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether nothing remains of the runs that a run of this config needs."""
    found = needs_of(kinds, config, workdir)
    return not any(remaining(kind_of(kinds, own), own, folder, jobs) for folder, own, jobs in found)


def with_needs(kind: Kind, config: ConfigDict, workdir: pathlib.Path) -> ConfigDict:
    """The config with the folders of the runs that it needs, in the settings that name them."""
    folders = {need.setting: str(workdir / NEEDS / name) for name, need in kind.needs(config).items() if need.setting}
    if not folders:
        return config
    config = config.copy_and_resolve_references()
    config.update_from_flattened_dict(folders)
    return config


def build(kind: Kind, config: ConfigDict, workdir: pathlib.Path) -> tuple[Any, str]:
    """`Kind.build`, which finds data also where the workdir remembers them; and the folder that they were found in.

    The folder is "" where the config names it, or where there is none. Raises `UserError`.
    """
    if kind.find is None:
        return kind.build(with_needs(kind, config, workdir)), ""
    folder = kind.find(config, store.remembered_place(workdir))
    return kind.build(with_needs(kind, config, workdir), folder), folder


def _run_jobs(
    kind: Kind,
    built: Any,
    config: ConfigDict,
    workdir: pathlib.Path,
    inputs: dict[str, str],
    jobs: Sequence[str],
    options: RunOptions,
    place: str = "",
) -> Status:
    """One job after the other, each alone in the folder where it keeps files."""
    status: Status = "done"
    for name in jobs:
        job = jobs_of(kind)[name]
        lock = lock_of(name, job)
        with what_memory_lacks(name, job.memory_hint), store.alone_at(workdir, lock) if lock else nullcontext():
            if job.keeps and not job.is_idle(config):
                store.claim(kind, name, config, workdir, inputs)
                store.remember_place(workdir, place)
            progress.forget_place()
            try:
                status = job.run(built, workdir, options)
            except Stopped:
                print(_of_stop(name, job, workdir), flush=True)
                status = "stopped"
            if job.reads:
                store.describe(config, workdir, inputs)
                store.remember_place(workdir, place)
        if options.archive and (job.can_stop or name == jobs[-1]):
            owner = store.owner(kind, _training(kind), config, inputs)
            paths = pack(workdir, options.archive, owner, *store.packed(kind))
            print("\n".join(f"archive: {path}" for path in paths), flush=True)
        if status == "stopped":
            return status
    for name in jobs:
        if (job := jobs_of(kind)[name]).summary:
            print(job.summary(json.loads((workdir / job.writes).read_text(encoding="utf-8"))))
    return status


def _of_stop(name: str, job: Job, workdir: pathlib.Path) -> str:
    """Where SIGTERM has stopped a job, and what is saved of it."""
    at = f" at {place}" if (place := progress.place()) else ""
    if job.has_kept(workdir):
        saved = f"what was complete is saved in {', '.join(job.keeps)}, and the same command goes on from there"
    else:
        saved = "nothing of it is saved, and the same command starts it again"
    return f"{name}: stopped by SIGTERM{at}; {saved}"


def _what_remains(options: RunOptions, began: float) -> RunOptions:
    """The options with what remains of `stop_after` since `began`, at least a millisecond."""
    if options.stop_after is None:
        return options
    return options._replace(stop_after=max(options.stop_after - (time.monotonic() - began), 1e-3))


def _training(kind: Kind) -> str:
    """The job whose checkpoints an archive carries."""
    return next(name for name, job in kind.jobs.items() if job.can_stop)
