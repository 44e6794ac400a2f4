"""The jobs of one run in its folder, after what they take is built."""

import json
import pathlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from vdm_jax.base import progress
from vdm_jax.base.mesh import check_devices
from vdm_jax.base.signals import Stopped
from vdm_jax.launch import store
from vdm_jax.launch.config_files import naming_settings
from vdm_jax.launch.kind import Job, Kind, Kinds, RunOptions, Status, jobs_of, kind_of, lock_of
from vdm_jax.launch.memory import what_memory_lacks
from vdm_jax.train.archive import MANIFEST, pack, unpack
from vdm_jax.train.listing import saved_checkpoints

NEEDS = "needs"  # folder of the runs that a run needs


def check_ready(kind: Kind, config: ConfigDict, jobs: Sequence[str]) -> None:
    """Raises `UserError` for what can be judged before the data are read: devices, packages, settings."""
    check_devices()
    with naming_settings(config):
        kind.check(config)
    for name in jobs:
        jobs_of(kind)[name].check_ready(config)


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


class Prepared(NamedTuple):
    """A run whose jobs can start: its config, folder, what was built, the fingerprints of that, and the folder in which
    the data were found, "" where the config names it."""

    config: ConfigDict
    workdir: pathlib.Path
    built: Any
    inputs: dict[str, str]
    place: str = ""


def check_folder(kinds: Kinds, run: Prepared, jobs: Sequence[str], archive: pathlib.Path | None = None) -> None:
    """Checks the folder of a run before any of `jobs` starts, and puts the run in an archive into it. Raises
    `UserError`."""
    kind, config, workdir = kind_of(kinds, run.config), run.config, run.workdir
    store.check(kinds, config, workdir, run.inputs, run.built, jobs)
    if archive and (archive / MANIFEST).exists():
        owner = store.owner(kind, training_of(kind), config, run.inputs)
        print(f"archive: step {unpack(archive, workdir, owner, *store.packed(kind))}", flush=True)
        store.check(kinds, config, workdir, run.inputs, run.built, jobs)  # what the archive brought
    store.refuse_untrained(kind, workdir, jobs)


def run_jobs(kind: Kind, run: Prepared, jobs: Sequence[str], options: RunOptions) -> Status:
    """One job after the other, each alone in the folder where it keeps files."""
    status: Status = "done"
    for name in jobs:
        job = jobs_of(kind)[name]
        status = run_job(kind, name, [run], partial(job.run, run.built, run.workdir, options))
        if options.archive and (job.can_stop or name == jobs[-1]):
            pack_run(kind, run, options.archive, status)
        if status == "stopped":
            return status
    for name in jobs:
        job = jobs_of(kind)[name]
        if job.summary and (record := run.workdir / job.writes).is_file():  # an idle job writes none
            print(job.summary(json.loads(record.read_text(encoding="utf-8"))))
    return status


def run_job(kind: Kind, name: str, runs: Sequence[Prepared], start: Callable[[], Status]) -> Status:
    """Calls `start`, which does a job of these runs, alone in their folders, where the job keeps files."""
    job = jobs_of(kind)[name]
    lock = lock_of(name, job)
    with what_memory_lacks(name, job.memory_hint), ExitStack() as locks:
        for run in runs if lock else ():
            locks.enter_context(store.alone_at(run.workdir, lock))
        for run in runs:
            if job.keeps and not job.is_idle(run.config):
                store.claim(kind, name, run.config, run.workdir, run.inputs)
                store.remember_place(run.workdir, run.place)
        progress.forget_place()
        try:
            status = start()
        except Stopped:
            print(_of_stop(name, job, runs[0].workdir), flush=True)
            status = "stopped"
        for run in runs if job.reads else ():
            store.describe(run.config, run.workdir, run.inputs)
            store.remember_place(run.workdir, run.place)
    return status


def pack_run(kind: Kind, run: Prepared, archive: pathlib.Path, status: Status) -> None:
    """Packs a run into files of limited size in the folder `archive`, unless it was stopped before its first
    checkpoint."""
    if status == "stopped" and not saved_checkpoints(run.workdir / "checkpoints"):
        print(f"archive: {run.workdir} has no checkpoint yet; nothing was packed", flush=True)
        return
    owner = store.owner(kind, training_of(kind), run.config, run.inputs)
    paths = pack(run.workdir, archive, owner, *store.packed(kind))
    print("\n".join(f"archive: {path}" for path in paths), flush=True)


def _of_stop(name: str, job: Job, workdir: pathlib.Path) -> str:
    """Where SIGTERM has stopped a job, and what is saved of it."""
    at = f" at {place}" if (place := progress.place()) else ""
    if job.has_kept(workdir):
        saved = f"what was complete is saved in {', '.join(job.keeps)}, and the same command goes on from there"
    else:
        saved = "nothing of it is saved, and the same command starts it again"
    return f"{name}: stopped by SIGTERM{at}; {saved}"


def training_of(kind: Kind) -> str:
    """The job whose checkpoints an archive carries."""
    return next(name for name, job in kind.jobs.items() if job.can_stop)
