"""What `vdm_jax.load` offers of a trained denoising autoencoder."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.data.dataset import Dataset
from vdm_jax.experiments.common.functions import check_number, to_pixels
from vdm_jax.experiments.dae.build import DaeExperiment
from vdm_jax.experiments.dae.denoisers import OPTIMAL, TRAINED, Known, images_of, known_daes
from vdm_jax.models.attractors import settle
from vdm_jax.models.dae import apply_dae

Pixels = Float[np.ndarray, "b h w c"]
NAMES = ("denoise", "noise", "settle")


def dae_functions(experiment: DaeExperiment, params: PyTree) -> dict[str, Callable]:
    """`denoise`, `noise` and `settle`."""
    of_model = DaeFunctions(experiment, params, experiment.data)
    return {name: getattr(of_model, name) for name in NAMES}


@dataclass(frozen=True, eq=False)
class DaeFunctions:
    """The functions of the trained DAE, and of the optimal and the linear one of the same training images.

    x are images [B, H, W, C]: levels where their dtype is an integer, otherwise pixels of any size, such as noisy ones.
    dae: "trained", "optimal" or "linear". sigma: the noise level, in the model's pixels.
    """

    experiment: DaeExperiment
    params: PyTree
    data: Dataset

    def denoise(self, x: ArrayLike, sigma: float, *, dae: str = TRAINED) -> Pixels:
        """x_hat = DAE(x), pixels [B, H, W, C]."""
        return np.asarray(apply_dae(self._known(dae, sigma).dae, self._pixels(x), float(sigma)))

    def noise(self, x: ArrayLike, sigma: float, *, dae: str = TRAINED) -> Pixels:
        """The predicted noise x - DAE(x), of deviation sigma, [B, H, W, C]."""
        return self._pixels(x) - self.denoise(x, sigma, dae=dae)

    def settle(
        self, x: ArrayLike, sigma: float, *, dae: str = OPTIMAL, eta: float | None = None, max_steps: int | None = None
    ) -> Pixels:
        """Where x' = x - eta (x - DAE(x)) ends, pixels [B, H, W, C]. Settings of None are those of the run."""
        own = self.experiment.config.attractors
        eta, max_steps = own.eta if eta is None else eta, own.max_steps if max_steps is None else max_steps
        check_number(max_steps, "max_steps")
        if not 0 < eta <= 1:
            raise UserError(f"eta={eta}; expected a number above 0 and at most 1")
        known, settings = self._known(dae, sigma), {"eta": eta, "tolerance": own.tolerance, "max_steps": max_steps}
        return settle(known.dae, self._pixels(x), float(sigma), **settings).x

    @cached_property
    def _daes(self) -> dict[str, Known]:
        return known_daes(self.experiment.model, self.params, images_of(self.experiment)[0])

    def _known(self, dae: str, sigma: float) -> Known:
        if dae not in self._daes:
            raise UserError(f"dae={dae!r}; expected one of {sorted(self._daes)}")
        known = self._daes[dae]
        if not (0 < sigma < np.inf and known.takes(sigma)):
            low, high = known.sigma_range
            raise UserError(
                f"sigma={sigma}; expected a noise level of the {dae} DAE, above 0 and in {low:g} … {high:g}"
            )
        return known

    def _pixels(self, x: ArrayLike) -> Pixels:
        x = np.asarray(x)
        if np.issubdtype(x.dtype, np.integer):
            return np.asarray(to_pixels(x, self.data))
        if x.shape[1:] != self.data.shape or not np.isfinite(x).all():
            expected = f"expected finite values [B, {', '.join(map(str, self.data.shape))}]"
            raise UserError(f"x has shape {list(x.shape)}; {expected}")
        return x.astype(np.float32)
