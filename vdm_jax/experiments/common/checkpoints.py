"""Weights for the jobs that follow a training, also while it goes on, and those that are published without it."""

import pathlib
from typing import Any, NamedTuple

import jax
from jaxtyping import PyTree
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import make_mesh, replicated
from vdm_jax.train.checkpoint import Damaged, find_checkpoint, restore_parts
from vdm_jax.train.half_weights import FILE, about_half, read_half

CHECKPOINTS = "checkpoints"  # folder of a workdir
WEIGHTS = {"ema": "ema_params", "raw": "params"}


class Weights(NamedTuple):
    """Parameters on every device, and where they come from."""

    params: PyTree
    step: int
    kind: str  # ema or raw


def load_weights(
    workdir: pathlib.Path, model: Any, config: ConfigDict, setting: str = "config.evaluate.checkpoint"
) -> Weights:
    """The checkpoint that `config.evaluate` names; of a folder with `are_published` weights, these. Raises `UserError`
    where there is none, a damaged one, or one of another model.

    model: has `init(key)`; one whose weights are partly in the carry also `init_carry(key)` and
        `complete(params, carry)`.
    setting: what names the checkpoint, for the sentence on a damaged one.
    """
    kind = config.evaluate.weights
    part = choose("evaluate.weights", kind, WEIGHTS)
    if are_published(workdir):
        return _published(workdir / FILE, model, kind)
    shapes = {part: jax.eval_shape(model.init, jax.random.key(0))}
    has_more = hasattr(model, "complete")
    if has_more:
        shapes["carry"] = jax.eval_shape(model.init_carry, jax.random.key(0))
    try:
        restored = restore_parts(workdir / CHECKPOINTS, config.evaluate.checkpoint, shapes, replicated(make_mesh()))
    except Damaged as error:
        if error.whole is None:
            raise
        raise UserError(f"{error}: choose it with --{setting}={error.whole}, in Python checkpoint=…") from error
    params = restored.parts[part]
    return Weights(model.complete(params, restored.parts["carry"]) if has_more else params, restored.step, kind)


def are_published(workdir: pathlib.Path) -> bool:
    """Whether a folder has weights in half precision and no checkpoints: what is published of a training."""
    return (workdir / FILE).is_file() and not (workdir / CHECKPOINTS).is_dir()


def step_of(workdir: pathlib.Path, which: str | int) -> int:
    """The step of the checkpoint "latest", "best" or of a step number; of published weights, theirs. Raises
    `UserError` where there is none."""
    return (
        about_half(workdir / FILE)["step"]
        if are_published(workdir)
        else find_checkpoint(workdir / CHECKPOINTS, which).step
    )


def _published(path: pathlib.Path, model: Any, kind: str) -> Weights:
    """The weights in a file of half precision. Raises `UserError` where `kind` asks for others."""
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    if hasattr(model, "complete"):
        shapes = jax.eval_shape(lambda key: model.complete(model.init(key), model.init_carry(key)), jax.random.key(0))
    params, about = read_half(path, shapes)
    if about["weights"] != kind:
        raise UserError(f"evaluate.weights={kind!r}: {path} holds {about['weights']!r} weights alone; choose these")
    return Weights(jax.device_put(params, replicated(make_mesh())), about["step"], kind)


def initial_params(model: Any, seed: int) -> PyTree:
    """The parameters that a training with `config.train.seed` starts from; also those of the untrained encoder.

    Leaf by leaf: leaves of one shape share a compiled program. One program of all leaves takes as long to compile as a
    training step.
    """
    return model.init(named_key(jax.random.key(seed), "init"))
