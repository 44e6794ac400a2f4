"""What the jobs ask of a trained model, whatever its kind."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.diffusion.gaussian import EpsFn
from vdm_jax.diffusion.schedules import Schedule


@runtime_checkable
class Diffuser(Protocol):
    """Parameters, a schedule, and eps_hat under codes w, [N, 0] where the model has none."""

    pixel_values: np.ndarray
    image_shape: tuple[int, int, int]

    def init(self, key: Key[Array, ""]) -> PyTree: ...

    def schedule(self, params: PyTree) -> Schedule: ...

    def eps_fn(self, params: PyTree, w: Float[Array, "b d"], key: Key[Array, ""] | None = None) -> EpsFn: ...
