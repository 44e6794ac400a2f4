"""Ways to sample: a sampler, its number of steps, where these are spent, and where the chain starts.

Written SAMPLER:STEPS[:TIMES[:START]], such as ancestral:50, ddim:20:information or ancestral:100:time:gaussian.
"""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vdm_jax.base.errors import UserError, choose
from vdm_jax.diffusion.samplers import SAMPLERS, SPACINGS, make_times, times_through
from vdm_jax.diffusion.schedules import Schedule, make_schedule
from vdm_jax.launch.settings import read_config

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
MEASURED = "measure them with configs/probes.py:latents-exact --config.space.workdir=… at the same config.space.scale"
EDGE, EDGE_SHARE = "5%", 0.05  # the edge of the features: no more than this share of any of them remains
MIN_POINTS, NUM_POINTS = 3, 20_001  # noise levels of exact curves, at least; of their interpolation
MOST_GAMMA = 20.0  # of no noise, and of nothing else


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

    gammas: ascending. nats: the information of all features together, as a sum; it falls. edge: gamma at the edge.
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


def named_curves(workdir: str) -> dict[str, Any]:
    """The exact.json in the folder that `config.quality.exact` names. Raises `UserError` where there is none."""
    path = pathlib.Path(workdir) / "exact.json"
    if not path.is_file():
        raise UserError(f"config.quality.exact={workdir} has no exact.json; {MEASURED}")
    return read_config(path)


def curves_of(exact: Mapping[str, Any]) -> Curves:
    """Of the content of an exact.json.

    The information between its timesteps is a monotone cubic of abar, as windows are (`probing/windows.py`). Raises
    `UserError` where it is no such record, or where no feature ends.
    """
    from scipy.interpolate import PchipInterpolator

    try:
        features = exact["features"]
        edges = {name: own["windows_logsnr"][EDGE] for name, own in features.items() if own["held"] > EDGE_SHARE}
        nats = sum(np.asarray(own["exact"]["information_nats"], np.float64) for own in features.values())
        abar, first = np.unique(np.asarray(exact["abar"], np.float64)[::-1], return_index=True)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"not the exact curves of a space ({error!r}); measure them anew, --jobs=exact") from error
    if lasting := [name for name, edge in edges.items() if edge is None]:
        why = f"{lasting[0]!r} has no timestep at which {EDGE} of it remain"
        raise UserError(f"the exact curves end too early: {why}; name those of a longer chain")
    if not edges or len(abar) < MIN_POINTS:
        raise UserError(f"the exact curves have {len(edges)} features in the space and {len(abar)} noise levels")
    gammas = np.linspace(*(_gamma(each) for each in (abar[-1], abar[0])), NUM_POINTS)
    known = PchipInterpolator(abar, np.maximum.accumulate(nats[::-1][first]))
    fine = np.minimum.accumulate(known(np.clip(1 / (1 + np.exp(gammas)), abar[0], abar[-1])))
    return Curves(gammas, fine, -min(edges.values()))


def _gamma(abar: float) -> float:
    with np.errstate(divide="ignore"):
        return float(np.clip(np.log1p(-abar) - np.log(abar), -MOST_GAMMA, MOST_GAMMA))


def times_of(sampling: Sampling, schedule: Schedule, curves: Curves | None) -> Float[np.ndarray, " n"]:
    """The descending times of a sampling, the first being its start. Raises `UserError` for more steps than the
    schedule has entries with noise."""
    share = np.arange(1, sampling.num_steps) / sampling.num_steps  # of the way from noise to data
    if sampling.times in SPACINGS:
        times = make_times(schedule, sampling.num_steps, sampling.times)
    elif sampling.times == COSINE:
        times = _through(schedule, np.asarray(make_schedule("cosine_continuous").gamma(jnp.asarray(1 - share))))
    else:
        rising = curves.nats[::-1] + np.arange(len(curves.nats)) * 1e-9  # flat stretches have one place
        known = rising[0] + share * (rising[-1] - rising[0])
        times = _through(schedule, np.interp(known, rising, curves.gammas[::-1]))
    times = np.asarray(times)
    if sampling.start == NOISE:
        return times
    edge = edge_time(schedule, curves)
    return np.append(edge, times[times < edge])


def check_times(sampling: Sampling, schedule: Schedule) -> None:
    """What can be judged without curves. Raises `UserError` for more steps than the schedule has entries with noise,
    and for times by log SNR where the first entries have none."""
    make_times(schedule, sampling.num_steps, sampling.times if sampling.times in SPACINGS else "time")
    if schedule.no_bound and sampling.times in (COSINE, INFORMATION):
        raise UserError(f"times by {sampling.times} need noise at every entry of the schedule; use another schedule")


def _through(schedule: Schedule, gammas: Float[np.ndarray, " m"]) -> Float[Array, " n"]:
    return times_through(schedule, jnp.asarray(gammas, jnp.float32))


def edge_time(schedule: Schedule, curves: Curves) -> np.float32:
    """The time at which the features end, on a table one of its entries."""
    return np.asarray(_through(schedule, np.array([curves.edge])))[1]
