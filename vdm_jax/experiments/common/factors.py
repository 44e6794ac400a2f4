"""The factors that are known of images, and what codes say about them: scores of disentanglement."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from ml_collections import ConfigDict

from vdm_jax.data.dataset import Dataset, Split
from vdm_jax.data.sprite_data import rendered
from vdm_jax.data.sprite_posterior import sprite_features, sprite_labels
from vdm_jax.data.sprites import FACTORS
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.evals.disentanglement.common import Coded
from vdm_jax.evals.disentanglement.dci import dci
from vdm_jax.evals.disentanglement.fixed_factor import factor_vae, z_diff
from vdm_jax.evals.disentanglement.gaps import mig, sap

CLASS = "class"
ORDERED = ("scale", "x", "y")  # factors that are numbers
NO_FACTORS = "the images have no labels"
Levels = Integer[np.ndarray, "n h w c"]
Labels = Integer[np.ndarray, " n"] | None


def factors_of(data: Dataset) -> dict[str, Feature]:
    """What is read of the images: five factors of sprites, the class of labelled images; {} of others."""
    if data.grid is not None:
        return sprite_features(data.grid)
    return {CLASS: Feature(np.full(data.num_classes, 1 / data.num_classes))} if data.num_classes else {}


def labels_of(data: Dataset, split: Split) -> dict[str, Integer[np.ndarray, " _"]]:
    """The class of each factor of every image."""
    if data.grid is not None:
        return {name: np.asarray(labels) for name, labels in sprite_labels(data.grid, split.stored).items()}
    return {CLASS: split.labels}


def disentanglement(
    config: ConfigDict, data: Dataset, encode: Callable[[Levels, Labels], Float[np.ndarray, "n ..."]]
) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """The scores of the codes of sprites, whose factors are known, and the reason where there are none.

    encode: images and their shapes -> codes. config: with `seed`, `disentanglement_images` and `dci`. Images are those
    of all splits together, at most `disentanglement_images`, drawn without replacement.
    """
    if data.grid is None or not config.disentanglement_images:
        why = "disentanglement_images is 0" if data.grid is not None else "the factors of these images are not known"
        return None, {"disentanglement": why}
    index = np.random.RandomState(config.seed).permutation(len(data.grid))[: config.disentanglement_images]
    index = index.astype(np.int32)
    factors = data.grid.factors(index)
    mean = encode(rendered(data, index), factors["shape"].astype(np.int32))
    known = data.labels(factors)
    columns = np.stack([known[name] for name in FACTORS], axis=1)
    coded = Coded(mean.reshape(len(mean), -1), columns, FACTORS, tuple(name in ORDERED for name in FACTORS))
    scores = {"z_diff": z_diff(coded), "factor_vae": factor_vae(coded), "mig": mig(coded), "sap": sap(coded)}
    if config.dci:
        scores |= {"dci": dci(coded, "trees"), "dci_l1": dci(coded, "l1")}
    return scores, {}
