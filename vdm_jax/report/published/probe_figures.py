"""Figures of results/probes."""

import copy
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.compare.probe_sweep import LOGSNR, TIMESTEP, curves_figure
from vdm_jax.report.primitives.image_figures import grid_figure, path_figure
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.chain_tables import SAMPLERS
from vdm_jax.report.published.probe_tables import SCHEDULES
from vdm_jax.report.sections.chain_probes import real_or_generated_figure
from vdm_jax.report.sections.chains import backward_figure, round_trip_figure
from vdm_jax.report.sections.probe import gap_figure
from vdm_jax.report.sections.timeline import timeline_figure

SHORTFALL = 0.05  # the gap above which a probe is flagged, `probe.shortfall`


def timeline(folder: Path) -> Figure:
    """All windows at 32x32: exact, trained probes, decided by posterior draws."""
    run = Workdir(folder / "quick")
    series = {
        "destroyed: exact posterior": run.exact["features"],
        "destroyed: trained probes": run.probe["features"],
        "decided: posterior draws": run.chains["samplers"]["exact"]["features"],
    }
    series = {label: {name: found[name] for name in run.probe["features"]} for label, found in series.items()}
    timesteps, abar = (np.array(run.exact[key], np.float64) for key in ("timesteps", "abar"))
    return timeline_figure(series, timesteps, abar, {"speciation": run.exact["speciation"]["timestep"]})


def schedules(stem: str, feature: str, axis: str, folder: Path) -> Figure:
    """A feature under three schedules: exact curves dashed, probes solid."""
    runs = {f"{name} schedule": Workdir(folder / f"{stem}-{key}") for key, name in SCHEDULES.items()}
    return curves_figure(feature, runs, axis)


def classes(folder: Path) -> Figure:
    """The exact curves of the class of MNIST and digits under three schedules."""
    names = {"mnist": "MNIST", "digits": "digits"}
    runs = {f"{name}, {schedule}": Workdir(folder / "images" / f"{data}-{key}")
            for data, name in names.items() for key, schedule in SCHEDULES.items()}  # fmt: skip
    return curves_figure("class", runs, TIMESTEP)


def gap(run: str, folder: Path) -> Figure:
    """The gap between the exact posterior and the probes of a run."""
    record = Workdir(folder / run).probe
    return gap_figure(record["features"], np.array(record["timesteps"], np.float64), SHORTFALL)


def of_chains(draw: Callable[..., Figure], feature: str, run: str, samplers: tuple[str, ...], folder: Path) -> Figure:
    """A figure of chains with the samplers under the names that readers see."""
    record = renamed(Workdir(folder / run).chains, samplers)
    return draw(feature, record, np.array(record["timesteps"], np.float64))


def renamed(record: Mapping[str, Any], samplers: tuple[str, ...]) -> dict[str, Any]:
    """The record with some of its samplers, by the names that readers see."""
    found = dict(copy.copy(record))
    found["samplers"] = {SAMPLERS[name]: record["samplers"][name] for name in samplers}
    return found


def told(folder: Path) -> Figure:
    """Accuracy of real or generated."""
    record = Workdir(folder / "sparse-linear").chain_probes
    samplers = renamed(record, tuple(record["samplers"]))["samplers"]
    drawn = real_or_generated_figure(samplers, np.array(record["timesteps"], np.float64))
    drawn.set_size_inches(6.6, 5.2)
    drawn.axes[0].set_ylim(0.45, 0.75)  # no classifier is above 0.71
    return drawn


def samples(run: str, folder: Path) -> Figure:
    """A grid of 64 samples."""
    return grid_figure(Workdir(folder / run).arrays("samples/prior.npz", "images")["images"])


def path(folder: Path) -> Figure:
    """Samples on their way from noise."""
    arrays = Workdir(folder / "ddpm-sparse-linear").arrays("samples/path.npz", "path", "times")
    return path_figure(arrays["path"], arrays["times"])


part = functools.partial
BOTH = ("ancestral:100", "model-ancestral:100")
FIGURES = {
    "figures/timeline_quick.png": timeline,
    "figures/sweep_shape.png": part(schedules, "full", "shape", TIMESTEP),
    "figures/sweep_x.png": part(schedules, "full", "x", TIMESTEP),
    "figures/sweep_shape_logsnr.png": part(schedules, "full", "shape", LOGSNR),
    "figures/sweep_x_logsnr.png": part(schedules, "full", "x", LOGSNR),
    "figures/sweep_class.png": classes,
    "figures/probe_gap.png": part(gap, "quick"),
    "figures/nets_mlp_gap.png": part(gap, "nets/mlp"),
    "figures/nets_conv_gap.png": part(gap, "nets/conv"),
    "figures/trained_backward_shape.png": part(of_chains, backward_figure, "shape", "sparse-linear", BOTH),
    "figures/trained_backward_scale.png": part(of_chains, backward_figure, "scale", "sparse-linear", BOTH),
    "figures/trained_backward_x.png": part(of_chains, backward_figure, "x", "sparse-linear", BOTH),
    "figures/trained_round_trip_shape.png": part(of_chains, round_trip_figure, "shape", "sparse-linear", BOTH),
    "figures/trained_told.png": told,
    "figures/trained_path.png": path,
    "figures/trained_prior_cosine.png": part(samples, "ddpm-sparse-cosine"),
    "figures/trained_prior_dirac.png": part(samples, "ddpm-sparse-dirac"),
}
