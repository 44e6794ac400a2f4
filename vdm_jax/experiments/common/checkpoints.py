"""Weights for the jobs that follow a training, also while it goes on."""

import pathlib
from typing import Any, NamedTuple

import jax
from jaxtyping import PyTree
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import make_mesh, replicated
from vdm_jax.train.checkpoint import Damaged, restore_parts

WEIGHTS = {"ema": "ema_params", "raw": "params"}


class Weights(NamedTuple):
    """Parameters on every device, and where they come from."""

    params: PyTree
    step: int
    kind: str  # ema or raw


def load_weights(
    workdir: pathlib.Path, model: Any, config: ConfigDict, setting: str = "config.evaluate.checkpoint"
) -> Weights:
    """The checkpoint that `config.evaluate` names. Raises `UserError` where there is none, a damaged one, or one of
    another model.

    model: has `init(key)`; one whose weights are partly in the carry also `init_carry(key)` and
        `complete(params, carry)`.
    setting: what names the checkpoint, for the sentence on a damaged one.
    """
    kind = config.evaluate.weights
    part = choose("evaluate.weights", kind, WEIGHTS)
    shapes = {part: jax.eval_shape(model.init, jax.random.key(0))}
    has_more = hasattr(model, "complete")
    if has_more:
        shapes["carry"] = jax.eval_shape(model.init_carry, jax.random.key(0))
    try:
        restored = restore_parts(workdir / "checkpoints", config.evaluate.checkpoint, shapes, replicated(make_mesh()))
    except Damaged as error:
        if error.whole is None:
            raise
        raise UserError(f"{error}: choose it with --{setting}={error.whole}, in Python checkpoint=…") from error
    params = restored.parts[part]
    return Weights(model.complete(params, restored.parts["carry"]) if has_more else params, restored.step, kind)


def initial_params(model: Any, seed: int) -> PyTree:
    """The parameters that a training with `config.train.seed` starts from; also those of the untrained encoder.

    Leaf by leaf: leaves of one shape share a compiled program. One program of all leaves takes as long to compile as a
    training step.
    """
    return model.init(named_key(jax.random.key(seed), "init"))
