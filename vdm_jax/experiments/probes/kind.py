"""The kind "probes": when features are destroyed and decided along a diffusion chain."""

import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vdm_jax.base.pytrees import num_parameters
from vdm_jax.diffusion.timesteps import distinct_steps, timesteps
from vdm_jax.experiments.common.build import IMPLIED, find_data, fixed_table, understood_data
from vdm_jax.experiments.common.exact import BATCHES, check_timesteps, describe_exact, exact
from vdm_jax.experiments.common.programs import PROBES
from vdm_jax.experiments.common.space.settings import (
    SPACE_FOLDERS,
    SPACE_IGNORED,
    SPACE_IMPLIED,
    space_needs,
)
from vdm_jax.experiments.common.trained_model import is_about_model
from vdm_jax.experiments.common.training import in_units
from vdm_jax.experiments.probes.build import ProbeExperiment, build_probes
from vdm_jax.experiments.probes.chain_probes import FOLDER, chain_probes
from vdm_jax.experiments.probes.chains import LINES, chains
from vdm_jax.experiments.probes.checks import check_settings
from vdm_jax.experiments.probes.choices import PROBE_CHOICES
from vdm_jax.experiments.probes.functions import probe_functions, restore
from vdm_jax.experiments.probes.normality import check_images, normality
from vdm_jax.experiments.probes.probe import probe
from vdm_jax.experiments.probes.samplers import chosen_samplers
from vdm_jax.experiments.probes.training import CHUNKS, build_ensemble, train_probes
from vdm_jax.launch.kind import Job, Kind, from_files
from vdm_jax.launch.status import has_record
from vdm_jax.launch.store import read_record
from vdm_jax.probing.chunks import bytes_of_timestep, stored_timesteps
from vdm_jax.report.compare.probe_sweep import write_probe_sweep
from vdm_jax.report.sections import PROBES_PAGE
from vdm_jax.train.metrics import read_metrics

IGNORED = ("data.dir", *SPACE_IGNORED, "probe.memory_gib", "probe.at_once")  # no number depends on them
NOISE = ("data", "space", "diffusion", "exact.num_timesteps")  # what is noised, how much, and all jobs' timesteps
PROBE_HINT = "lower config.probe.memory_gib or config.probe.batch_size"
# A sampler's chains, and what is trained on them, are kept in a folder or on a line that states these.
OF_A_SAMPLER = ("samplers", "num_steps")
OF_CHAINS = ("readers", "reader_images", "reader_steps", "far", "model", "checkpoint")  # that probes of chains read
REAL_OR_GENERATED = ("net", "hidden", "updates", "learning_rate")
EXTENDED_CHAIN_PROBES = (
    *(f"chain_probes.{name}" for name in (*OF_A_SAMPLER, "backward", "real_or_generated")),
    *(f"chain_probes.real_or_generated_{name}" for name in REAL_OR_GENERATED),
    "chains.model",
    "chains.checkpoint",
)


def describe_probes(experiment: ProbeExperiment) -> Iterator[str]:
    """The lines of `--dry_run`: the timesteps, and the probes with their memory."""
    yield from describe_exact(experiment)
    config = experiment.config.probe
    ensemble, _ = build_ensemble(config, experiment.population)
    members = len(ensemble.members.names)
    params = jax.eval_shape(lambda key: ensemble.init(key[None]), jax.random.key(0))
    state, residuals = bytes_of_timestep(ensemble, {"gamma": jnp.float32(0)})
    yield (
        f"probes: {config.net}, {members} at each timestep with {num_parameters(params) // members:,} parameters each, "
        f"{config.num_updates:,} updates of {config.batch_size:,} images"
    )
    yield (
        f"memory of the training on each device: up to {in_units(state)}B a timestep and {in_units(residuals)}B of "
        f"activations, within probe.memory_gib={config.memory_gib}"
    )


def check_exact_timesteps(experiment: ProbeExperiment, workdir: pathlib.Path) -> None:
    """Raises `UserError` where the exact curves in the folder are at other timesteps."""
    check_timesteps(workdir, timesteps(experiment.config.exact.num_timesteps, experiment.schedule))


