"""A restoration R of degraded images as pure functions: its loss, its steps, and what it is trained on."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.errors import choose
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.degradation.chains import ForwardProcess, Restore, make_advance, restore_by_steps
from vdm_jax.diffusion.degradation.functions import Images, Times
from vdm_jax.diffusion.likelihood import LevelLikelihood
from vdm_jax.diffusion.times import stratified_times, to_steps
from vdm_jax.networks.network import Network

LOSSES = {"squared": jnp.square, "absolute": jnp.abs}
"""Of x - x_hat. The best R is the mean of p(x | z_t) under the first, its median pixel by pixel under the second."""


@dataclass(frozen=True, eq=False)
class RestorationModel:
    """Plain objects and what follows from them; a static argument of what is compiled.

    network: x_hat = network(z_t, t). process: z_t of x. num_steps: T; R is trained at t = 1/T, 2/T … 1.
    shape: of one image. loss: one of `LOSSES`. x_range: of pixel values; x_hat is clipped to it in chains.
    """

    network: Network
    process: ForwardProcess
    num_steps: int
    shape: tuple[int, ...]
    likelihood: LevelLikelihood
    loss: str = "squared"
    x_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        choose("degradation.loss", self.loss, LOSSES)

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Fresh parameters: "restorer"."""
        return {"restorer": self.network.init(named_key(key, "restorer"))}

    def restore(self, params: PyTree) -> Restore:
        """R: (z_t [B, H, W, C], t [B]) -> x_hat."""
        return partial(self.network.apply, params["restorer"])

    def restored(self, params: PyTree, z: Images, t: Times) -> Images:
        """R(z_t, t), compiled."""
        return _restored(self, params, z, t)

    def times(self, u: Float[Array, " b"]) -> Times:
        """The times k/T, k = 1 … T, of u in [0, 1)."""
        return to_steps(u, self.num_steps)

    def describe_objective(self) -> str:
        """What is minimised, in words."""
        return f"{self.loss} error of R(z_t, t) per pixel, at t = 1/{self.num_steps} … 1"

    def loss_fn(
        self, params: PyTree, carry: PyTree, batch: dict[str, Array], key: Key[Array, ""], step: Any
    ) -> tuple[Float[Array, " b"], dict[str, Any]]:
        """The error per pixel of each image of the batch "levels" at a random time, [B]. The times of a batch are
        stratified. No metrics."""
        x = self.likelihood.to_x(batch["levels"])
        times = self.times(stratified_times(named_key(key, "times"), len(x)))
        z = self.process.draw(named_key(key, "eps"), x, times)
        x_hat = self.network.apply(params["restorer"], z, times, key=named_key(key, "dropout"))
        return LOSSES[self.loss](x - x_hat).mean((1, 2, 3)), {}

    def terms(
        self, params: PyTree, keys: Key[Array, " b"], t: Float[Array, " b"], batch: dict[str, Array]
    ) -> dict[str, Array]:
        """ "loss" and "squared_error" per pixel of each image of the batch "levels", [B]. t: in [0, 1)."""
        x, times = self.likelihood.to_x(batch["levels"]), self.times(t)
        z = self.process.draw(named_key(keys, "eps"), x, times)
        off = x - self.restore(params)(z, times)
        return {"loss": LOSSES[self.loss](off).mean((1, 2, 3)), "squared_error": (off**2).mean((1, 2, 3))}

    def run_back(
        self,
        params: PyTree,
        keys: Key[Array, "*k"],
        z: Images,
        times: Float[np.ndarray, " n"],
        method: str,
        *,
        clip: bool = True,
        keep: tuple[int, ...] = (),
    ) -> tuple[Images, list[Images]]:
        """`restore_by_steps` of this model, one compiled program for all steps and methods."""
        advance = partial(_advance, self, self.x_range if clip else None, params)
        return restore_by_steps(keys, advance, z, times, method, self.process.noise, keep)


@partial(jax.jit, static_argnums=(0, 1))
def _advance(
    model: RestorationModel, x_range: tuple[float, float] | None, params: PyTree, key: Key[Array, "*k"], *inputs: Array
) -> Images:
    return make_advance(model.restore(params), model.process, x_range)(key, *inputs)


@partial(jax.jit, static_argnums=0)
def _restored(model: RestorationModel, params: PyTree, z: Images, t: Times) -> Images:
    return model.restore(params)(z, t)
