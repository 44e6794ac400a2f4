"""results/coursework: the DDPM of a coursework under constant and linear noise, on digits and on MNIST."""

import functools

from vdm_jax.report.published.coursework import figures, tables
from vdm_jax.report.published.coursework.tables import MNIST, NOISES, SHORT, SHOWN
from vdm_jax.report.published.page import Page

PAGE = Page(
    "coursework",
    tables={
        "mnist": tables.mnist_table,
        "digits": tables.digits_table,
        "starts": tables.starts_table,
        "contrasts": tables.contrast_table,
        "ends": tables.ends_table,
    },
    figures={
        "figures/losses.png": figures.losses_figure,
        "figures/abar.png": figures.abar_figure,
        "figures/training.png": figures.training_figure,
        "figures/strips.png": functools.partial(
            figures.strips_figure, {f"mnist-{noise}": SHORT[noise] for noise in MNIST}
        ),
        "figures/conditional-low.png": functools.partial(figures.conditional_figure, "mnist-low-beta"),
        "figures/conditional-high.png": functools.partial(figures.conditional_figure, "mnist-high-beta"),
        "figures/generated.png": functools.partial(
            figures.generated_figure, {f"digits-{noise}-{SHOWN}": SHORT[noise] for noise in NOISES}
        ),
        "figures/generated-mnist.png": functools.partial(
            figures.generated_figure, {f"mnist-{noise}": SHORT[noise] for noise in MNIST}
        ),
    },
)
