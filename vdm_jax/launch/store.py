"""The workdir of a run: each job claims what it keeps there for its settings and inputs, and nothing else replaces it.

`config.json` is the workdir's own config, `data.json` the fingerprint of its data. `claims/JOB.json` states the
settings and the fingerprints that the files of a job depend on. A workdir of an older version has no claims: its
config.json and data.json count instead. `.data_dir` is the folder in which the data were found. Archives lack it.
"""

import hashlib
import json
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TextIO

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json, write_text
from vdm_jax.base.locks import alone_in
from vdm_jax.launch.kind import REPORT, Job, Kind, Kinds, jobs_of
from vdm_jax.launch.settings import (
    differences,
    plain,
    put,
    read_config,
    replaced,
    selected,
    value_of,
    with_absolute,
    with_implied,
    with_new_names,
    without,
)

CONFIG, DATA, CLAIMS = "config.json", "data.json", "claims"
PLACE = ".data_dir"
DESCRIPTIONS = (CONFIG, DATA, CLAIMS)


def check(
    kinds: Kinds, config: ConfigDict, workdir: pathlib.Path, inputs: Mapping[str, str], built: Any, jobs: Sequence[str]
) -> None:
    """Checks the folder before any of `jobs` starts; writes nothing.

    Raises `UserError` where it holds a run of another kind, files that a job keeps for other settings or of other
    inputs, a record that a job requires but that is missing or of other settings, or files that a job cannot use.
    Drafts bind the job that keeps them, and no other.
    """
    kind, settings = kinds[config.kind], plain(config)
    refuse_other_kinds(kinds, config.kind, workdir)
    for name, job in kind.jobs.items():
        if job.has_kept(workdir) and not job.is_idle(config) and (name in jobs or not job.keeps_drafts):
            _refuse_other_claim(kind, name, settings, inputs, workdir)
    for name in jobs:
        _refuse_without_records(kind, name, settings, workdir, jobs)
    used = {used for name in jobs for used in (name, *jobs_of(kind)[name].after)}
    needed = {used for name in jobs for used in (name, *(jobs_of(kind)[name].after if name != REPORT else ()))}
    for name, job in kind.jobs.items():
        if name in used - set(jobs):
            origin = read_record(workdir, job).get("provenance")
            _refuse_other_inputs(workdir, origin if isinstance(origin, dict) else {}, inputs)
        if job.check and name in needed:
            job.check(built, workdir)


def refuse_untrained(kind: Kind, workdir: pathlib.Path, jobs: Sequence[str]) -> None:
    """Raises `UserError` where one of `jobs` uses a training that has not begun, before it claims the folder."""
    for name, job in ((name, jobs_of(kind)[name]) for name in jobs if jobs_of(kind)[name].reads):
        for other in set(job.after) - set(jobs):
            if kind.jobs[other].can_stop and not kind.jobs[other].has_kept(workdir):
                folder = workdir / kind.jobs[other].keeps[0]
                raise UserError(f"no checkpoint in {folder}: train first; --jobs={other},{name} does both")


def check_place(folder: pathlib.Path, flag: str) -> None:
    """Raises `UserError` where `--flag` names a folder that cannot be written, before anything is computed for it.

    A file without a name is opened there: permissions alone do not say what a file system takes.
    """
    end = f"choose another --{flag}"
    try:
        there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), folder)
        if not there.is_dir():
            raise UserError(f"{there} is no folder; {end}")
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise UserError(f"--{flag}={folder} cannot be written ({error.strerror or error}); {end}") from error


def claim(kind: Kind, name: str, config: ConfigDict, workdir: pathlib.Path, inputs: Mapping[str, str]) -> None:
    """Claims what the job will keep: writes `config.json`, `data.json` and `claims/JOB.json`. Raises `UserError`.

    A job that keeps drafts alone, such as one that samples otherwise than before, leaves the workdir's config as it is.
    Called with the job's lock held. What another process has kept since `check` is compared once more.
    """
    settings, job = plain(config), kind.jobs[name]
    if job.has_kept(workdir):
        _refuse_other_claim(kind, name, settings, inputs, workdir)
    stated = {"kind": config.kind, "settings": selected(settings, job.reads), "inputs": dict(inputs)}
    try:
        if not (job.keeps_drafts and (workdir / CONFIG).exists()):
            write_json(workdir / CONFIG, settings)
        write_json(workdir / DATA, {"fingerprint": inputs.get("data", "")})
        write_json(workdir / CLAIMS / f"{name}.json", stated)
    except OSError as error:
        raise UserError(f"workdir {workdir} cannot be written: {error}") from error


