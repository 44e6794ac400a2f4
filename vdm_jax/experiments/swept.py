"""What a sweep must know of a kind of experiment: how to look at a member, what is left of it, what its table is."""

import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.data.dataset import Dataset
from vdm_jax.experiments.common.build import Experiment, build
from vdm_jax.experiments.common.exact import check_folder
from vdm_jax.experiments.ddpm.build import build_ddpm
from vdm_jax.experiments.exact.build import build_exact
from vdm_jax.experiments.finished import is_evaluated, outstanding
from vdm_jax.experiments.finished_probes import is_measured, outstanding_probes
from vdm_jax.experiments.probes.build import build_probes
from vdm_jax.launch import store as workdirs
from vdm_jax.report.ddpm_sweep import write_ddpm_sweep
from vdm_jax.report.probe_sweep import write_probe_sweep
from vdm_jax.report.sweep import write_sweep
from vdm_jax.train.checkpoint import saved_checkpoints


class Swept(NamedTuple):
    """`make_check()` gives check(config, workdir), which raises `UserError`; `outstanding(config, workdir, jobs)` those
    left; `has_numbers(config, workdir)` whether the table can tell of it; `write(folder, runs, missing)` the table."""

    make_check: Callable[[], Callable[[ConfigDict, pathlib.Path], None]]
    outstanding: Callable[[ConfigDict, pathlib.Path, Sequence[str]], list[str]]
    has_numbers: Callable[[ConfigDict, pathlib.Path], bool]
    numbers: str  # what a member without any lacks
    write: Callable[[pathlib.Path, Mapping[str, pathlib.Path], Mapping[str, str]], str]


def make_training_check(build: Callable[..., Experiment]) -> Callable[[ConfigDict, pathlib.Path], None]:
    """Of a training: settings, data and folder. Members with the same data read them once."""
    data: dict[str, Dataset] = {}

    def check(config: ConfigDict, workdir: pathlib.Path) -> None:
        source = json.dumps(workdirs.plain(config)["data"])
        data[source] = build(config, data.get(source)).data
        workdirs.check(workdir, config, data[source].fingerprint)
        saved, wanted = saved_checkpoints(workdir / "checkpoints"), config.train.num_steps
        if saved and saved[-1].step > wanted:
            raise UserError(f"{workdir} is trained to step {saved[-1].step}, beyond train.num_steps={wanted}")

    return check


def check_probes(config: ConfigDict, workdir: pathlib.Path) -> None:
    """Of timestep probes: settings and folder."""
    check_folder(workdir, workdirs.plain(config), build_probes(config).identity)


def check_images(config: ConfigDict, workdir: pathlib.Path) -> None:
    """Of exact curves of images: settings, data and folder."""
    check_folder(workdir, workdirs.plain(config), build_exact(config).identity)


SWEPT = {
    "vae_vdm": Swept(partial(make_training_check, build), outstanding, is_evaluated, "evaluated", write_sweep),
    "ddpm": Swept(partial(make_training_check, build_ddpm), outstanding, is_evaluated, "evaluated", write_ddpm_sweep),
    "probes": Swept(lambda: check_probes, outstanding_probes, is_measured, "measured", write_probe_sweep),
    "exact": Swept(lambda: check_images, outstanding_probes, is_measured, "measured", write_probe_sweep),
}


def swept(config: ConfigDict) -> Swept:
    """That of the config's kind; raises `UserError` for one that no sweep is for."""
    return choose("--sweep of config.kind", config.kind, SWEPT)
