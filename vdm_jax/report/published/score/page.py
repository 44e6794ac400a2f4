"""results/score: score matching and Langevin dynamics on a mixture of Gaussians and on digits, and the score of a DDPM.

The records are mixture/, and NAME-SEED/ for NAME one of `OBJECTIVES` and `MODELS`.
"""

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.statistics import paired_difference
from vdm_jax.report.primitives.image_figures import grid_figure, rows_figure
from vdm_jax.report.primitives.measured import entry
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published.page import Page
from vdm_jax.report.published.table import DASH, difference_over_seeds, interval, mean, number, setting, table
from vdm_jax.report.sections.score import mixture as plane
from vdm_jax.report.sections.score.images import by_level_figure

SEEDS = (0, 1, 2)
OBJECTIVES = {
    "digits": "denoising, 20 levels",
    "digits-sliced": "sliced, 20 levels",
    "digits-single": "denoising, one level σ = 0.05",
}
MODELS = {"digits": "a score model of digits", "ddpm": "a DDPM of digits"}  # that are sampled in many ways
NAMES = {
    "exact": "exact, no noise",
    "sliced": "sliced, no noise",
    "denoising": "denoising at one level",
    "levels": "denoising at 15 levels",
}
SHOWN = ("exact", "levels")  # objectives of the mixture with figures
CHAINS = ("start", "end_true_uniform", "end_learned_uniform", "end_learned_annealed")
GRIDS = ("digits", "digits-single")


def mixture(folder: Path) -> dict[str, Any]:
    """mixture.json."""
    return Workdir(folder / "mixture").record("mixture")


def errors(folder: Path) -> str:
    """The error of each objective on the mixture, mean ± standard error over seeds."""
    record = mixture(folder)
    rows = [(name, record["errors"][key]) for key, name in NAMES.items()]
    columns: dict[str, Callable[[tuple[str, Any]], str]] = {
        "objective": lambda row: row[0],
        "σ of the data": lambda row: f"{row[1]['sigma']:g}",
        "error by density": lambda row: shown(row[1], "weighted"),
        "error over the square": lambda row: shown(row[1], "unweighted"),
    }
    return table(rows, columns)


def shown(row: Mapping[str, Any], key: str) -> str:
    """A number of a row with its standard error; a dash where there is none."""
    value, error, _ = entry(row, key)
    return DASH if value is None else number(value, math.nan if error is None else error)


def chains(folder: Path) -> str:
    """Where chains end."""
    shares = {
        "nearer to the larger mode at the start": "started_large",
        "at the end": "large",
        "changed the mode": "moved",
        "outside of both": "outside",
    }
    columns: dict[str, Callable[[tuple[str, Any]], str]] = {"chains": lambda row: row[0]}
    columns |= {title: lambda row, key=key: shown(row[1], key) for title, key in shares.items()}
    return table(list(mixture(folder)["langevin"].items()), columns)


def mixing(folder: Path) -> str:
    """The share of chains in the larger mode by the distance of the modes, after all steps."""
    found = mixture(folder)["mixing"]
    rows = list(zip(found["separations"], found["share"], found["at_rest"], strict=True))
    columns: dict[str, Callable[[tuple[float, list[float], float]], str]] = {
        "distance": lambda row: f"{row[0]:g}",
        f"share after {found['steps'][0]:,} steps": lambda row: f"{row[1][0]:.3f}",
        f"after {found['steps'][-1]:,} steps": lambda row: f"{row[1][-1]:.3f}",
        "in equilibrium": lambda row: f"{row[2]:.3f}",
    }
    return table(rows, columns)


def stationary(folder: Path) -> str:
    """The variance of Langevin dynamics on N(0, 1)."""
    found = mixture(folder)["known"]["stationary"]
    rows = list(zip(*(found[name] for name in ("step_size", "expected", "variance", "standard_error")), strict=True))
    columns: dict[str, Callable[[tuple[float, ...]], str]] = {
        "step size a": lambda row: f"{row[0]:g}",
        "1/(1 - a/4)": lambda row: f"{row[1]:.4f}",
        "measured": lambda row: number(row[2], row[3]),
    }
    return table(rows, columns)


def orders(folder: Path) -> str:
    """The errors of samplers on N(0, 1/4) by the number of steps."""
    known = mixture(folder)["known"]
    columns: dict[str, Callable[[tuple[str, Any]], str]] = {"sampler": lambda row: f"`{row[0]}`"}
    columns |= {f"{n} steps": lambda row, i=i: f"{row[1]['errors'][i]:.2g}" for i, n in enumerate(known["steps"])}
    columns["order"] = lambda row: f"{row[1]['order']:.2f}"
    return table(list(known["orders"].items()), columns)


def flow(folder: Path) -> str:
    """The likelihood of the mixture by the probability flow."""
    found = mixture(folder)["known"]["flow"]
    columns: dict[str, Callable[[dict[str, float]], str]] = {
        "in closed form, nats": lambda row: f"{row['expected']:.4f}",
        "by the flow, nats": lambda row: f"{row['value']:.4f}",
        "largest difference of a draw": lambda row: f"{row['largest']:.2g}",
    }
    return table([found], columns)


