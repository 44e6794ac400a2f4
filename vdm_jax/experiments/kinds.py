"""What a config file can describe: kinds of experiment, each with its parts, its jobs in their order, its identity."""

import pathlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from vdm_jax.base.errors import choose
from vdm_jax.base.locks import alone_in
from vdm_jax.experiments.common.build import build
from vdm_jax.experiments.common.exact import exact
from vdm_jax.experiments.common.sample import sample
from vdm_jax.experiments.common.train import train
from vdm_jax.experiments.ddpm.build import build_ddpm
from vdm_jax.experiments.ddpm.jobs import ddpm_training, draw_ddpm, evaluate_ddpm
from vdm_jax.experiments.exact.build import build_exact
from vdm_jax.experiments.probe_jobs import check_jobs
from vdm_jax.experiments.probes.build import build_probes
from vdm_jax.experiments.probes.chain_probes import chain_probes
from vdm_jax.experiments.probes.chains import chains
from vdm_jax.experiments.probes.probe import probe
from vdm_jax.experiments.probes.training import train_probes
from vdm_jax.experiments.vae_vdm.evaluate import evaluate
from vdm_jax.experiments.vae_vdm.training import vae_vdm_training
from vdm_jax.launch.memory import LESS, LESS_OF_PROBES
from vdm_jax.report.page import write_report


def report(_: Any, workdir: pathlib.Path) -> str:
    """Writes `report/index.html` from the files of the workdir alone; returns "done"."""
    print(f"report: {write_report(workdir)}", flush=True)
    return "done"


def alone(job: Callable[[Any, pathlib.Path], str], name: str = "") -> Callable[[Any, pathlib.Path], str]:
    """The job, one process at a time in a workdir: raises `UserError` where another one is at it, or at the job `name`,
    whose work it does."""
    name = name or job.__name__

    def run(built: Any, workdir: pathlib.Path) -> str:
        with alone_in(workdir, f".{name}", f"at the job {name}"):
            return job(built, workdir)

    return run


class Kind(NamedTuple):
    """`build(config)`: every setting looked at, the parts put together. `jobs`: (what was built, workdir) -> status.
    `less`: what to lower where a job has too little memory. `check(what was built, workdir, names of jobs)`: the folder
    looked at for all of them."""

    build: Callable[[ConfigDict], Any]
    jobs: dict[str, Callable[[Any, pathlib.Path], str]]
    less: dict[str, str]
    check: Callable[[Any, pathlib.Path, Sequence[str]], None] = lambda *_: None


KINDS = {
    "vae_vdm": Kind(
        build,
        {
            "train": partial(train, training_of=vae_vdm_training),
            "evaluate": evaluate,
            "sample": sample,
            "report": report,
        },
        LESS,
    ),
    "ddpm": Kind(
        build_ddpm,
        {
            "train": partial(train, training_of=ddpm_training),
            "evaluate": evaluate_ddpm,
            "sample": partial(sample, draws=draw_ddpm),
            "report": report,
        },
        LESS,
    ),
    "exact": Kind(build_exact, {"exact": alone(exact), "report": report}, LESS_OF_PROBES),
    "probes": Kind(
        build_probes,
        {
            "exact": alone(exact),
            "train": alone(train_probes, "probe"),
            "probe": alone(probe),
            "chains": alone(chains),
            "chain_probes": alone(chain_probes),
            "report": report,
        },
        LESS_OF_PROBES,
        check_jobs,
    ),
}


def kind_of(config: ConfigDict) -> Kind:
    """The kind that `config.kind` names."""
    return choose("config.kind", config.kind, KINDS)


def jobs_of(config: ConfigDict) -> list[str]:
    """The names of its jobs, in their order."""
    return list(kind_of(config).jobs)
