"""The jobs of a run, one after the other in one workdir."""

import json
import pathlib
from collections.abc import Callable, Sequence

from ml_collections import ConfigDict

from vdm_jax.experiments import workdir as workdirs
from vdm_jax.experiments.build import Experiment, build
from vdm_jax.experiments.evaluate import evaluate
from vdm_jax.experiments.sample import sample
from vdm_jax.experiments.summary import summary
from vdm_jax.experiments.train import train
from vdm_jax.report.page import write_report


def report(_: Experiment | None, workdir: pathlib.Path) -> str:
    """Writes `report/index.html` from the files of the workdir alone; returns "done"."""
    print(f"report: {write_report(workdir)}", flush=True)
    return "done"


JOBS: dict[str, Callable[..., str]] = {"train": train, "evaluate": evaluate, "sample": sample, "report": report}


def run(config: ConfigDict, workdir: pathlib.Path, jobs: Sequence[str]) -> None:
    """Runs `jobs`, always in the order of `JOBS`, and prints the numbers that matter at the end. Raises `UserError`.

    Settings, data and model are looked at before the workdir is touched, and only the training claims it: a mistake
    leaves no trace.
    """
    jobs = [job for job in JOBS if job in jobs]
    experiment = None
    if jobs != ["report"]:
        experiment = build(config)
        fingerprint = experiment.data.fingerprint()
        workdirs.check(workdir, config, fingerprint)
        if "train" in jobs:
            workdirs.claim(workdir, config, fingerprint)
    for job in jobs:
        if JOBS[job](experiment, workdir) == "stopped":
            return
    if "evaluate" in jobs:
        print(summary(json.loads((workdir / "evaluate.json").read_text(encoding="utf-8"))))