def objectives(folder: Path) -> str:
    """The digits by objective, mean ± standard error over the trainings that there are."""
    found = {}
    for stem, name in OBJECTIVES.items():
        seeds = [seed for seed in SEEDS if (folder / f"{stem}-{seed}").is_dir()]
        found[stem] = setting(name, folder, seeds, stem)
    first = next(iter(found.values()))

    def beside(one) -> str:
        if one is first:
            return "0"
        same = one.seeds == first.seeds
        return interval(difference_over_seeds(one, first, "frechet", "distance")) if same else DASH

    columns = {
        "objective": lambda one: one.name,
        "trainings": lambda one: str(len(one.runs)),
        "error of eps_hat": mean("loss"),
        "bound, nats": mean("bound_nats"),
        "Fréchet distance": mean("frechet", "distance"),
        "… minus that of the first [95% interval]": beside,
    }
    return table(list(found.values()), columns)


def samplers(model: str, folder: Path) -> str:
    """The samplers of a model: means over training seeds of the scores over evaluation seeds.

    Of one training, the means over evaluation seeds, their errors, and the intervals over these.
    """
    records = [Workdir(folder / f"{model}-{seed}").record("samplers") for seed in SEEDS]
    rows = [record["samplers"] for record in records if record]
    names = list(rows[0])

    def values(name: str, key: str) -> np.ndarray:
        return np.array([row[name][key]["value"] for row in rows])

    def averaged(name: str, key: str) -> str:
        found = values(name, key)
        if len(found) == 1:
            return shown(rows[0][name], key)
        return number(float(found.mean()), float(found.std(ddof=1) / np.sqrt(len(found))))

    def above_the_floor(name: str) -> str:
        if name == names[0]:
            return "0"
        if len(rows) == 1:
            found = rows[0][name]["beyond"]
            return interval_text(found["value"], *found["interval"])
        return interval(paired_difference(values(name, "pixels"), values(names[0], "pixels"), "seeds"))

    columns: dict[str, Callable[[str], str]] = {
        "sampler": lambda name: f"`{name}`",
        "evaluations": lambda name: str(rows[0][name]["evaluations"]),
        "Fréchet distance to the data": lambda name: averaged(name, "frechet"),
        "to samples of the first, pixels": lambda name: averaged(name, "pixels"),
        "… minus the floor [95%]": above_the_floor,
    }
    return table(names, columns)


def interval_text(value: float, low: float, high: float) -> str:
    """`mean [low, high]` to two digits of half of the interval."""
    decimals = max(0, 1 - math.floor(math.log10((high - low) / 2)))
    value, low, high = (round(each, decimals) + 0.0 for each in (value, low, high))
    return f"{value:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]"


# ---- figures --------------------------------------------------------------------------------------------------------


def arrays(folder: Path) -> Mapping[str, np.ndarray]:
    """mixture.npz."""
    found = Workdir(folder / "mixture").arrays("mixture.npz", "axis")
    assert found is not None, "results/score/mixture/mixture.npz cannot be read"
    return found


def grid(stem: str, folder: Path) -> Figure:
    """64 samples of seed 0."""
    found = Workdir(folder / f"{stem}-0").arrays("samples/prior.npz", "arr_0")
    assert found is not None, f"results/score/{stem}-0/samples/prior.npz cannot be read"
    return grid_figure(found["arr_0"])


def rows_of_samplers(model: str, folder: Path) -> Figure:
    """Images of seed 0 by each sampler, in the order of the table."""
    run = Workdir(folder / f"{model}-0")
    found = run.arrays("samplers.npz", "images")
    assert found is not None, f"results/score/{model}-0/samplers.npz cannot be read"
    return rows_figure(found["images"], row_names=list(run.record("samplers")["samplers"]))


def levels_of_digits(folder: Path) -> Figure:
    """The error by noise level of seed 0."""
    drawn = by_level_figure(Workdir(folder / "digits-0").evaluate)
    assert drawn is not None, "results/score/digits-0/evaluate.json has no by_level"
    return drawn


FIGURES: dict[str, Callable[[Path], Figure]] = {
    "true": lambda folder: plane.true_figure(arrays(folder)),
    **{name: lambda folder, name=name: plane.learned_figure(arrays(folder), name) for name in SHOWN},
    **{f"error_{name}": lambda folder, name=name: plane.map_figure(arrays(folder), name) for name in SHOWN},
    **{f"weighted_{name}": lambda folder, name=name: plane.map_figure(arrays(folder), name, True) for name in SHOWN},
    "levels_of_mixture": lambda folder: plane.levels_figure(mixture(folder)),
    **{name: lambda folder, name=name: plane.ends_figure(arrays(folder), name) for name in CHAINS},
    "mixing": lambda folder: plane.mixing_figure(mixture(folder)),
    "levels_of_digits": levels_of_digits,
    **{stem: functools.partial(grid, stem) for stem in GRIDS},
    **{f"samplers_{model}": functools.partial(rows_of_samplers, model) for model in MODELS},
}
PAGE = Page(
    "score",
    tables={
        "errors": errors,
        "chains": chains,
        "mixing": mixing,
        "stationary": stationary,
        "orders": orders,
        "flow": flow,
        "objectives": objectives,
    }
    | {f"samplers-{model}": functools.partial(samplers, model) for model in MODELS},
    figures={f"figures/{name}.png": draw for name, draw in FIGURES.items()},
)
