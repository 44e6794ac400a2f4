"""From a degraded image back to an image: the forward process with noise mixed in, and steps that need a restoration R.

z_t = D(x, t) + sigma_t eps with sigma_t = `noise` t. Every step keeps this law of z_s given x where R(z_t, t) is x:
z_s = D(x, s) + kappa (z_t - D(x, t)) + sqrt(sigma_s² - kappa² sigma_t²) eps. The methods are choices of kappa.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from vdm_jax.base.errors import UserError, choose
from vdm_jax.base.keys import fold_in, named_key, normal
from vdm_jax.diffusion.degradation.functions import Degrade, Images, Times

Restore = Callable[[Images, Times], Images]
"""`restore(z_t [B, H, W, C], t [B]) -> x_hat [B, H, W, C]`"""


class ForwardProcess(NamedTuple):
    """z_t = D(x, t) + sigma_t eps. noise: sigma_1 in units of the pixels that models see; 0: no noise."""

    degrade: Degrade
    noise: float = 0.0

    def sigma(self, t: Float[Array, "*b"]) -> Float[Array, "*b"]:
        """sigma_t = noise t."""
        return self.noise * t

    def draw(self, key: Key[Array, "*k"], x: Images, t: Times) -> Images:
        """z_t, with one key for the batch or one for each image."""
        z = self.degrade(x, t)
        return z if not self.noise else z + self.sigma(t)[:, None, None, None] * normal(key, x.shape)


def naive(s: float, t: float, noise: float) -> tuple[float, float]:
    """kappa = 0: z_s = D(R, s), with new noise (Bansal et al. 2022, algorithm 1)."""
    return 0.0, noise * s


def improved(s: float, t: float, noise: float) -> tuple[float, float]:
    """kappa = 1 without noise: z_s = z_t - D(R, t) + D(R, s) (Bansal et al. 2022, algorithm 2). With noise
    kappa = sigma_s/sigma_t and no new noise: what of z_t is not D(R, t) counts as noise and shrinks with it. Of a fade
    to 0 with noise this is DDIM."""
    return (s / t if noise else 1.0), 0.0


def ancestral(s: float, t: float, noise: float) -> tuple[float, float]:
    """kappa = sigma_s²/sigma_t²: of a Markov chain that adds independent noise, as DDPM's. Needs noise."""
    return (s / t) ** 2, noise * s * math.sqrt(1 - (s / t) ** 2)


METHODS = {"naive": naive, "improved": improved, "ancestral": ancestral}
"""`method(s, t, noise) -> (kappa, deviation of the new noise)`, for s < t"""

Advance = Callable[..., Images]
"""`advance(key, z_t, t [], s [], kappa [], deviation []) -> z_s`"""


def check_method(what: str, method: str, noise: float) -> None:
    """Raises `UserError` for an unknown method, and for one that needs noise where there is none. what: its setting."""
    choose(what, method, METHODS)
    if method == "ancestral" and not noise:
        raise UserError(f"{what}='ancestral' needs config.degradation.noise above 0; expected naive or improved")


def make_advance(restore: Restore, process: ForwardProcess, x_range: tuple[float, float] | None = None) -> Advance:
    """One step from z_t to z_s. x_range: x_hat is clipped to it.

    One compiled program of it serves all steps of all methods: their weights are arguments.
    """

    def advance(
        key: Key[Array, "*k"],
        z: Images,
        t: Float[Array, ""],
        s: Float[Array, ""],
        kappa: Float[Array, ""],
        deviation: Float[Array, ""],
    ) -> Images:
        before, after = jnp.full(len(z), t), jnp.full(len(z), s)
        x_hat = restore(z, before)
        x_hat = x_hat if x_range is None else jnp.clip(x_hat, *x_range)
        z_s = process.degrade(x_hat, after) + kappa * (z - process.degrade(x_hat, before))
        return z_s + deviation * normal(key, z.shape) if process.noise else z_s

    return advance


def restore_by_steps(
    key: Key[Array, "*k"],
    advance: Advance,
    z: Images,
    times: Float[np.ndarray, " n"],
    method: str = "improved",
    noise: float = 0.0,
    keep: tuple[int, ...] = (),
) -> tuple[Images, list[Images]]:
    """z at times[-1] from z at times[0], and z at times[k] for every k of `keep`.

    Args:
        key: one for the batch, or keys [B].
        advance: of `make_advance`.
        times: descending, the last 0 (see `even_times`). The loop over them is not compiled: convolutions inside of a
            compiled loop are slow on CPUs.
        method: one of `METHODS`.
        noise: of the forward process.

    Raises:
        UserError: the method is unknown, or needs noise.
    """
    check_method("method", method, noise)
    key, kept = named_key(key, "chain"), {0: z}
    for i, (t, s) in enumerate(zip(times[:-1].tolist(), times[1:].tolist(), strict=True)):
        weights = METHODS[method](s, t, noise)
        z = advance(fold_in(key, i), z, *(jnp.float32(value) for value in (t, s, *weights)))
        if i + 1 in keep:
            kept[i + 1] = z
    return z, [kept[k] for k in keep]


def even_times(num_steps: int, chain: int) -> Float[np.ndarray, " n"]:
    """N + 1 distinct times from 1 to 0 among k/T, k = 0 … T = `chain`, evenly spread. Raises `UserError` for N > T."""
    if num_steps > chain:
        raise UserError(f"{num_steps} steps; config.degradation.num_steps={chain}: expected at most as many")
    return np.round(np.linspace(chain, 0, num_steps + 1)) / chain
