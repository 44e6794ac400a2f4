"""What `vdm_jax.load` offers of a trained latent diffusion model: plain functions with its parameters bound."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Integer, Key, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import named_key
from vdm_jax.base.space import Space
from vdm_jax.diffusion.objective import Terms
from vdm_jax.evals.batches import map_batches
from vdm_jax.experiments.common.evaluate import sampling
from vdm_jax.experiments.common.functions import DiffusionFunctions, check_number, nearest_levels, to_levels
from vdm_jax.experiments.latent_diffusion.build import LatentExperiment
from vdm_jax.experiments.latent_diffusion.latents import make_decoder
from vdm_jax.models.generate import generate

Levels = Integer[np.ndarray, "b h w c"]
Latents = Float[np.ndarray, "b ..."]
NAMES = ("encode", "decode", "sample", "sample_latents", "bound", "denoise")


def latent_functions(experiment: LatentExperiment, params: PyTree) -> dict[str, Callable]:
    """`encode`, `decode`, `sample`, `sample_latents`, `bound` and `denoise`."""
    config = experiment.config
    of_model = LatentFunctions(
        experiment.model,
        params,
        experiment.data,
        sampling(config.sample),
        config.evaluate.batch_size,
        experiment.space.space,
    )
    return {name: getattr(of_model, name) for name in NAMES}


@dataclass(frozen=True, eq=False)
class LatentFunctions(DiffusionFunctions):
    """The functions of one model of latents with its parameters.

    Latents x are those of the scaled space, [B, *shape]. Images are levels where their dtype is an integer, pixel
    values where it is floating point; images that are returned are levels, [N, H, W, C].
    """

    space: Space

    def encode(self, x: ArrayLike) -> tuple[Latents, Latents | None]:
        """Mean and log variance of q(x | image), [B, *shape] each; None for the latter where the code has no noise."""
        encode_batch = partial(_moments, self.space.moments, self.space.params)
        mean, *variance = map_batches(encode_batch, to_levels(x, self.data), self.batch_size)
        return mean, np.log(variance[0]) if variance else None

    def decode(self, x: ArrayLike) -> Levels:
        """The images of latents x [B, *shape]."""
        return nearest_levels(self._decoder(self._latents(x)), self.data)

    def sample(
        self, key: Key[Array, ""], n: int, *, sampler: str | None = None, num_steps: int | None = None
    ) -> Levels:
        """n images, [n, H, W, C]: decoded `sample_latents`."""
        return self.decode(self.sample_latents(key, n, sampler=sampler, num_steps=num_steps))

    def sample_latents(
        self, key: Key[Array, ""], n: int, *, sampler: str | None = None, num_steps: int | None = None
    ) -> Latents:
        """n latents from fresh noise, [n, *shape].

        sampler: "ancestral", "ancestral_beta", "ddim" or "dpmpp_2m".
        """
        check_number(n)
        settings: dict[str, Any] = self.settings | self._chosen(sampler, num_steps)
        return generate(self.model, self.params, named_key(key, "sample"), n, **settings)

    def bound(self, key: Key[Array, ""], x: ArrayLike, *, passes: int = 1) -> Terms:
        """The bound on -log p(x) of latents x [B, *shape], a density: `Terms(reconstruction, prior, diffusion,
        encoder_kl)`, [B] each, nats. encoder_kl is 0. Averaged over `passes` draws of noise and time.

        Raises `UserError` where no bound is defined (Dirac schedule).
        """
        return self._bound(key, {"levels": self._latents(x)}, passes)

    @cached_property
    def _decoder(self) -> Callable[[Latents], Float[np.ndarray, "n h w c"]]:
        return make_decoder(self.space, self.batch_size)

    def _latents(self, x: ArrayLike) -> Latents:
        x, shape = np.asarray(x), tuple(self.model.shape)
        if x.shape[1:] != shape or not len(x):
            raise UserError(f"x has shape {list(x.shape)}; expected latents [B, {', '.join(map(str, shape))}]")
        if x.dtype.kind != "f" or not np.isfinite(x).all():
            raise UserError(f"x is of {x.dtype}; expected latents, floating-point numbers that are finite")
        return x.astype(np.float32)


@partial(jax.jit, static_argnums=0)
def _moments(moments: Callable[..., Any], params: PyTree, levels: Integer[Array, "b h w c"]) -> tuple[Array, ...]:
    mean, variance = moments(params, levels)
    return (mean,) if variance is None else (mean, variance)
