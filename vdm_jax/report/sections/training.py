"""Training: bound, rate and loss over the steps."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import figures, style
from vdm_jax.report.primitives.autoencoder_names import no_bits, no_distortion
from vdm_jax.report.primitives.markup import NO_CODE, Gallery, figure, missing, not_applicable, panel
from vdm_jax.report.primitives.workdir import Workdir, is_number

QUANTITIES = {
    "bound": "Bound, D + R",
    "distortion": "Distortion D",
    "rate": "Rate R",
    "score_loss": "J",
}


def training_section(workdir: Workdir, gallery: Gallery) -> str:
    """Bound, distortion and rate over the steps, for train and validation."""
    panels = []
    for key, title in QUANTITIES.items():
        train, validation = workdir.series("train", key), workdir.series("validation", key)
        if len(train[0]) + len(validation[0]) == 0 or (key == "rate" and workdir.is_unconditional):
            continue
        dims = workdir.num_dims if key == "bound" and no_bits(workdir.config) is None else None
        target = _target(workdir) if key == "rate" else None
        drawn = figures.training_curve(*train, *validation, title=title, target=target, num_dims=dims)
        panels.append(panel(gallery.save(f"training_{key}", drawn), alt=f"{title} over training steps"))
    if not panels:
        return missing("There are no training curves in metrics.jsonl yet", "train")
    what = "Nats per image over training steps, for train batches (grey) and validation images (blue)"
    if workdir.series("train", "score_loss")[0].size:
        what += "; J, the error of the conditional score, is in its own weighting"
    return figure(panels, f"{what}. The first fifth of the steps may lie outside the frame.")


def _target(workdir: Workdir) -> float | None:
    rate = workdir.config.get("rate")
    if not isinstance(rate, dict) or rate.get("mode") != "target" or not is_number(rate.get("target_nats")):
        return None
    return float(rate["target_nats"])


def rate_distortion_section(workdir: Workdir, gallery: Gallery) -> str:
    """The path of (R, D) for validation images, or for train batches if there is no validation."""
    if workdir.is_unconditional and workdir.reads_labels:
        return not_applicable(f"{NO_CODE}. Its rate is zero.")
    if workdir.is_unconditional:
        return not_applicable(f"{NO_CODE}. Its rate is zero and its distortion is the bound.")
    if workdir.is_deterministic:
        return not_applicable("The code is deterministic: it has no rate.")
    if (why := no_distortion(workdir.config)) is not None:
        return not_applicable(why)
    split = "validation" if len(workdir.series("validation", "rate")[0]) > 1 else "train"
    rates, distortions = (dict(zip(*workdir.series(split, key), strict=True)) for key in ("rate", "distortion"))
    steps = sorted(rates.keys() & distortions.keys())
    if not steps:
        return missing("There are no rates and distortions in metrics.jsonl yet", "train")
    rate, distortion = (np.array([values[s] for s in steps]) for values in (rates, distortions))
    drawn = figures.rate_distortion(np.array(steps), rate, distortion)
    what = "images" if split == "validation" else "batches"
    return figure(
        [panel(gallery.save("rate_distortion", drawn), alt="distortion against rate over training")],
        f"Distortion against rate for {split} {what} in nats per image. The colour is the training step; the star is "
        "the last one. D\u00a0+\u00a0R is constant along a dotted line. The first fifth of the steps may lie outside "
        "the frame.",
    )


OF_NOISE = "Squared error of the predicted noise per pixel"


def loss_section(
    workdir: Workdir, gallery: Gallery, what: str = OF_NOISE, of_zero: str = "A prediction of zero"
) -> str:
    """The loss over the steps, for train and validation. what: the loss. of_zero: what has the loss 1."""
    train, validation = workdir.series("train", "loss"), workdir.series("validation", "loss")
    if not len(train[0]):
        return missing("There is no training curve in metrics.jsonl yet", "train")
    drawn, axes = style.panel(title="Loss", xlabel="step", ylabel="per pixel")
    axes.plot(*train, color=style.GREY, linewidth=1.1, label="train")
    axes.plot(*validation, color=style.BLUE, linewidth=1.8, marker="o", markersize=3.5, label="validation")
    marks = _drawn_steps(workdir, validation[0])
    if marks.any():
        axes.plot(*(values[marks] for values in validation), "o", color=style.VERMILLION, label="images drawn")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    style.legend(axes)
    caption = f"{what} over training steps, for train batches (grey) and for validation images with the averaged "
    caption += f"weights (blue). {of_zero} has the error 1."
    return figure([panel(gallery.save("training_loss", drawn), alt="loss over training steps")], caption)


def _drawn_steps(workdir: Workdir, steps: np.ndarray) -> np.ndarray:
    """Which of the steps are those at which the job round_trip drew images."""
    marks = workdir.record("round_trip").get("marks")
    return np.isin(steps, marks.get("steps", []) if isinstance(marks, dict) else [])


BOUND = Section("training", "Training", training_section)
RATE_DISTORTION = Section("rate-distortion", "Rate and distortion", rate_distortion_section)
LOSS = Section("training", "Training", loss_section)
