"""Which jobs of a run are still to be done, told by the files that each leaves behind when it is complete."""

import pathlib
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.experiments.kinds import jobs_of
from vdm_jax.launch import store as workdirs
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.train.checkpoint import find_checkpoint, saved_checkpoints

REPORTED = ("metrics.jsonl", "evaluate.json", "samples/about.json")


def outstanding(config: ConfigDict, workdir: pathlib.Path, jobs: Sequence[str]) -> list[str]:
    """Those of `jobs`, in their order, that have not been completed for exactly this config.

    A training is complete with a checkpoint at its last step; an evaluation or sampling where the file it writes last
    states these settings, these data and the checkpoint they name now; a report where it is younger than what it shows.
    What follows a job that is outstanding is so too. The folder holds no run of another config: see `workdirs.check`.
    """
    run, jobs = Workdir(workdir), [job for job in jobs_of(config) if job in jobs]
    if "train" in jobs and not is_trained(config, workdir):
        return jobs
    sections = {"evaluate": ("evaluate", "sample"), "sample": ("sample",)}
    records = {"evaluate": run.evaluate, "sample": run.samples}
    left = [job for job in jobs if job in records and not _states(records[job], config, workdir, sections[job])]
    if "report" in jobs and (left or not is_reported(workdir, REPORTED)):
        left.append("report")
    return left


def is_trained(config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether the latest checkpoint is that of the last step."""
    saved = saved_checkpoints(workdir / "checkpoints")
    return bool(saved) and saved[-1].step == config.train.num_steps


def is_evaluated(config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether `evaluate.json` holds the numbers of this config, trained to its end."""
    return not outstanding(config, workdir, ["train", "evaluate"])


def _states(record: dict[str, Any], config: ConfigDict, workdir: pathlib.Path, sections: Sequence[str]) -> bool:
    """Whether a job's record is about this config, these data, and the checkpoint and weights that would be taken."""
    stored, wanted = record.get("settings"), workdirs.plain(config)
    origin = record.get("provenance")
    if not isinstance(stored, dict) or not isinstance(origin, dict):
        return False
    if workdirs.identity_of(stored) != workdirs.identity_of(wanted):
        return False
    if any(stored.get(name) != wanted.get(name) for name in sections):
        return False
    try:
        step = find_checkpoint(workdir / "checkpoints", config.evaluate.checkpoint).step
        fingerprint = workdirs.read_config(workdir / "data.json").get("fingerprint")
    except UserError:
        return False
    weights = config.evaluate.weights
    return (record.get("checkpoint_step"), record.get("weights"), origin.get("data")) == (step, weights, fingerprint)


def is_reported(workdir: pathlib.Path, names: Sequence[str]) -> bool:
    """Whether the page is there, and younger than all of the files that are."""
    page = workdir / "report" / "index.html"
    shown = [workdir / name for name in names if (workdir / name).exists()]
    return page.is_file() and all(page.stat().st_mtime_ns >= file.stat().st_mtime_ns for file in shown)