def describe(config: ConfigDict, workdir: pathlib.Path, inputs: Mapping[str, str]) -> None:
    """Writes `config.json` and `data.json` into a folder with the files of a job that keeps none, where they lack."""
    if workdir.is_dir() and not (workdir / CONFIG).exists():
        write_json(workdir / CONFIG, plain(config))
        write_json(workdir / DATA, {"fingerprint": inputs.get("data", "")})


def remember_place(workdir: pathlib.Path, place: str) -> None:
    """Remembers the folder in which the data were found, where there is one."""
    if place and workdir.is_dir() and remembered_place(workdir) != place:
        write_text(workdir / PLACE, f"{place}\n")


def remembered_place(workdir: pathlib.Path) -> str:
    """The folder in which the data of the run in `workdir` were found; "" where none is remembered."""
    try:
        return (workdir / PLACE).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def alone_at(workdir: pathlib.Path, lock: str) -> AbstractContextManager[TextIO]:
    """Holds the lock of a job, see `kind.lock_of`. Raises `Busy` where another process does."""
    return alone_in(workdir, lock, f"at the job {lock.removeprefix('.')}")


def read_record(workdir: pathlib.Path, job: Job) -> dict[str, Any]:
    """The record of a job; {} where it is missing, incomplete, or states no settings."""
    try:
        record = json.loads((workdir / job.writes).read_text(encoding="utf-8")) if job.writes else {}
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) and isinstance(record.get("settings"), dict) else {}


