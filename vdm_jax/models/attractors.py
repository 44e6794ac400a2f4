"""Where x' = x - eta (x - DAE(x)) ends: attractors, which starts they attract, and what is known of two points."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vdm_jax.models.dae import Dae, Sigma, X

CHECK_EVERY = 10  # steps between two tests of convergence


class Ends(NamedTuple):
    """The ends of B starts, on the host."""

    x: Float[np.ndarray, "b ..."]
    residual: Float[np.ndarray, " b"]  # root mean square of x - DAE(x) a pixel, in the model's pixels
    num_steps: int

    def converged(self, tolerance: float) -> Bool[np.ndarray, " b"]:
        """Which of them have come to rest."""
        return self.residual <= tolerance


def step_towards(dae: Dae, x: X, sigma: Sigma, eta: Float[Array, ""]) -> X:
    """x' = x - eta (x - DAE(x)): a step against the predicted noise."""
    return x - eta * (x - dae(x, sigma))


def settle(
    dae: Dae,
    x: Float[Array | np.ndarray, "b ..."],
    sigma: float,
    *,
    eta: float,
    tolerance: float,
    max_steps: int,
) -> Ends:
    """Repeats `step_towards` until the residual of every start is at most `tolerance`, at most `max_steps` times.

    dae: a pytree such as `jax.tree_util.Partial`, whose arrays are arguments of the compiled step. Steps are dispatched
    one by one: convolutions inside a compiled loop are slow on a CPU.
    """
    x, sigma, eta = jnp.asarray(x, jnp.float32), jnp.float32(sigma), jnp.float32(eta)
    taken = 0
    while True:
        residual = None
        for _ in range(min(CHECK_EVERY, max_steps - taken)):
            x, residual = _one_step(dae, x, sigma, eta)
            taken += 1
        if taken >= max_steps or residual is None or float(residual.max()) <= tolerance:
            break
    _, residual = _one_step(dae, x, sigma, eta)
    return Ends(np.asarray(x), np.asarray(residual), taken)


@jax.jit
def _one_step(dae: Dae, x: X, sigma: Sigma, eta: Float[Array, ""]) -> tuple[X, Float[Array, " b"]]:
    after = step_towards(dae, x, sigma, eta)
    return after, jnp.sqrt(jnp.mean(((after - x) / eta).reshape(len(x), -1) ** 2, axis=1))


def distinct(x: Float[np.ndarray, "b ..."], within: float) -> Int[np.ndarray, " b"]:
    """The number of the group of each x: that of the first group whose first member is nearer than `within`, a root
    mean square a pixel. Groups are numbered as they appear."""
    flat = x.reshape(len(x), int(np.prod(x.shape[1:])))  # of no x, too
    group, firsts = np.zeros(len(x), np.int32), np.zeros((0, flat.shape[1]), flat.dtype)
    for i, each in enumerate(flat):
        near = np.flatnonzero(((firsts - each[None]) ** 2).mean(1) < within**2)
        if not near.size:
            firsts = np.concatenate([firsts, each[None]])
        group[i] = near[0] if near.size else len(firsts) - 1
    return group


def nearest_image(
    data: Float[np.ndarray, "n d"], x: Float[np.ndarray, "b d"]
) -> tuple[Int[np.ndarray, " b"], Float[np.ndarray, " b"]]:
    """The index of the image nearest to each x, and their distance, root mean square a pixel."""
    squares = (x**2).sum(1)[:, None] - 2 * x @ data.T + (data**2).sum(1)[None]
    index = squares.argmin(1).astype(np.int32)
    return index, np.sqrt(((x - data[index]) ** 2).mean(1))


# ---- what is known --------------------------------------------------------------------------------------------------


def two_point_attractor(a: float, sigma: float) -> float:
    """The attractor x* >= 0 of the optimal DAE of the two points ±a: x* = a tanh(a x*/sigma²).

    There are two attractors ±x* where a² > sigma², and otherwise the single one 0. x* is below a, and tends to it as
    sigma -> 0.
    """
    if a**2 <= sigma**2:
        return 0.0
    low, high = 0.0, a
    for _ in range(200):  # a tanh(a x/sigma²) - x is above 0 below the root, and below 0 above it
        middle = (low + high) / 2
        low, high = (middle, high) if a * math.tanh(a * middle / sigma**2) > middle else (low, middle)
    return (low + high) / 2


def merging_sigmas(data: Float[np.ndarray, "n d"]) -> dict[str, float]:
    """Sigmas at which images no longer are attractors of their own, of the optimal DAE.

    of_the_mean: √lambda_1, the largest deviation of the data along a direction. Above it the mean is a stable fixed
    point where the data are symmetric about it, as two points are; of other data there is one near the mean, and this
    holds roughly. single: the largest distance of an image to the mean. Above it the DAE is a contraction, with one
    attractor.
    """
    centred = data.astype(np.float64) - data.astype(np.float64).mean(0)[None]
    largest = np.linalg.svd(centred, compute_uv=False)[0] / math.sqrt(len(data))
    return {"of_the_mean": float(largest), "single": float(np.sqrt((centred**2).sum(1)).max())}


def on_the_line(
    pair: Float[np.ndarray, "2 d"], settle_from: Callable[[Float[np.ndarray, "b d"]], Float[np.ndarray, "b d"]]
) -> tuple[float, float]:
    """(a, x*) of two images of any size, at ±a on the line through them: x* is where the start at the first one ends.

    settle_from: starts [B, D] to ends, of the optimal DAE of the two.
    """
    half = (pair[0] - pair[1]) / 2
    a = float(np.linalg.norm(half))
    end = settle_from(pair[:1])[0]
    return a, float((end - pair.mean(0)) @ half / a)
