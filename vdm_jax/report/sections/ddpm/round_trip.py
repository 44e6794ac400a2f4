"""The job round_trip of a DDPM: images by epoch, scores of images noised and brought back, loss by timestep, starts."""

from html import escape
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import image_figures, style
from vdm_jax.report.primitives.markup import Absent, Gallery, figure, missing, not_applicable, panel, table
from vdm_jax.report.primitives.measured import entry, measured, plain
from vdm_jax.report.primitives.workdir import Workdir

NOT_ASKED = "round_trip.num_images=0: no images are noised and brought back"
ROWS = {
    "respaced": "noised to T and back, steps of the sampler",
    "full": "the first of them, every step of the table",
    "respaced_few": "the same images, steps of the sampler",
    "another": "another test image",
    "mean": "the mean training image",
}
STARTS = {
    "normal": "N(0, I)",
    "gaussian": "Gaussian with the moments of z_T",
    "data": "z_T of training images",
    "optimum": "N(0, I), by the exact posterior of the training set",
}
STEPS = {"grid": "steps of the sampler", "beta": "steps of constant beta"}
KNOWN = {
    "identity": ("predicting z_t", style.GREY, ":"),
    "linear": ("best linear denoiser", style.INK, "--"),
    "optimum": ("optimum of the training set, on it", style.GREEN, "-"),
}


def _none(workdir: Workdir) -> Absent:
    section = workdir.config.get("round_trip")
    if not isinstance(section, dict) or not section.get("num_images"):
        return not_applicable(f"{NOT_ASKED}.")
    return missing("There is no readable round_trip.json with its images yet", "round_trip")


def grids_section(workdir: Workdir, gallery: Gallery) -> str:
    """Images noised and brought back, and generated ones, at each drawn epoch; strips of one image."""
    names = ("real", "degraded", "back", "path", "prior", "times", "strip_z", "strip_x", "strip_times")
    arrays, marks = workdir.arrays("round_trip.npz", *names), workdir.record("round_trip").get("marks")
    if arrays is None or not isinstance(marks, dict):
        return _none(workdir)
    times, panels = [f"{t:.2f}" for t in arrays["times"]], []
    for i, epoch in enumerate(marks.get("drawn_epochs", ())):
        rows = np.stack([arrays["real"], *arrays["degraded"], *arrays["path"][i][::-1], *arrays["back"][i]])
        titles = ["x", *(f"z, t = {t}" for t in times), *(f"back, t = {t}" for t in times[::-1])]
        titles += [f"x̂ from {t}" for t in times]
        for name, drawn in {
            "conditional": image_figures.rows_figure(rows, row_names=titles),
            "unconditional": image_figures.rows_figure(arrays["prior"][i][None], row_names=["generated"]),
        }.items():
            saved = gallery.save(f"round_trip_{name}_{i}", drawn)
            panels.append(panel(saved, alt=f"{name} images", label=f"epoch {epoch:.3g}, {name}", wide=True))
    strips = np.stack([arrays["strip_z"], arrays["strip_x"]])
    columns = [f"{t:.2f}" for t in arrays["strip_times"]]
    drawn = image_figures.rows_figure(strips, row_names=["back from T", "noised"][::-1], column_names=columns)
    panels.append(panel(gallery.save("round_trip_strips", drawn), alt="strips of one image", wide=True))
    caption = (
        "For each epoch: test images x, noised to three times, z_t at these times on the way back from T, and the ends "
        "of chains from each of them; then images from N(0, I). The noise is the same at all epochs. Last: one image "
        "noised to rising noise (right to left) and on the way back, with the chosen weights."
    )
    return figure(panels, caption)


def scores_section(workdir: Workdir, gallery: Gallery) -> str:
    """RMSE, SSIM and PSNR of round trips beside those of other images; Fréchet distances by start."""
    images, starts = workdir.record("round_trip").get("images"), workdir.record("round_trip").get("starts")
    if not isinstance(images, dict) or not isinstance(starts, dict):
        return _none(workdir)
    scores = ("rmse", "ssim", "psnr")
    rows = [
        [escape(title), *(measured(*entry(images[name], score)[:2]) for score in scores), _count(images[name])]
        for name, title in ROWS.items()
        if isinstance(images.get(name), dict)
    ]
    html = table(["image", "RMSE", "SSIM", "PSNR, dB", "images N"], rows, numbers=range(1, 5))
    html += (
        "<p>RMSE of a range of 1; ± one standard error over images. Where z_T holds nothing of x a perfect model "
        "scores as another test image does: these numbers measure what is left in z_T, not the quality of images. "
        "Fréchet distances compare the generated images; losses of different tables compare the tables; bounds "
        "compare models of the same data.</p>"
    )
    rows = [
        [
            escape(STARTS.get(name.partition("-")[0], name)),
            escape(STEPS.get(name.partition("-")[2], "")),
            *(measured(*entry(row, *place)[:2]) for place in (("num_steps",), ("frechet", "distance"))),
            measured(*entry(row, "frechet", "real_vs_real_floor")[:2]),
            *(measured(row.get(key)) for key in ("pixel_mean", "pixel_deviation")),
            _count(row),
        ]
        for name, row in starts.items()
        if isinstance(row, dict)
    ]
    head = ["start", "steps", "steps N", "Fréchet", "real images", "mean", "deviation", "images N"]
    return html + (table(head, rows, numbers=range(2, 8)) if rows else "")


