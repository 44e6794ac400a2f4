"""Which jobs on timestep probes are still to be done, told by the record each leaves behind when it is complete."""

import pathlib
from collections.abc import Sequence

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.timesteps import distinct_steps
from vdm_jax.experiments.common.build import fixed_table
from vdm_jax.experiments.common.exact import NO_SETTING
from vdm_jax.experiments.finished import is_reported
from vdm_jax.experiments.kinds import jobs_of
from vdm_jax.experiments.probes.training import CHUNKS
from vdm_jax.launch import store as workdirs
from vdm_jax.launch.renamed import with_new_names
from vdm_jax.probing.chunks import stored_timesteps
from vdm_jax.report.workdir import Workdir
from vdm_jax.train.checkpoint import find_checkpoint

SECTIONS = {
    "exact": ("data", "diffusion", "exact"),
    "probe": ("data", "diffusion", "exact", "probe"),
    "chains": ("data", "diffusion", "exact", "chains"),
    "chain_probes": ("data", "diffusion", "exact", "chains", "probe", "chain_probes"),
}
REPORTED = tuple(f"{job}.json" for job in SECTIONS)


def outstanding_probes(config: ConfigDict, workdir: pathlib.Path, jobs: Sequence[str]) -> list[str]:
    """Those of `jobs`, in their order, whose record does not state these settings; with `exact` all that follow it.

    The training is complete with every timestep in its folder, or with the record made of it; chains of a trained model
    with its checkpoint of now, probes where they stand beside the exact curves that are there, a report where it is
    younger than what it shows.
    """
    jobs = [job for job in jobs_of(config) if job in jobs]
    if "exact" in jobs and not _states("exact", config, workdir):
        return jobs
    left = [job for job in jobs if job != "report" and not _is_done(job, config, workdir)]
    if "report" in jobs and (left or not is_reported(workdir, REPORTED)):
        left.append("report")
    return left


def is_measured(config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether the exact curves of this config are there."""
    return _states("exact", config, workdir)


def _is_done(job: str, config: ConfigDict, workdir: pathlib.Path) -> bool:
    if job == "train":
        return _states("probe", config, workdir) or _is_trained(config, workdir)
    if job == "chain_probes" and not config.chain_probes.samplers:
        return True
    if not _states(job, config, workdir):
        return False
    run = Workdir(workdir)
    if job == "probe" and run.exact:
        return all("exact" in feature for feature in run.probe["features"].values())
    if job in ("chains", "chain_probes") and config.chains.model:
        return (getattr(run, job).get("model") or {}).get("step") == _step_of_model(config)
    return True


def _is_trained(config: ConfigDict, workdir: pathlib.Path) -> bool:
    steps, _, first, _ = distinct_steps(config.exact.num_timesteps, fixed_table(config.diffusion))
    return set(steps[first].tolist()) <= stored_timesteps(workdir / CHUNKS)


def _states(job: str, config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether the job's record is there and about this config."""
    stored, wanted = getattr(Workdir(workdir), job).get("settings"), workdirs.plain(config)
    if not isinstance(stored, dict):
        return False
    stored = with_new_names(stored)
    told = (line for name in SECTIONS[job] for line in workdirs.differences_of(stored.get(name), wanted[name], name))
    return all(line.startswith(NO_SETTING) for line in told)


def _step_of_model(config: ConfigDict) -> int | None:
    try:
        return find_checkpoint(pathlib.Path(config.chains.model, "checkpoints"), config.chains.checkpoint).step
    except UserError:
        return None
