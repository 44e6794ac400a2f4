"""From a degraded image back to an image: the forward process with noise mixed in, and steps that need a restoration R.

z_t = D(x, t) + sigma_t eps with sigma_t = `noise` t. Every step keeps this law of z_s given x where R(z_t, t) is x:
z_s = D(x, s) + kappa (z_t - D(x, t)) + sqrt(sigma_s² - kappa² sigma_t²) eps. The methods are choices of kappa.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
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


def naive(s: Times, t: Times, noise: float) -> tuple[Times, Times]:
    """kappa = 0: z_s = D(R, s), with new noise (Bansal et al. 2022, algorithm 1)."""
    return jnp.zeros_like(s), noise * s


def improved(s: Times, t: Times, noise: float) -> tuple[Times, Times]:
    """kappa = 1 without noise: z_s = z_t - D(R, t) + D(R, s) (Bansal et al. 2022, algorithm 2). With noise
    kappa = sigma_s/sigma_t and no new noise: what of z_t is not D(R, t) counts as noise and shrinks with it. Of a fade
    to 0 with noise this is DDIM."""
    return (s / t if noise else jnp.ones_like(s)), jnp.zeros_like(s)


def ancestral(s: Times, t: Times, noise: float) -> tuple[Times, Times]:
    """kappa = sigma_s²/sigma_t²: of a Markov chain that adds independent noise, as DDPM's. Needs noise."""
    return (s / t) ** 2, noise * s * jnp.sqrt(1 - (s / t) ** 2)


METHODS = {"naive": naive, "improved": improved, "ancestral": ancestral}
"""`method(s [B], t [B], noise) -> (kappa [B], deviation of new noise [B])`"""


def check_method(what: str, method: str, noise: float) -> None:
    """Raises `UserError` for an unknown method, and for one that needs noise where there is none. what: its setting."""
    choose(what, method, METHODS)
    if method == "ancestral" and not noise:
        raise UserError(f"{what}='ancestral' needs config.degradation.noise above 0; expected naive or improved")


def step(
    key: Key[Array, "*k"], method: str, process: ForwardProcess, z: Images, x_hat: Images, t: Times, s: Times
) -> Images:
    """z_s from z_t and x_hat = R(z_t, t), for s < t."""
    kappa, deviation = METHODS[method](s, t, process.noise)
    z_s = process.degrade(x_hat, s) + kappa[:, None, None, None] * (z - process.degrade(x_hat, t))
    if not process.noise or method == "improved":
        return z_s
    return z_s + deviation[:, None, None, None] * normal(key, z.shape)


def restore_by_steps(
    key: Key[Array, "*k"],
    restore: Restore,
    process: ForwardProcess,
    z: Images,
    times: Float[Array, " n"],
    method: str = "improved",
    keep: tuple[int, ...] = (),
    x_range: tuple[float, float] | None = None,
) -> tuple[Images, Float[Array, "k b h w c"]]:
    """z at times[-1] from z at times[0], and z at times[k] for every k of `keep`, [K, B, H, W, C].

    Args:
        key: one for the batch, or keys [B].
        times: descending, the last 0 (see `even_times`).
        method: one of `METHODS`.
        x_range: x_hat is clipped to it at every step.

    Raises:
        UserError: the method is unknown, or needs noise.
    """
    check_method("method", method, process.noise)
    slots = np.full(times.size, len(keep))
    slots[list(keep)] = np.arange(len(keep))

    def body(carry, inputs):
        z, kept = carry
        i, slot, t, s = inputs
        t, s = jnp.full(len(z), t), jnp.full(len(z), s)
        x_hat = restore(z, t)
        x_hat = x_hat if x_range is None else jnp.clip(x_hat, *x_range)
        z = step(fold_in(key, i), method, process, z, x_hat, t, s)
        return (z, kept.at[slot].set(z)), None

    key = named_key(key, "chain")
    kept = jnp.zeros((len(keep) + 1, *z.shape), z.dtype).at[slots[0]].set(z)
    inputs = jnp.arange(times.size - 1), jnp.asarray(slots[1:]), times[:-1], times[1:]
    (z, kept), _ = jax.lax.scan(body, (z, kept), inputs)
    return z, kept[:-1]


def even_times(num_steps: int) -> Float[Array, " n"]:
    """N + 1 times from 1 to 0."""
    return jnp.linspace(1.0, 0.0, num_steps + 1)
