"""The jobs of a run, one after the other in one workdir."""

import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from vdm_jax.base.errors import naming
from vdm_jax.base.program import announced
from vdm_jax.base.signals import Stopped, stop_at_sigterm
from vdm_jax.launch import store
from vdm_jax.launch.choices import refuse_unread
from vdm_jax.launch.config_files import load_config, naming_settings
from vdm_jax.launch.ensemble import members_of, prepared, run_members
from vdm_jax.launch.flags import own_jobs
from vdm_jax.launch.jobs import NEEDS, Prepared, build, check_folder, check_ready, run_jobs
from vdm_jax.launch.kind import NO_OPTIONS, Kinds, Need, RunOptions, Status, chosen_jobs, jobs_of, kind_of
from vdm_jax.launch.memory import what_memory_lacks
from vdm_jax.launch.settings import absolute
from vdm_jax.launch.status import remaining


class NeededRun(NamedTuple):
    """A run that another one needs. stated: what states it, for sentences. uses: of each setting that holds the folder
    of an earlier need, the name of that need. check: `Need.check`."""

    folder: pathlib.Path
    config: ConfigDict
    jobs: list[str]
    stated: str
    uses: Mapping[str, str]
    check: Callable[[ConfigDict, pathlib.Path, bool], None] | None


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
    if members := members_of(kind, config, workdir):
        return run_members(kinds, config, workdir, members, jobs, options)
    if not any(jobs_of(kind)[name].reads for name in jobs):
        store.refuse_other_kinds(kinds, config.kind, workdir)
        return run_jobs(kind, Prepared(config, workdir, None, {}), jobs, options)
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
    run = Prepared(config, workdir, built, kind.inputs(built), place)
    check_folder(kinds, run, jobs, options.archive)
    return run_jobs(kind, run, jobs, options)


def check_run(kinds: Kinds, config: ConfigDict, workdir: pathlib.Path, jobs: Sequence[str]) -> None:
    """Checks the settings, the data and the folder of a run, and of the runs that it needs, before any of them starts.

    What takes the files of a run that is not complete is checked when that run is. Raises `UserError`.
    """
    kind = kind_of(kinds, config)
    if members := members_of(kind, config, workdir):
        for own in prepared(kinds, members, jobs).values():
            store.check(kinds, own.config, own.workdir, own.inputs, own.built, jobs)
    elif not any(jobs_of(kind)[name].reads for name in jobs):
        store.refuse_other_kinds(kinds, config.kind, workdir)
    else:
        check_ready(kind, config, jobs)
        if checked_needs(kinds, config, workdir):
            return
        with what_memory_lacks("reading the data"), naming_settings(config):
            built, _ = build(kind, config, workdir)
        store.check(kinds, config, workdir, kind.inputs(built), built, jobs)


def complete_needs(kinds: Kinds, config: ConfigDict, workdir: pathlib.Path, options: RunOptions) -> Status:
    """Runs what remains of each run that this one needs, in WORKDIR/needs/NAME, within the time of `options`.

    All of them are checked before the first one starts. Raises `UserError`.
    """
    began = time.monotonic()
    for need in checked_needs(kinds, config, workdir):
        print(f"needs: {need.folder}: {','.join(need.jobs)}", flush=True)
        limit = _what_remains(options, began).stop_after
        with naming(need.stated):
            status = run(kinds, need.config, need.folder, need.jobs, RunOptions(stop_after=limit))
        if status == "stopped":
            return status
    return "done"


def checked_needs(kinds: Kinds, config: ConfigDict, workdir: pathlib.Path) -> list[NeededRun]:
    """What remains of the runs that a run of this config needs, in their order, after the checks of `check_run`. One
    that uses the folder of another one that is not complete is checked without its data. Raises `UserError`."""
    left: list[NeededRun] = []
    for need in needs_of(kinds, config, workdir):
        jobs = remaining(kind := kind_of(kinds, need.config), need.config, need.folder, need.jobs)
        if need.check is not None:
            with naming(need.stated):
                need.check(need.config, need.folder, not jobs)
        if jobs:
            not_there = {other.folder.name for other in left}
            with naming(need.stated):
                if to_come := {setting: "" for setting, name in need.uses.items() if name in not_there}:
                    known = need.config.copy_and_resolve_references()
                    known.update_from_flattened_dict(to_come)
                    check_ready(kind, known, jobs)
                else:
                    check_run(kinds, need.config, need.folder, jobs)
            left.append(need._replace(jobs=jobs))
    return left


def needs_of(kinds: Kinds, config: ConfigDict, workdir: pathlib.Path) -> Iterator[NeededRun]:
    """The runs that a run of this config needs, in their order. Raises `UserError`."""
    folders: dict[str, pathlib.Path] = {}
    for name, need in kind_of(kinds, config).needs(config).items():
        own, before = load_config(need.config), load_config(need.config)
        laid_over = {**need.overrides, **folders_used(name, need, folders)}
        own.update_from_flattened_dict(laid_over)
        folders[name] = workdir / NEEDS / name
        stated = need.stated or f"{NEEDS}/{name}"
        with naming(stated):
            refuse_unread(kind_of(kinds, own).choices, own, before, laid_over)
        jobs = chosen_jobs(kind_of(kinds, own), need.jobs) or own_jobs(own, kind_of(kinds, own))
        yield NeededRun(folders[name], own, jobs, stated, need.uses, need.check)


def folders_used(name: str, need: Need, folders: Mapping[str, pathlib.Path]) -> dict[str, str]:
    """The settings of a need that hold folders of earlier needs, `folders` by name, with absolute paths.

    Raises `ValueError` where it uses none of them.
    """
    found = {}
    for setting, other in need.uses.items():
        if other not in folders:
            raise ValueError(f"the need {name!r} uses {other!r}; expected one of the needs before it, {list(folders)}")
        found[setting] = absolute(str(folders[other]))
    return found


def _what_remains(options: RunOptions, began: float) -> RunOptions:
    """The options with what remains of `stop_after` since `began`, at least a millisecond."""
    if options.stop_after is None:
        return options
    return options._replace(stop_after=max(options.stop_after - (time.monotonic() - began), 1e-3))
