"""Trained runs whose codes are measured: a VAE-VDM, DRL or VDRL, or an autoencoder."""

import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Integer, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, naming
from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.pytrees import fingerprint
from vdm_jax.data.dataset import Dataset
from vdm_jax.evals.batches import map_batches
from vdm_jax.experiments.common.checkpoints import initial_params, load_weights
from vdm_jax.experiments.common.codes import encode_all
from vdm_jax.experiments.common.models import make_model
from vdm_jax.experiments.common.space.load import AUTOENCODER, kind_of_space, load_autoencoder
from vdm_jax.experiments.common.trained_model import OF_VERSION_0_1, as_config, read_stored, stated_settings
from vdm_jax.launch.settings import value_of
from vdm_jax.models.autoencoder import Autoencoder
from vdm_jax.models.diffusion import DiffusionModel

DIFFUSION = "vae_vdm"  # the kind of VAE-VDM, DRL and VDRL
SECTIONS = {DIFFUSION: OF_VERSION_0_1, AUTOENCODER: ("data", "model", "train")}  # that the weights depend on
CONDITIONAL = "is conditional: its code needs a label beside the image"
Codes = Float[np.ndarray, "n d"]
Levels = Integer[np.ndarray, "_ h w c"]
Encode = Callable[[Levels], tuple[Codes, Codes | None]]


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A trained model and its weights.

    initial: () -> the weights before the training. about: for records, {"workdir", "kind", "name" and "seed" of the
    config, "step", "weights", "fingerprint" of the weights}.
    """

    name: str
    model: DiffusionModel | Autoencoder
    params: PyTree
    initial: Callable[[], PyTree]
    config: ConfigDict
    about: dict[str, Any]
    batch_size: int

    @property
    def has_code(self) -> bool:
        """Whether there is a code; a diffusion model without one is a reference alone."""
        return isinstance(self.model, Autoencoder) or self.model.code is not None

    @property
    def of_time(self) -> bool:
        """Whether the encoder is E(x, t)."""
        return isinstance(self.model, DiffusionModel) and self.model.code is not None and self.model.code.of_time

    def untrained(self) -> "TrainedRun":
        """The same run with the weights before its training."""
        return replace(self, params=self.initial())

    def encoder(self, t: float | None = None) -> Encode:
        """`encode(levels) -> mean, log variance`, [N, D] each; None for the latter of a code without noise. t: of
        E(x, t)."""
        if isinstance(self.model, Autoencoder):
            return lambda levels: _latents(self.model, self.params, levels, self.batch_size)
        noisy = not self.model.code.deterministic

        def encode(levels: Levels) -> tuple[Codes, Codes | None]:
            mean, logvar = encode_all(self.model, self.params, levels, self.batch_size, t)
            return mean, logvar if noisy else None

        return encode

    def moments(self, levels: Levels) -> tuple[Codes, Codes]:
        """Mean and log variance, [N, D] each, the latter -∞ without noise; of a code that is not E(x, t)."""
        mean, logvar = self.encoder()(levels)
        return mean, np.full_like(mean, -np.inf) if logvar is None else logvar


class StoredRun(NamedTuple):
    """A folder with a run, as its config.json states it. named: the setting that holds the folder."""

    folder: pathlib.Path
    named: str
    kind: str
    name: str | None
    has_code: bool


def read_run(name: str, workdir: str | pathlib.Path) -> StoredRun:
    """What can be judged of the run in `config.runs.NAME` without the data. Raises `UserError` where the folder holds
    none, one of another kind, or one without a code of the image alone."""
    folder, named = pathlib.Path(workdir), f"config.runs.{name}={workdir}"
    if not (folder / "config.json").is_file():
        raise UserError(f"{named} holds no run: there is no config.json")
    stored = read_stored(folder / "config.json", named)
    kind = stored.get("kind")
    if kind not in SECTIONS:
        raise UserError(f"{named} is of kind {kind!r}; expected {' or '.join(map(repr, SECTIONS))}")
    with naming(named):
        if kind == AUTOENCODER:
            kind_of_space(folder)  # raises where it holds an ensemble
        stated = stored if kind == AUTOENCODER else stated_settings(folder)[1]
    if lacking := [section for section in SECTIONS[kind] if not isinstance(stated.get(section), dict)]:
        raise UserError(f"{named}: its config.json has no {lacking[0]}")
    if kind == AUTOENCODER and value_of(stated, "model.conditional"):
        raise UserError(f"{named} {CONDITIONAL}; name another run")
    return StoredRun(folder, named, kind, stored.get("name"), states_code(kind, stated))


def refuse_other_data(run: StoredRun, data: Dataset) -> None:
    """Raises `UserError` where the run states other data, or none."""
    if read_stored(run.folder / "data.json", run.named).get("fingerprint") != data.fingerprint:
        raise UserError(f"{run.named} was trained on other data than config.data, {data.name!r}")


def states_code(kind: str, settings: Mapping[str, Any]) -> bool:
    """Whether a run with these settings has a code."""
    return kind == AUTOENCODER or value_of(settings, "model.encoder") != "none"


def load_run(name: str, workdir: str | pathlib.Path, data: Dataset, settings: ConfigDict) -> TrainedRun:
    """The run in a folder.

    settings: `config.codes`, with `checkpoint`, `weights` and `batch_size`. Raises `UserError` as `read_run`, and where
    the run is one of other data.
    """
    stored = read_run(name, workdir)
    folder, named, kind = stored.folder, stored.named, stored.kind
    refuse_other_data(stored, data)
    evaluate = dict(evaluate=dict(weights=settings.weights, checkpoint=settings.checkpoint))
    with naming(named):
        if kind == AUTOENCODER:
            config, model = load_autoencoder(folder, data)
        else:
            config = as_config(*stated_settings(folder))
            model = make_model(config, data)
        weights = load_weights(folder, model, ConfigDict(evaluate), "config.codes.checkpoint")
    origin = {"workdir": str(folder), "kind": kind, "name": stored.name, "seed": config.train.seed}
    of_weights = {"step": weights.step, "weights": weights.kind, "fingerprint": fingerprint(weights.params)}

    def initial() -> PyTree:
        params, seed = initial_params(model, config.train.seed), config.train.seed
        if not hasattr(model, "complete"):
            return params
        return model.complete(params, model.init_carry(named_key(jax.random.key(seed), "carry")))

    return TrainedRun(name, model, weights.params, initial, config, origin | of_weights, settings.batch_size)


def _latents(model: Autoencoder, params: PyTree, levels: Levels, batch_size: int) -> tuple[Codes, Codes | None]:
    moments = jax.jit(model.moments)

    def encode(batch):
        mean, variance = moments(params, batch)
        return (mean,) if variance is None else (mean, variance)

    found = map_batches(encode, levels, batch_size, place=across_devices, whole=True)
    mean, *variance = (part.reshape(len(part), -1) for part in found)
    return mean, np.log(variance[0]) if variance else None
