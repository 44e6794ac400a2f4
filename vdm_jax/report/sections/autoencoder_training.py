"""The other terms of an autoencoder's training over the steps: those of its regulariser, discriminator and codebook."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vdm_jax.report.page import Section
from vdm_jax.report.primitives import style
from vdm_jax.report.primitives.markup import Gallery, figure, not_applicable, panel
from vdm_jax.report.primitives.workdir import Workdir, is_number

SHOWN_ABOVE = ("bound", "distortion", "rate")
NO_TERMS = ("step", "epoch", "seconds", "bpd", "learning_rate", "images_per_second", "grad_norm", "skipped", "loss")
NAMES = {
    "squared_error": "squared error, summed, in [0, 1] pixels",
    "compared": "distance of pixels and features",
    "fooling": "what the discriminator makes of decodings",
    "discriminator": "hinge loss of the discriminator",
    "adaptive_weight": "adaptive weight of the discriminator",
    "perplexity": "perplexity of the codes of a batch",
    "used_codes": "share of the codes used in a batch",
    "dip": "DIP penalty",
    "beta": "weight of the rate",
    "held_out_rate": "rate of held-out images, nats",
}
MOST = 9  # panels


def terms_section(workdir: Workdir, gallery: Gallery) -> str:
    """A panel for each logged term besides bound, distortion and rate."""
    keys = [key for key in _keys(workdir) if key not in (*SHOWN_ABOVE, *NO_TERMS)][:MOST]
    panels = [
        panel(gallery.save(f"training_{key}", term(workdir, key)), alt=f"{_name(key)} over training steps")
        for key in keys
    ]
    if not panels:
        return not_applicable("The training logs no other terms.")
    return figure(
        panels,
        "Terms of the loss over training steps, each in its own unit, for train batches (grey) and validation images "
        "(blue). The first fifth of the steps may lie outside the frame.",
    )


def _keys(workdir: Workdir) -> list[str]:
    return list(dict.fromkeys(key for row in workdir.metrics for key, value in row.items() if is_number(value)))


def _name(key: str) -> str:
    return NAMES.get(key, key.replace("_", " "))


def term(workdir: Workdir, key: str) -> Figure:
    """One logged number over the steps."""
    drawn, axes = style.panel(title=_name(key), xlabel="step", ylabel="", size=(3.7, 2.9))
    train, validation = workdir.series("train", key), workdir.series("validation", key)
    if len(train[0]):
        axes.plot(*train, color=style.GREY, linewidth=1.1, label="train")
    if len(validation[0]):
        marker = "o" if len(validation[0]) <= 60 else None
        axes.plot(*validation, color=style.BLUE, linewidth=1.8, marker=marker, markersize=3.5, label="validation")
    last = max(float(steps[-1]) for steps, _ in (train, validation) if len(steps))
    limits = style.finite_limits(*(values[steps >= 0.2 * last] for steps, values in (train, validation)))
    if limits is None:
        style.say_empty(axes)
    else:
        axes.set_ylim(limits)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    style.legend(axes)
    return drawn


TERMS = Section("terms", "Other terms of the training", terms_section)