def as_today(kind: Kind, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Stored settings with the names and the settings of today, as far as `wanted` has them."""
    return with_implied(with_new_names(stored, kind.renamed, wanted), kind.implied, wanted)


def record_differences(
    kind: Kind, name: str, settings: dict[str, Any], workdir: pathlib.Path, record: Mapping[str, Any]
) -> list[str]:
    """A clause for each setting of which the record of a job depends on another value.

    A setting that the record lacks is one, except in folders of version 0.1 for jobs that keep files, as there.
    """
    job = kind.jobs[name]
    strict = not job.keeps or (workdir / CLAIMS / f"{name}.json").exists()
    return _differences(kind, record["settings"], settings, job.reads, job.ignores, strict)


def claim_differences(kind: Kind, name: str, settings: dict[str, Any], workdir: pathlib.Path) -> list[str]:
    """A clause for each setting of which what the job has kept depends on another value. Raises `UserError`.

    A setting that a claim lacks is one; a setting that the config.json of version 0.1 lacks is none.
    """
    job = jobs_of(kind)[name]
    if not job.has_kept(workdir):
        return []
    valid = (*job.ignores, *job.judges, *job.extended(settings))
    strict = (workdir / CLAIMS / f"{name}.json").exists()
    return _differences(kind, _claimed_settings(job, name, workdir), settings, job.reads, valid, strict)


def check_inputs(kind: Kind, workdir: pathlib.Path, inputs: Mapping[str, str]) -> None:
    """Raises `UserError` where what jobs have kept in the folder was made from other inputs."""
    for name, job in kind.jobs.items():
        stated = (workdir / CLAIMS / f"{name}.json").exists() or (workdir / DATA).exists()
        if stated and job.has_kept(workdir):
            _refuse_other_inputs(workdir, _claimed_inputs(name, workdir), inputs)


def owner(kind: Kind, name: str, config: ConfigDict, inputs: Mapping[str, str]) -> str:
    """A digest of what the files of a job depend on: whose run an archive holds."""
    job, settings = kind.jobs[name], plain(config)
    # As version 0.1 wrote it: without what it had not, "" for what is ignored, None for what may change.
    newer = (each for each, value in kind.implied.items() if each in job.ignores or value_of(settings, each) == value)
    old = without(settings, list(newer))
    identity = {each: value for each in job.reads if (value := value_of(old, each)) is not None}
    blank = [each for each in job.ignores if each in kind.folders]  # what else is ignored since then stays in it
    identity = replaced(replaced(identity, blank, ""), job.extended(settings), None)
    return hashlib.sha256(json.dumps([identity, inputs.get("data")], sort_keys=True).encode()).hexdigest()[:16]


def packed(kind: Kind) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(descriptions, records): the names of what an archive carries besides checkpoints, records last."""
    kept = tuple(name for job in kind.jobs.values() if job.can_stop for name in job.keeps if name != "checkpoints")
    jobs = [job for job in kind.jobs.values() if not job.remade]
    made = [name for job in jobs if not job.can_stop for name in (*job.leaves, *job.keeps)]
    records = [job.writes for job in jobs if job.writes]
    inside = [record for record in records if any(record.startswith(f"{folder}/") for folder in made)]
    return DESCRIPTIONS + kept, tuple([*made, *(record for record in records if record not in inside)])


def refuse_other_kinds(kinds: Kinds, own: str, workdir: pathlib.Path) -> None:
    """Raises `UserError` where jobs of another kind have kept something in the folder."""
    ours = {name for job in kinds[own].jobs.values() for name in job.keeps}
    for kind in kinds.values():
        for job in kind.jobs.values():
            foreign = [name for name in job.keeps if name not in ours and (workdir / name).exists()]
            if foreign and job.has_kept(workdir):
                raise UserError(
                    f"workdir {workdir} holds {foreign[0]} of another kind of run; choose another --workdir"
                )
    for name, job in kinds[own].jobs.items():
        if not job.has_kept(workdir):
            continue
        there = read_claim(workdir, name).get("kind")
        if there is None:
            there = read_config(workdir / CONFIG).get("kind", own) if (workdir / CONFIG).is_file() else own
        if there != own:
            told = f"kind is {there!r} there and {own!r} here"
            raise UserError(f"workdir {workdir} holds another config: {told}; choose another --workdir")


def _refuse_other_claim(
    kind: Kind, name: str, settings: dict[str, Any], inputs: Mapping[str, str], workdir: pathlib.Path
) -> None:
    """Raises `UserError` where what the job has kept depends on other settings or inputs."""
    if told := claim_differences(kind, name, settings, workdir):
        what, end = "; ".join(told[:3]), "choose another --workdir or set these back"
        raise UserError(f"workdir {workdir} holds another config: {what}; {end}")
    _refuse_other_inputs(workdir, _claimed_inputs(name, workdir), inputs)


def _refuse_other_inputs(workdir: pathlib.Path, stated: Mapping[str, Any], inputs: Mapping[str, str]) -> None:
    """Raises `UserError` where a fingerprint is stated that differs from that of the input."""
    for what, here in inputs.items():
        if (there := stated.get(what, here)) != here:
            told = f"of {what} {there}, but the {what} now are {here}"
            raise UserError(f"workdir {workdir} holds results {told}; choose another --workdir")


def _differences(
    kind: Kind,
    stored: Mapping[str, Any],
    wanted: dict[str, Any],
    names: Sequence[str],
    passed: Sequence[str],
    strict: bool,
) -> list[str]:
    """`differences` of stored settings, as an older file means them, with folders from the current one on."""
    both = (with_absolute(settings, kind.folders) for settings in (as_today(kind, stored, wanted), wanted))
    return differences(*both, names, passed, strict=strict)


def read_claim(workdir: pathlib.Path, name: str) -> dict[str, Any]:
    """{"kind", "settings", "inputs"} of what a job keeps; {} where it has no claim. Raises `UserError`."""
    path = workdir / CLAIMS / f"{name}.json"
    return read_config(path) if path.exists() else {}


def _claimed_inputs(name: str, workdir: pathlib.Path) -> Mapping[str, Any]:
    """The fingerprints that what the job has kept depends on, as far as they are stated."""
    if not (workdir / CLAIMS / f"{name}.json").exists():
        return {"data": read_config(workdir / DATA).get("fingerprint")}
    inputs = read_claim(workdir, name).get("inputs")
    return inputs if isinstance(inputs, dict) else {}


def _claimed_settings(job: Job, name: str, workdir: pathlib.Path) -> dict[str, Any]:
    """The settings that what the job has kept depends on, as far as they are stated."""
    if (workdir / CLAIMS / f"{name}.json").exists():
        settings = read_claim(workdir, name).get("settings")
        return settings if isinstance(settings, dict) else {}
    settings = read_config(workdir / CONFIG)
    for key, value in ((job.stated(workdir) if job.stated else None) or {}).items():
        if not (isinstance(value, Mapping) and isinstance(settings.get(key), Mapping)):
            settings[key] = value
            continue
        for setting, own in value.items():
            put(settings, f"{key}.{setting}", own)
    return settings


def _refuse_without_records(
    kind: Kind, name: str, settings: dict[str, Any], workdir: pathlib.Path, jobs: Sequence[str]
) -> None:
    """Raises `UserError` where the job requires a record that none of `jobs` makes."""
    for other in jobs_of(kind)[name].requires:
        if other in jobs:
            continue
        record, path = read_record(workdir, kind.jobs[other]), workdir / kind.jobs[other].writes
        if not record:
            told = f"no {kind.jobs[other].writes} in {workdir}, which the job {name} needs"
            raise UserError(f"{told}; --jobs={other},{name} makes it first")
        if told := record_differences(kind, other, settings, workdir, record):
            end = f"--jobs={other},{name} makes it again"
            raise UserError(f"{path}, which the job {name} needs, is of other settings: {'; '.join(told[:3])}; {end}")