def timesteps_section(workdir: Workdir, gallery: Gallery) -> str:
    """The loss by timestep with its floors, the table of noise, and how far z_T is from N(0, I)."""
    record = workdir.record("round_trip")
    try:
        curves, end, table_of_noise = record["by_timestep"], record["end_of_chain"], record["schedule"]
        drawn = {"loss": loss_figure(curves), "abar": abar_figure(table_of_noise)}
        facts = [(title, plain(end[key])) for key, title in END.items()]
        mean = [(title, plain(curves[key])) for key, title in MEANS.items()]
        number, queries = (plain(curves[key]) for key in ("num_images", "num_optimum"))
        error = plain(curves["optimum_standard_error"][-1])
    except (KeyError, TypeError, ValueError):
        return _none(workdir)
    alts = {"loss": "loss by timestep", "abar": "share of the signal by timestep"}
    panels = [panel(gallery.save(f"round_trip_{name}", each), alt=alts[name]) for name, each in drawn.items()]
    caption = (
        f"Left: squared error of the noise per pixel at each timestep, of {number} test images (band: ± 2 standard "
        "errors) and of denoisers that are known. No training loss is below the optimum of the training set, here on "
        f"{queries} of its images (± {error} at the last timestep); a model that generalises lies above it. Right: "
        "abar_t, the share of the signal's variance in z_t."
    )
    rows = [[escape(name), escape(value)] for name, value in (*mean, *facts)]
    return figure(panels, caption) + table(["", ""], rows, numbers=(1,))


END = {
    "abar": "abar_T",
    "prior_nats": "KL(q(z_T | x) || N(0, I)), nats per image: in the bound",
    "gaussian_nats": "KL of the Gaussian with the moments of z_T to N(0, I), nats per image",
    "largest_variance": "largest variance of z_T in a direction (N(0, I): 1)",
    "mean_norm": "norm of the mean of z_T (N(0, I): 0)",
}
MEANS = {
    "mean_linear": "loss of the best linear denoiser, mean of all timesteps",
    "mean_identity": "loss of predicting z_t, mean of all timesteps",
}


def loss_figure(curves: dict[str, Any]) -> Figure:
    """The loss and those of `KNOWN` over the timesteps."""
    x = np.array(curves["timesteps"], np.float64)
    drawn, axes = style.panel(title="Loss by timestep", xlabel="timestep", ylabel="per pixel")
    style.curve(axes, x, curves, "loss", colour=style.BLUE, label="this model")
    for name, (label, colour, dashes) in KNOWN.items():
        values = np.array(curves[name], np.float64)
        axes.plot(x, np.where(values > 0, values, np.nan), color=colour, linestyle=dashes, label=label)
    axes.set_yscale("log")
    least = min(np.nanmin(np.array(curves[name], np.float64)) for name in ("loss", "linear"))
    axes.set_ylim(bottom=least / 3)  # the optimum falls to 0 where no two training images can be confused
    style.legend(axes)
    return drawn


def abar_figure(schedule: dict[str, Any]) -> Figure:
    """abar over the timesteps."""
    drawn, axes = style.panel(title="Share of the signal", xlabel="timestep", ylabel="abar")
    axes.plot(np.array(schedule["timesteps"]), np.array(schedule["abar"], np.float64), color=style.BLUE)
    return drawn


def _count(row: dict[str, Any]) -> str:
    return measured(row.get("num_images"))


ROUND_TRIPS = Section("round-trips", "Noised and brought back", grids_section)
ROUND_TRIP_SCORES = Section("round-trip-scores", "Scores of round trips and of starts", scores_section)
BY_TIMESTEP = Section("by-timestep", "Loss by timestep", timesteps_section)
