"""The jobs of a run, one after the other in one workdir."""

import json
import pathlib
from collections.abc import Sequence
from contextlib import nullcontext

from ml_collections import ConfigDict

from vdm_jax.base.signals import sigterm_after
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.kinds import kind_of
from vdm_jax.launch import store as workdirs
from vdm_jax.launch.memory import what_memory_lacks
from vdm_jax.report.summary import summary
from vdm_jax.train.archive import MANIFEST, pack, unpack


def run(
    config: ConfigDict,
    workdir: pathlib.Path,
    jobs: Sequence[str],
    stop_after: float | None = None,
    archive: pathlib.Path | None = None,
) -> None:
    """Runs `jobs`, always in the order of the config's kind, and prints the numbers that matter at the end.

    Settings, data and model are looked at before the workdir is touched, and only the training claims it: a mistake
    leaves no trace (`UserError`). A training of more than `stop_after` seconds is stopped and saved, to be gone on
    with. A run in `archive` is put into the workdir first; it is packed into it after its training, and again, with
    what they left, after the jobs that follow.
    """
    kind = kind_of(config)
    workdirs.check_place(workdir, "workdir")
    if archive:
        workdirs.check_place(archive, "archive")
    jobs = [job for job in kind.jobs if job in jobs]
    with what_memory_lacks("reading the data"):
        experiment = kind.build(config) if jobs != ["report"] else None
    if isinstance(experiment, Experiment):
        fingerprint = experiment.data.fingerprint
        workdirs.check(workdir, config, fingerprint)
        owner = workdirs.owner(config, fingerprint)
        if archive and (archive / MANIFEST).exists():
            print(f"archive: step {unpack(archive, workdir, owner)}", flush=True)
        if "train" in jobs:
            workdirs.claim(workdir, config, fingerprint)
    if experiment is not None:
        kind.check(experiment, workdir, jobs)
    for number, job in enumerate(jobs):
        with what_memory_lacks(job, kind.less), sigterm_after(stop_after) if job == "train" else nullcontext():
            status = kind.jobs[job](experiment, workdir)
        if archive and (job == "train" or number == len(jobs) - 1):
            print("\n".join(f"archive: {path}" for path in pack(workdir, archive, owner)), flush=True)
        if status == "stopped":
            return
    if "evaluate" in jobs:
        print(summary(json.loads((workdir / "evaluate.json").read_text(encoding="utf-8"))))
