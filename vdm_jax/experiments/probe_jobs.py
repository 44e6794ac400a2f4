"""What the jobs on timestep probes need of their folder, looked at before the first of them starts."""

import pathlib
from collections.abc import Sequence

from vdm_jax.diffusion.timesteps import every_nth, timesteps
from vdm_jax.experiments.common.exact import check_folder, check_timesteps
from vdm_jax.experiments.probes.build import ProbeExperiment
from vdm_jax.experiments.probes.chain_probes import FOLDER, check_claimed
from vdm_jax.experiments.probes.chains import check_log, exact_record
from vdm_jax.launch import store as workdirs


def check_jobs(experiment: ProbeExperiment, workdir: pathlib.Path, jobs: Sequence[str]) -> None:
    """Raises `UserError` where one of `jobs` will not find the curves it needs, or will find what is of other settings;
    writes nothing."""
    config, settings = experiment.config, workdirs.plain(experiment.config)
    check_folder(workdir, settings, experiment.identity)
    steps = timesteps(config.exact.num_timesteps, experiment.schedule)
    check_timesteps(workdir, steps)
    if "chains" in jobs:
        if "exact" not in jobs:
            exact_record(workdir, settings)
        check_log(workdir, settings | {"timesteps": every_nth(steps, config.chains.every).tolist()})
    if "chain_probes" in jobs and config.chain_probes.samplers:
        asked = every_nth(steps, config.chain_probes.every)
        check_claimed(workdir / FOLDER, settings | {"timesteps": asked.tolist()})
