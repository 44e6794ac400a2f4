"""What each choice of an autoencoder reads."""

from collections.abc import Iterable, Mapping
from typing import Any

from vdm_jax.experiments.common.autoencoders import (
    DETERMINISTIC,
    GAUSSIAN,
    LIKELIHOOD,
    MODES,
    QUANTISED,
    REGULARISERS,
    UPDATES,
)
from vdm_jax.experiments.common.build import DATA, above, by_data
from vdm_jax.experiments.common.rates import SETTINGS
from vdm_jax.launch.choices import Choice
from vdm_jax.launch.settings import value_of
from vdm_jax.models.adversarial import DISTANCES
from vdm_jax.networks.autoencoder import BACKBONES

OF_DISTANCES = ("reconstruction.perceptual", "reconstruction.discriminator")
WITH, WITHOUT = "above 0", "0"


def positive(setting: str, reads: tuple[str, ...]) -> Choice:
    """Settings that are read where a weight is above 0."""

    def of_weight(settings: Mapping[str, Any]) -> Iterable[str]:
        return [WITH if value_of(settings, setting) > 0 else WITHOUT]

    return Choice(setting, {WITH: reads, WITHOUT: ()}, of_weight)


def of_rate(mode: str) -> tuple[str, ...]:
    """The settings of a rate mode, and the list of an ensemble where members may differ in its beta."""
    own = tuple(f"rate.{name}" for name in SETTINGS[mode])
    return own + (("ensemble.beta",) if "beta" in SETTINGS[mode] else ())


REGULARISED = ("regulariser.lambda_od", "regulariser.lambda_d", "ensemble.lambda_od")
AUTOENCODER_CHOICES = (
    DATA,
    Choice("model.backbone", {name: tuple(f"model.{each}" for each in kind.reads) for name, kind in BACKBONES.items()}),
    Choice("model.likelihood", {"bernoulli": (), "gaussian": ("model.sigma",), "levels": ("model.sigma",)}),
    Choice(
        "model.code",
        {
            GAUSSIAN: ("rate.mode", "regulariser.name", "evaluate.passes"),
            DETERMINISTIC: (),
            QUANTISED: tuple(f"quantiser.{name}" for name in ("num_codes", "codebook", "commitment")),
        },
    ),
    Choice("quantiser.codebook", dict.fromkeys(UPDATES, ()) | {"ema": ("quantiser.decay", "quantiser.restart_below")}),
    Choice("rate.mode", {mode: of_rate(mode) for mode in MODES}),
    Choice("regulariser.name", dict.fromkeys(REGULARISERS, REGULARISED) | {"none": ()}),
    Choice("reconstruction.loss", {LIKELIHOOD: ()} | dict.fromkeys(DISTANCES, OF_DISTANCES)),
    positive("reconstruction.perceptual", ("reconstruction.features",)),
    Choice("reconstruction.features", {"classifier": (), "inception": ("reconstruction.inception",)}),
    positive(
        "reconstruction.discriminator", ("reconstruction.discriminator_start", "reconstruction.discriminator_channels")
    ),
    by_data(("evaluate.disentanglement_images",), ()),  # of images whose factors are known
    above("evaluate.disentanglement_images", 1, ("evaluate.dci",)),
)
