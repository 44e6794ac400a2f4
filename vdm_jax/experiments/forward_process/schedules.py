"""The job `schedules`: beta, abar and log SNR of every schedule, and the log SNR of the images of a data set."""

import pathlib
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vdm_jax.base.files import write_json, write_npz
from vdm_jax.base.images import to_pixels
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.experiments.forward_process.build import ForwardExperiment
from vdm_jax.experiments.forward_process.origin import origin

RECORD, ARRAYS = "schedules.json", "schedules.npz"


class Table(NamedTuple):
    """beta, abar and log SNR = -gamma of a table at i = 1 … T; log SNR is infinite where there is no noise."""

    beta: Float[np.ndarray, " T"]
    abar: Float[np.ndarray, " T"]
    logsnr: Float[np.ndarray, " T"]


def table_of(schedule: Schedule) -> Table:
    """The numbers of a table, from its gamma: abar = sigmoid(-gamma), beta_i = 1 - abar_i/abar_{i-1}, abar_0 = 1."""
    gamma = np.asarray(schedule.gamma(jnp.arange(1, schedule.num_steps + 1) / schedule.num_steps), np.float64)
    log_abar = -np.logaddexp(0.0, gamma)
    return Table(-np.expm1(np.diff(log_abar, prepend=0.0)), np.exp(log_abar), -gamma)


def log_power(x: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, " n"]:
    """log of the mean of x² of each image: log SNR(x, t) = log_power(x) - gamma_t (Deja et al. 2022)."""
    return np.log(np.square(x.astype(np.float64)).reshape(len(x), -1).mean(1))


def first_below(values: Float[np.ndarray, " T"]) -> int | None:
    """The first i = 1 … T from which on values, which fall, are below 0; None: they stay above."""
    below = np.flatnonzero(values < 0)
    return int(below[0]) + 1 if len(below) else None


def schedules(experiment: ForwardExperiment, workdir: pathlib.Path) -> str:
    """Writes `schedules.json` and the tables in `schedules.npz`; returns "done".

    log SNR of the data: that of x² (Deja et al.), whose mean over images is added to that of the schedule and whose
    deviation is the same at every timestep; and that of x less the mean image, which an observer who knows the data
    does not know.
    """
    data = experiment.data
    x = np.asarray(to_pixels(data.train.levels, data.pixel_values))
    powers = {"x": log_power(x), "x less the mean image": log_power(x - x.mean(0))}
    of_data = {name: {"mean": float(power.mean()), "deviation": float(power.std())} for name, power in powers.items()}
    tables = {name: table_of(schedule) for name, schedule in experiment.tables.items()}
    found = {}
    for name, table in tables.items():
        found[name] = {
            "abar_T": float(table.abar[-1]),
            "half": first_below(table.abar - 0.5),  # abar < 1/2
            "snr_below_1": {each: first_below(table.logsnr + about["mean"]) for each, about in of_data.items()},
        }
    (workdir / RECORD).unlink(missing_ok=True)
    parts = {f"{name}: {part}": values for name, table in tables.items() for part, values in table._asdict().items()}
    write_npz(workdir / ARRAYS, parts)
    record = {"num_steps": experiment.config.schedules.num_steps, "schedules": found, "log_power": of_data}
    write_json(workdir / RECORD, record | {"num_images": len(x)} | origin(experiment, 0))
    return "done"
