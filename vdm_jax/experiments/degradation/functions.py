"""What `vdm_jax.load` offers of a trained restoration: plain functions with its parameters bound."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Integer, Key, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import named_key
from vdm_jax.data.dataset import Dataset
from vdm_jax.experiments.common.functions import check_number, nearest_levels, to_pixels
from vdm_jax.experiments.degradation.build import RestorationExperiment
from vdm_jax.experiments.degradation.generate import generate_restored
from vdm_jax.experiments.degradation.samplings import Generation, check_generation
from vdm_jax.experiments.degradation.starts import make_starts
from vdm_jax.models.degradation import RestorationModel

NAMES = ("degrade", "restore", "sample")
SETTING = "sample"


def restoration_functions(experiment: RestorationExperiment, params: PyTree) -> dict[str, Callable]:
    """`degrade`, `restore` and `sample`."""
    config = experiment.config
    of_model = RestorationFunctions(
        experiment.model, params, experiment.data, config.sample, dict(config.start.items()), config.sample.batch_size
    )
    return {name: getattr(of_model, name) for name in NAMES}


@dataclass(frozen=True, eq=False)
class RestorationFunctions:
    """The functions of one model with its parameters. Images x are levels where their dtype is an integer, pixel values
    where it is floating point; z are pixel values [B, H, W, C] of any size. What is None is that of the config."""

    model: RestorationModel
    params: PyTree
    data: Dataset
    settings: ConfigDict  # config.sample
    fitting: dict[str, Any]  # of `make_starts`
    batch_size: int

    def degrade(self, x: ArrayLike, t: float, key: Key[Array, ""] | None = None) -> Float[np.ndarray, "b h w c"]:
        """z_t of images x [B, H, W, C]; D(x, t), without the noise, where there is no key."""
        pixels, times = to_pixels(x, self.data), self._times(t, len(np.asarray(x)))
        process = self.model.process
        return np.asarray(process.degrade(pixels, times) if key is None else process.draw(key, pixels, times))

    def restore(self, z: ArrayLike, t: float) -> Float[np.ndarray, "b h w c"]:
        """R(z_t, t), pixel values."""
        z = jnp.asarray(z, jnp.float32)
        if z.shape[1:] != self.model.shape:
            raise UserError(f"z has shape {list(z.shape)}; expected [B, {', '.join(map(str, self.model.shape))}]")
        return np.asarray(self.model.restored(self.params, z, self._times(t, len(z))))

    def sample(
        self,
        key: Key[Array, ""],
        n: int,
        *,
        method: str | None = None,
        num_steps: int | None = None,
        start: str | None = None,
    ) -> Integer[np.ndarray, "n h w c"]:
        """n images as levels. method: "naive", "improved", "ancestral". start: "data", "gaussian", "mixture"."""
        check_number(n)
        given = (method or self.settings.method, num_steps or self.settings.num_steps, start or self.settings.start)
        way, process = Generation(*given), self.model.process
        check_generation(way, SETTING, self.model.num_steps, process.noise)
        draw = make_starts([way.start], self.data, process, seed=self.settings.seed, **self.fitting)[way.start]
        common = {"batch_size": self.batch_size}
        batches = generate_restored(self.model, self.params, named_key(key, "sample"), n, way, draw, **common)
        return nearest_levels(np.concatenate([pixels for pixels, _ in batches]), self.data)

    def _times(self, t: float, number: int) -> Float[Array, " b"]:
        if not 0 <= t <= 1:
            raise UserError(f"t={t}; expected a time in [0, 1]")
        return jnp.full(number, t, jnp.float32)
