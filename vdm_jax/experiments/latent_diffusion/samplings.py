"""Ways to sample: a sampler, its number of steps, where these are spent, and where the chain starts.

Written SAMPLER:STEPS[:TIMES[:START]], such as ancestral:50, ddim:20:information or ancestral:100:time:gaussian.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vdm_jax.base.errors import UserError, choose
from vdm_jax.diffusion.samplers import SAMPLERS, SPACINGS, make_times, times_through
from vdm_jax.diffusion.schedules import Schedule, make_schedule

NOISE, GAUSSIAN, MIXTURE = "noise", "gaussian", "mixture"
INFORMATION, COSINE = "information", "cosine"
TIMES = {
    **dict.fromkeys(SPACINGS, "as sample.grid"),
    COSINE: "the noise levels of a cosine schedule at even times",
    INFORMATION: "each step loses the same part of what z_t says of the features, by the exact curves",
}
STARTS = {
    NOISE: "z_1 ~ N(0, I)",
    GAUSSIAN: "z_t at the edge of the features ~ the Gaussian with its mean and covariance",
    MIXTURE: "the same with a mixture of Gaussians fitted to z_t there",
}
EDGE = "5%"  # the edge of the features: no more than this share of any of them remains


class Sampling(NamedTuple):
    """A way to sample."""

    sampler: str
    num_steps: int  # from noise; a start at the edge leaves those above it out
    times: str
    start: str

    @property
    def needs_curves(self) -> bool:
        """Whether exact curves decide where it goes."""
        return self.times == INFORMATION or self.start != NOISE


class Curves(NamedTuple):
    """Of exact curves of the space: what z_t says of all features, by noise level, and their edge.

    gammas: ascending. nats: the information of all features together, as a sum. edge: gamma at the edge.
    """

    gammas: Float[np.ndarray, " m"]
    nats: Float[np.ndarray, " m"]
    edge: float


def samplings_of(text: str) -> dict[str, Sampling]:
    """The samplings of a list by their text. {} for an empty one. Raises `UserError`."""
    found = {}
    for each in filter(None, map(str.strip, text.split(","))):
        sampler, *rest = each.split(":")
        choose("config.quality.samplers: sampler", sampler, SAMPLERS)
        if not 1 <= len(rest) <= 3 or not rest[0].isdecimal() or not int(rest[0]):
            raise UserError(f"config.quality.samplers: {each!r}; expected SAMPLER:STEPS[:TIMES[:START]], as ddim:50")
        times, start = (*rest[1:], *("time", NOISE)[len(rest) - 1 :])
        choose(f"config.quality.samplers: times of {each!r}", times, TIMES)
        choose(f"config.quality.samplers: start of {each!r}", start, STARTS)
        found[each] = Sampling(sampler, int(rest[0]), times, start)
    return found


def curves_of(exact: Mapping[str, Any]) -> Curves:
    """Of exact.json."""
    abar = np.asarray(exact["abar"], np.float64)
    noisy = (abar < 1) & (abar > 0)
    nats = sum(np.asarray(own["exact"]["information_nats"], np.float64) for own in exact["features"].values())
    gammas = np.log1p(-abar[noisy]) - np.log(abar[noisy])
    edges = [own["windows"][EDGE] for own in exact["features"].values() if own["windows"][EDGE] is not None]
    if not edges:
        raise UserError(f"the exact curves state no timestep at which {EDGE} of a feature remain; name others")
    edge = np.interp(max(edges), np.asarray(exact["timesteps"], np.float64)[noisy], gammas)
    return Curves(gammas, np.minimum.accumulate(nats[noisy]), float(edge))


def times_of(sampling: Sampling, schedule: Schedule, curves: Curves | None) -> Float[np.ndarray, " n"]:
    """The descending times of a sampling, the first being its start."""
    share = np.arange(1, sampling.num_steps) / sampling.num_steps  # of the way from noise to data
    if sampling.times == INFORMATION:
        lost = curves.nats[-1] + share * (curves.nats[0] - curves.nats[-1])
        rising = curves.nats[::-1] + np.arange(len(curves.nats)) * 1e-9  # flat stretches have one place
        times = times_through(schedule, jnp.asarray(np.interp(lost, rising, curves.gammas[::-1]), jnp.float32))
    elif sampling.times == COSINE:
        times = times_through(schedule, make_schedule("cosine_continuous").gamma(jnp.asarray(1 - share, jnp.float32)))
    else:
        times = make_times(schedule, sampling.num_steps, sampling.times)
    times = np.asarray(times)
    if sampling.start == NOISE:
        return times
    edge = edge_time(schedule, curves)
    return np.append(edge, times[times < edge])


def edge_time(schedule: Schedule, curves: Curves) -> np.float32:
    """The time at which the features end, on a table one of its entries."""
    return np.asarray(times_through(schedule, jnp.asarray([curves.edge], jnp.float32)))[1]
