"""results/digits: what a code of 10 nats costs on 8x8 digits."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.base.statistics import paired_difference
from vdm_jax.report.compare.code_worth import CURVES
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.image_figures import grid_figure, guided_figure
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.published import costs
from vdm_jax.report.published.page import Page
from vdm_jax.report.published.settings import settings
from vdm_jax.report.published.table import difference_over_seeds, interval, mean, table, values

SEEDS = (0, 1, 2)
STEMS = ("target", "unconditional")
SETTLED = 400  # updates; before them the differences are far larger


def main_table(folder: Path) -> str:
    """Both settings, mean ± standard error over seeds."""
    columns = {
        "setting": lambda one: one.name,
        "D + R, nats": mean("bound_nats"),
        "bits/dim": mean("bpd"),
        "D, nats": mean("distortion_nats"),
        "R, nats": mean("encoder_kl_nats"),
        "active units of 16": mean("active_units"),
        "linear classifier on w, accuracy": mean("linear_probe_accuracy"),
        "… on raw pixels": mean("linear_probe_accuracy_raw_pixels"),
        "… on a random projection": mean("linear_probe_accuracy_random_projection"),
        "label kept, share": mean("guided_label_kept"),
        "cost of another image's code, nats": mean("diffusion_shuffled_cost_nats"),
        "Fréchet distance, w from the prior": mean("frechet", "distance"),
        "… w of test images": mean("frechet_aggregate", "distance"),
    }
    return table(list(settings(folder, SEEDS, STEMS).values()), columns)


def difference_table(folder: Path) -> str:
    """The code's cost and saving, paired seed by seed."""
    found = settings(folder, SEEDS, STEMS)
    target, none = (found[stem] for stem in STEMS)
    saved = paired_difference(values(none, "bound_nats"), values(target, "distortion_nats"), "seeds")
    rows = [
        ("D + R with the code - without", difference_over_seeds(target, none, "bound_nats"), "seeds 0, 1, 2"),
        ("D without the code - with it", saved, "seeds 0, 1, 2"),
    ]
    columns = {
        "difference": lambda row: row[0],
        "nats [95% interval]": lambda row: interval(row[1]),
        "standard error": lambda row: f"{float(row[1].error):.2f}",
        "paired over": lambda row: row[2],
        "degrees of freedom": lambda row: str(row[1].degrees_of_freedom),
    }
    return table(rows, columns)


def training_figure(folder: Path) -> Figure:
    """D + R with the code minus without on validation images over training: a line for each seed, and the mean."""
    found = settings(folder, SEEDS, STEMS)
    steps = found["target"].runs[0].series("validation", "bound")[0]
    kept = steps >= SETTLED
    curves = [np.stack([run.series("validation", "bound")[1][kept] for run in found[stem].runs]) for stem in STEMS]
    drawn, axes = style.panel(
        title="What the code costs over training", xlabel="update", ylabel="D + R above no code, nats"
    )
    axes.axhline(0, color=style.GREY, linewidth=1.0)
    for seed, line in zip(SEEDS, curves[0] - curves[1], strict=True):
        axes.plot(steps[kept], line, color=style.GREY, linewidth=0.9, label="_" if seed else "each seed")
    costs.interval_band(axes, steps[kept], paired_difference(*curves, "seeds"), style.BLUE, "-", "mean, 95% interval")
    style.legend(axes)
    return drawn


def saving_figure(folder: Path) -> Figure:
    """The saving by the own code and the cost of another image's code, of the runs of results/collapse/digits."""
    found = settings(folder.parent / "collapse" / "digits", SEEDS, STEMS)
    saving = costs.saving_over_seeds(found["target"], found["unconditional"])
    runs = [run.arrays(CURVES, "logsnr", "own", "shuffled") for run in found["target"].runs]
    order = np.argsort(runs[0]["logsnr"])
    wrong, own = (np.stack([run[key][order] for run in runs]).astype(np.float64) for key in ("shuffled", "own"))
    ylabel = "difference, nats / log SNR"
    drawn, axes = style.panel(title="The right code and a wrong code", xlabel="log SNR", ylabel=ylabel)
    axes.axhline(0, color=style.GREY, linewidth=1.0)
    costs.interval_band(axes, saving.logsnr, saving.curve, style.BLUE, "-", "saved by the own code")
    wrong_costs = paired_difference(wrong, own, "seeds")
    costs.interval_band(axes, saving.logsnr, wrong_costs, style.VERMILLION, "--", "cost of another image's code")
    drawn.legend(loc="outside lower center", ncols=1, frameon=False, fontsize=8.5, labelcolor=style.INK)
    return drawn


def grid(name: str, folder: Path) -> Figure:
    """A grid of 64 images."""
    return grid_figure(Workdir(folder).arrays(f"images/{name}.npz", "images")["images"])


def guided(folder: Path) -> Figure:
    """Test images and images from their codes."""
    arrays = Workdir(folder).arrays("images/guided.npz", "source", "generated")
    return guided_figure(arrays["source"], arrays["generated"])


PAGE = Page(
    "digits",
    tables={"main": main_table, "difference": difference_table},
    figures={
        "figures/training.png": training_figure,
        "figures/saving.png": saving_figure,
        "figures/samples_prior.png": lambda folder: grid("prior", folder),
        "figures/samples_real.png": lambda folder: grid("real", folder),
        "figures/guided.png": guided,
    },
)
