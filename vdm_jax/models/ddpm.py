"""DDPM in pixels as pure functions: an unconditional denoiser, a fixed table of noise, the simple loss."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Integer, Key, PyTree

from vdm_jax.base.images import to_pixels
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.gaussian import EpsFn, expand
from vdm_jax.diffusion.objective import denoising_losses, to_eps, vdm_losses
from vdm_jax.diffusion.schedules import Schedule, first_alike, noisy_entries
from vdm_jax.diffusion.times import stratified_times, to_entries
from vdm_jax.models.vae_vdm import image_by_image, metrics_of
from vdm_jax.networks.network import Network

OF_A_CODE = ("rate", "distortion")  # of `metrics_of`: without a code the one is 0 and the other is the bound


@dataclass(frozen=True, eq=False)
class Ddpm:
    """Plain objects and what follows from them (Ho et al. 2020). `params`: {"unet": …}."""

    unet: Network
    fixed_schedule: Schedule
    target: str  # what the network predicts: one of `objective.TARGETS`
    weighting: str  # of the loss; "simple" is DDPM's
    pixel_values: Float32[np.ndarray, " k"]
    image_shape: tuple[int, int, int]

    @property
    def num_dims(self) -> int:
        """D, the number of values in an image."""
        return int(np.prod(self.image_shape))

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Fresh parameters."""
        return {"unet": self.unet.init(named_key(key, "unet"))}

    def schedule(self, _: PyTree) -> Schedule:
        """gamma(t); no parameter changes it."""
        return self.fixed_schedule

    def eps_fn(self, params: PyTree, w: Float[Array, "b d"] | None = None, key: Key[Array, ""] | None = None) -> EpsFn:
        """eps_hat(z_t, t); a key switches dropout on. A code of no dimension, as the jobs hand it over, is none."""
        code = w if w is not None and w.shape[-1] else None

        def eps_hat(z_t, t):
            gamma_t = self.fixed_schedule.gamma(t)
            prediction = self.unet.apply(params["unet"], z_t, self._trained_time(t), code, key=key)
            # x tells no eps where there is no noise; 0 says that z is x
            without = jnp.isneginf(gamma_t)
            eps = to_eps(self.target, prediction, z_t, jnp.where(without, 0.0, gamma_t))
            return jnp.where(jnp.isneginf(expand(gamma_t, z_t)), 0.0, eps)

        return eps_hat

    @cached_property
    def entries(self) -> Int[np.ndarray, " m"]:
        """The timesteps that are trained: all; where no bound weighs them, those at which the schedule adds noise."""
        schedule = self.fixed_schedule
        return noisy_entries(schedule) if schedule.no_bound else np.arange(1, schedule.num_steps + 1)

    def _trained_time(self, t: Float[Array, " b"]) -> Float[Array, " b"]:
        """What the network is asked at instead of t: the first timestep that carries as much noise."""
        num_steps = self.fixed_schedule.num_steps
        if len(self.entries) == num_steps:
            return t
        return jnp.asarray(first_alike(self.fixed_schedule))[jnp.round(t * num_steps).astype(int)] / num_steps

    def objective(self) -> str:
        """What is minimised, in words."""
        return f"||eps - eps_hat||²/D with {self.weighting} weighting, not a bound on -log p(x)"

    def loss_fn(
        self,
        params: PyTree,
        _carry: PyTree,
        batch: dict[str, Integer[Array, "_ h w c"]],
        key: Key[Array, ""],
        _step: Any,
    ) -> tuple[Float[Array, " b"], dict[str, Array]]:
        """What training minimises, [B], of batch["levels"]; no metrics beside it."""
        x = to_pixels(batch["levels"], self.pixel_values)
        times = stratified_times(named_key(key, "times"), len(x))
        t = to_entries(times, self.entries, self.fixed_schedule.num_steps)
        eps_fn = self.eps_fn(params, key=named_key(key, "unet_dropout"))
        loss = denoising_losses(named_key(key, "noise"), x, eps_fn, self.fixed_schedule, t, weighting=self.weighting)
        return loss, {}

    def terms(
        self, params: PyTree, keys: Key[Array, " b"], t: Float[Array, " b"], batch: dict[str, Array]
    ) -> dict[str, Array]:
        """The loss of each image of batch["levels"] from its own key, for `evals.bpd`, and where one is defined the
        bound on -log p(x), its terms and `bpd`, from the same draw."""
        schedule, eps_fn = self.fixed_schedule, self.eps_fn(params)
        settings = {"weighting": self.weighting}

        def one(key, t, levels):
            x = to_pixels(levels, self.pixel_values)
            if schedule.no_bound:
                return {"loss": denoising_losses(key, x, eps_fn, schedule, t, **settings)}
            losses = vdm_losses(key, x, levels, jnp.asarray(self.pixel_values), eps_fn, schedule, t, **settings)
            bound = metrics_of(losses.terms, self.num_dims)
            kept = {name: value for name, value in bound.items() if name not in OF_A_CODE}
            return {"loss": 2 * losses.trained / self.num_dims} | kept

        return image_by_image(one, keys, to_entries(t, self.entries, schedule.num_steps), batch["levels"])
