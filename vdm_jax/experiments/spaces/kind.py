"""The kind "spaces": a table of latent spaces, one a run."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vdm_jax.experiments.common.build import DATA, IMPLIED, NOISE
from vdm_jax.experiments.spaces.build import SpaceTable, build_spaces, check_spaces, needs_of_table
from vdm_jax.experiments.spaces.table import is_of_named_runs, table
from vdm_jax.launch.choices import Choice
from vdm_jax.launch.kind import Job, Kind, from_files
from vdm_jax.launch.settings import value_of
from vdm_jax.probing.nets import NETS
from vdm_jax.report.compare.space_sweep import write_space_sweep
from vdm_jax.report.sections import SPACES_PAGE

OF_A_TRAINED_SPACE = ("space.train", "space.seed", "table.keep_encodings")
OF_PROBES = (
    *("probe.net", "probe.members", "probe.num_seeds", "probe.batch_size", "probe.num_updates", "probe.targets"),
    *("probe.updates_per_round", "probe.learning_rate", "probe.patience", "probe.num_validation", "probe.num_test"),
    *("probe.warm_start", "probe.shortfall", "probe.memory_gib", "probe.at_once", "probe.seed"),
)


def trained_here(settings: Mapping[str, Any]) -> Iterable[str]:
    """Whether the run trains its space: "DIR" where a workdir is named."""
    return ["DIR" if value_of(settings, "space.workdir") else ""]


def describe(experiment: SpaceTable) -> Iterator[str]:
    """The lines of `--dry_run`."""
    for scale, run in experiment.scales.items():
        yield f"space {experiment.space.path}, scale {scale}: {run.path}"


KIND = Kind(
    build_spaces,
    {
        "table": Job(
            from_files(table),
            reads=("data", "space", "runs", "diffusion", "exact", "probe", "table"),
            ignores=("data.dir", "space.workdir", "runs", "probe.memory_gib", "probe.at_once", "table.keep_encodings"),
            writes="table.json",
            is_done=is_of_named_runs,
        )
    },
    check=check_spaces,
    needs=needs_of_table,
    inputs=lambda experiment: experiment.inputs,
    describe=describe,
    sections=SPACES_PAGE,
    compare=write_space_sweep,
    compared="table",
    implied=IMPLIED,
    choices=(
        DATA,
        NOISE,
        Choice("space.workdir", {"": OF_A_TRAINED_SPACE, "DIR": ()}, trained_here),
        Choice("table.probes", {"True": OF_PROBES, "False": ()}),
        Choice("probe.net", {name: tuple(f"probe.{each}" for each in net.takes) for name, net in NETS.items()}),
        Choice("probe.warm_start", {"True": ("probe.warm_updates",), "False": ()}),
    ),
    folders=("data.dir", "space.workdir", "runs.none", "runs.global", "runs.component"),
)