def are_probes_trained(config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether every timestep is stored, or the record made of them is there."""
    if has_record(KIND, "probe", config, workdir):
        return True
    steps, _, first, _ = distinct_steps(config.exact.num_timesteps, fixed_table(config.diffusion))
    return set(steps[first].tolist()) <= stored_timesteps(workdir / CHUNKS)


def is_compared_with_exact(_: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether the record of the probes states the exact curves, where there are exact curves."""
    features = read_record(workdir, KIND.jobs["probe"]).get("features", {})
    return not read_record(workdir, KIND.jobs["exact"]) or all("exact" in part for part in features.values())


def are_chains_of_model(config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Whether the chains' record is of the checkpoint that the config names now."""
    return _is_of_model("chains", config, workdir)


def are_chain_probes_done(config: ConfigDict, workdir: pathlib.Path) -> bool:
    """The same of the probes of chains."""
    return _is_of_model("chain_probes", config, workdir)


def has_no_samplers(config: ConfigDict) -> bool:
    """Whether no chains are named that probes would be trained on: the job chain_probes has nothing to do."""
    return not config.chain_probes.samplers


def _is_of_model(job: str, config: ConfigDict, workdir: pathlib.Path) -> bool:
    if not any(chosen.trained for chosen in chosen_samplers(config[job]).values()):
        return True
    about = read_record(workdir, KIND.jobs[job]).get("model") or {}
    return is_about_model(about, pathlib.Path(config.chains.model), config.chains.checkpoint)


def stated_in_lines(workdir: pathlib.Path) -> Mapping[str, Any] | None:
    """The settings that version 0.1 stated in the first line of chains.jsonl."""
    rows = read_metrics(workdir / LINES) if (workdir / LINES).exists() else []
    return next((row["settings"] for row in rows if "settings" in row), None)


def stated_with_chains(workdir: pathlib.Path) -> Mapping[str, Any] | None:
    """The settings that version 0.1 stated in chain_probes/settings.json."""
    try:
        return json.loads((workdir / FOLDER / "settings.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


KIND = Kind(
    build_probes,
    {
        "exact": Job(
            from_files(exact),
            reads=("data", "space", "diffusion", "exact"),
            ignores=IGNORED,
            keeps=(BATCHES,),
            writes="exact.json",
            check=check_exact_timesteps,
            memory_hint="lower config.exact.batch_size",
        ),
        "normality": Job(
            from_files(normality),
            reads=(*NOISE, "normality"),
            ignores=IGNORED,
            writes="normality.json",
            check=check_images,
            memory_hint="lower config.normality.num_images",
        ),
        "train": Job(
            from_files(train_probes),
            reads=(*NOISE, "probe"),
            ignores=IGNORED,
            judges=("probe.shortfall",),
            keeps=(CHUNKS,),
            is_done=are_probes_trained,
            lock=".probe",
            memory_hint=PROBE_HINT,
        ),
        "probe": Job(
            from_files(probe),
            reads=(*NOISE, "probe"),
            ignores=IGNORED,
            judges=("probe.shortfall",),
            after=("exact", "train"),
            keeps=(CHUNKS,),
            writes="probe.json",
            is_done=is_compared_with_exact,
            lock=".probe",
            memory_hint=PROBE_HINT,
        ),
        "chains": Job(
            from_files(chains),
            reads=(*NOISE, "chains"),
            ignores=IGNORED,
            extends=tuple(f"chains.{name}" for name in (*OF_A_SAMPLER, "round_trips", "model", "checkpoint")),
            after=("exact",),
            requires=("exact",),
            keeps=(LINES,),
            writes="chains.json",
            is_done=are_chains_of_model,
            stated=stated_in_lines,
            memory_hint="lower config.chains.batch_size",
        ),
        "chain_probes": Job(
            from_files(chain_probes),
            reads=(*NOISE, *(f"chains.{name}" for name in OF_CHAINS), "probe", "chain_probes"),
            ignores=IGNORED,
            judges=("probe.shortfall", "chains.far"),
            extends=EXTENDED_CHAIN_PROBES,
            after=("exact",),
            keeps=(FOLDER,),
            writes="chain_probes.json",
            is_done=are_chain_probes_done,
            idle=has_no_samplers,
            stated=stated_with_chains,
            memory_hint="lower config.chain_probes.batch_size or config.probe.memory_gib",
        ),
    },
    inputs=lambda experiment: {"data": experiment.identity},
    check=check_settings,
    needs=space_needs,
    find=find_data,
    understood=understood_data,
    describe=describe_probes,
    programs=PROBES,
    restore=restore,
    functions=probe_functions,
    sections=PROBES_PAGE,
    compare=write_probe_sweep,
    compared="exact",
    implied=IMPLIED
    | SPACE_IMPLIED
    | {"data.downsample": 1}
    | dict.fromkeys(("data.validation_size", "data.num_levels", "data.max_gib")),
    choices=PROBE_CHOICES,
    folders=("data.dir", *SPACE_FOLDERS, "chains.model"),
    renamed={f"chain_probes.told_{name}": f"chain_probes.real_or_generated_{name}" for name in REAL_OR_GENERATED}
    | dict.fromkeys(("probe.net", "chain_probes.real_or_generated_net"), {"evidence": "matched_statistics"}),
)
