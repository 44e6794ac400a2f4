"""The page of a latent diffusion model: it and simpler models of the latents in one table, and denoising by time."""

from functools import partial
from html import escape
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.latent_models import COLUMNS, EXPLAINED, MODELS, TABLE
from vdm_jax.report.primitives.markup import Gallery, card, figure, missing, panel, table
from vdm_jax.report.primitives.measured import entry, measured, plain
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.sections.numbers import NO_EVALUATION, other_numbers, run_facts

CARDS = (
    (("eps", "over_linear"), "denoising loss / linear", "of ε; the best linear denoiser has 1"),
    (("bound_nats",), "bound on −log p(x)", "nats per image, through the decoder"),
    (("bound_minus_prior_nats",), "bound minus that of N(0, I)", "nats per image, on the same draws"),
    (("not_a_sprite",), "no sprite", "share of decoded samples"),
    (("frechet", "distance"), "Fréchet distance", "of decoded samples"),
)
CURVES = {"eps": "squared error of ε", "x": "squared error of x"}
NO_TABLE = missing("There is no readable table of models in evaluate.json yet", "evaluate")
SHOWN = ("provenance", "reasons", "settings", "coverage", "frechet", "objective", "by_time", TABLE)


def headline(workdir: Workdir, gallery: Gallery) -> str:
    """What was measured, cards of this model, and the table of all models of the latents."""
    values = workdir.evaluate
    if not values:
        return NO_EVALUATION
    rows = values.get(TABLE)
    main = rows.get(values.get("main")) if isinstance(rows, dict) else None
    if not isinstance(main, dict):
        return NO_TABLE
    found = [(*entry(main, *place), title, unit) for place, title, unit in CARDS]
    cards = "".join(
        card(title, measured(value, error), unit) for value, error, _, title, unit in found if value is not None
    )
    number, passes = (plain(value) if value else "—" for value in (values.get("num_images"), values.get("passes")))
    text = f"{number} test images, {passes} noise passes each; ± one standard error over images. {EXPLAINED}"
    reasons = [f"<p>There is no bound: {escape(why)}.</p>" for why in (workdir.reason("bound_nats"),) if why]
    return (
        f'{_where(values)}<div class="cards">{cards}</div>{models_table(rows)}<p>{escape(text)}</p>{"".join(reasons)}'
    )


def _where(values: dict[str, Any]) -> str:
    """A sentence on the space."""
    about = values.get("space")
    if not isinstance(about, dict):
        return ""
    shape, scale = about.get("shape"), about.get("scale")
    size = " x ".join(map(str, shape)) if isinstance(shape, list) else plain(values.get("num_latents", 0))
    scaled = {"none": "as they are", "global": "scaled by one number", "component": "scaled one by one"}
    how = scaled.get(str(scale), f"scale {scale}")
    text = f"{size} latents of the space {about.get('name')!r}, {how}."
    return f"<p>{escape(text)}</p>"


def models_table(rows: dict[str, Any]) -> str:
    """One row a model, with the columns that one of them has."""
    found = {
        name: {title: entry(row, *place)[:2] for title, place in COLUMNS.items()}
        for name, row in rows.items()
        if isinstance(row, dict)
    }
    titles = [title for title in COLUMNS if any(row[title][0] is not None for row in found.values())]
    cells = [
        [escape(MODELS.get(name, name)), *(measured(*row[title]) for title in titles)] for name, row in found.items()
    ]
    return table(["model of the latents", *titles], cells, numbers=range(1, len(titles) + 1))


def denoising_section(workdir: Workdir, gallery: Gallery) -> str:
    """Losses over that of the best linear denoiser by time, and the losses themselves."""
    values = workdir.evaluate
    try:
        by_time = values["by_time"]
        rows = {name: row for name, row in values[TABLE].items() if "eps" in row}
        drawn = {"ratio": ratio_figure(rows, by_time)}
        drawn |= {name: loss_figure(rows, by_time, name) for name in CURVES}
    except (KeyError, TypeError, ValueError, AttributeError):
        return missing("There are no losses by time in evaluate.json yet", "evaluate")
    alts = {"ratio": "losses over the linear denoiser by time"} | {n: f"{title} by time" for n, title in CURVES.items()}
    panels = [panel(gallery.save(f"denoising_{name}", each), alt=alts[name]) for name, each in drawn.items()]
    number = values.get("num_images")
    caption = (
        "Left: squared error of each denoiser divided by that of the best linear one on the same noisy latents, the "
        "same for ε and x. Below 1 a denoiser knows more than the covariance, above 1 it is worse than a matrix. "
        "Others: the errors per component; dashed: the best linear denoiser, from the eigenvalues of the covariance. "
        "Each point is a part of the time, over which the noise is averaged. Bands: ± 2 standard errors over "
        f"{plain(number) if number else 'the'} test images."
    )
    return figure(panels, caption)


def ratio_figure(rows: dict[str, Any], by_time: dict[str, Any]) -> Figure:
    """The loss of every model over that of the linear denoiser."""
    x, label = time_axis(by_time)
    drawn, axes = style.panel(title="Loss / best linear denoiser", xlabel=label, ylabel="ratio")
    shown = {name: row["eps"]["by_time"] for name, row in rows.items() if name != "gaussian"}
    for i, (name, curves) in enumerate(shown.items()):
        style.curve(axes, x, curves, "over_linear", colour=style.LINE_COLOURS[i], label=MODELS.get(name, name))
    axes.axhline(1, color=style.GREY, linewidth=1, linestyle="--")
    known = [curves["over_linear"] for name, curves in shown.items() if name != "untrained"]
    top = max((float(np.nanmax(values)) for values in known), default=1.0)
    axes.set_ylim(0, min(max(1.1, 1.1 * top), 10.0))
    style.legend(axes)
    return drawn


def loss_figure(rows: dict[str, Any], by_time: dict[str, Any], currency: str) -> Figure:
    """The loss of every model per component, and that of the linear denoiser."""
    x, label = time_axis(by_time)
    drawn, axes = style.panel(title=CURVES[currency], xlabel=label, ylabel="per component")
    linear = np.array(by_time[f"linear_{currency}"], np.float64)
    for i, (name, row) in enumerate((n, r) for n, r in rows.items() if n != "gaussian"):
        curves = row[currency]["by_time"]
        style.curve(axes, x, curves, "loss", colour=style.LINE_COLOURS[i], label=MODELS.get(name, name))
    axes.plot(x, linear, color=style.INK, linewidth=1.2, linestyle="--", label="best linear denoiser")
    axes.set_ylim(0, 1.5 * float(linear.max()))
    style.legend(axes)
    return drawn


def time_axis(by_time: dict[str, Any]) -> tuple[np.ndarray, str]:
    """The timestep of a table, otherwise t."""
    if "timestep" in by_time:
        return np.array(by_time["timestep"], np.float64), "timestep"
    return np.array(by_time["time"], np.float64), "t"


LATENT_MODELS = Section("numbers", "Models of the latents", headline, run_facts)
LATENT_DENOISING = Section("denoising", "Denoising by time", denoising_section)
LATENT_OTHER_NUMBERS = Section("other", "Raw numbers", partial(other_numbers, elsewhere=SHOWN))
