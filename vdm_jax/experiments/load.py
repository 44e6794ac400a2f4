"""`vdm_jax.load`: a trained run as plain functions, for a notebook or a script."""

import inspect
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import PyTree
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.mesh import check_devices
from vdm_jax.data.dataset import Dataset
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch.config_files import DEFAULT, default_of, find, lay_over, load_config, naming_settings
from vdm_jax.launch.ensemble import members_of
from vdm_jax.launch.jobs import build
from vdm_jax.launch.store import check_inputs


@dataclass(frozen=True, eq=False)
class Run:
    """A trained run: its config, data and parameters, and the functions of its kind as attributes.

    A VAE-VDM: `encode`, `sample`, `reconstruct`, `interpolate`, `bound`, `denoise`; without a code, and a DDPM: those
    but `encode` and `interpolate`. A model of latents: `encode`, `decode`, `sample`, `sample_latents`, `bound`,
    `denoise`. Probes: `posterior`, `predict`. `help(run.sample)` gives shapes and units.
    """

    workdir: pathlib.Path
    config: ConfigDict
    data: Dataset
    params: PyTree
    functions: dict[str, Callable[..., Any]] = field(repr=False)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        functions = self.__dict__.get("functions", {})
        if name in functions:
            return functions[name]
        raise AttributeError(f"this run of kind {self.config.kind!r} has no {name!r}; it has {sorted(functions)}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.functions})

    def __repr__(self) -> str:
        lines = [f"Run of kind {self.config.kind!r} in {self.workdir}"]
        return "\n".join(lines + [f"  run.{name}{_arguments(function)}" for name, function in self.functions.items()])


def _arguments(function: Callable[..., Any]) -> str:
    """ "(key, n, *, sampler='ancestral')": the arguments without their types."""
    signature = inspect.signature(function)
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def load(workdir: str | pathlib.Path, *, checkpoint: str | int | None = None, weights: str | None = None) -> Run:
    """The run that was trained in `workdir`, from any folder.

    Args:
        checkpoint: "best", "latest" or a step; None: what the run's config says, "best" by default.
        weights: "ema" for the averaged weights or "raw"; None: what the run's config says, "ema" by default.

    Returns:
        A `Run`: `run.config`, `run.data` (`run.data.test.levels` are images), `run.params` and jitted functions.

    Raises:
        UserError: where the folder holds no run, its data are missing or have changed, or there is no such checkpoint.
    """
    check_devices()
    folder = pathlib.Path(workdir)
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no run: there is no config.json")
    config = load_config(default_of(str(folder), find(DEFAULT)))
    kind = choose("config.kind", config.kind, KINDS)
    lay_over(config, folder, kind)
    if members := members_of(kind, config, folder):
        why = f"{folder} holds an ensemble of {len(members)} runs"
        raise UserError(f"{why}; load one of them, such as {next(iter(members.values())).workdir}")
    if kind.functions is None:
        raise UserError(f"{folder} holds a run of kind {config.kind!r}, which has no functions to load")
    chosen = {"evaluate.checkpoint": checkpoint, "evaluate.weights": weights}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if chosen and "evaluate" not in config:
        raise UserError(f"checkpoint={checkpoint!r}, weights={weights!r}: a run of kind {config.kind!r} has neither")
    config.update_from_flattened_dict({name: str(value) for name, value in chosen.items()})
    with naming_settings(config):
        built, _ = build(kind, config, folder)
    check_inputs(kind, folder, kind.inputs(built))
    params = kind.restore(built, folder)
    return Run(folder, config, built.data, params, kind.functions(built, params))
