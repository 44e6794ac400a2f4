"""What the codes of an autoencoder say about the factors of the images: readouts, and scores of disentanglement."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Integer
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.data.dataset import Dataset, Split
from vdm_jax.data.sprite_data import rendered
from vdm_jax.data.sprite_posterior import sprite_features, sprite_labels
from vdm_jax.data.sprites import FACTORS
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.evals.disentanglement.common import Coded
from vdm_jax.evals.disentanglement.dci import dci
from vdm_jax.evals.disentanglement.fixed_factor import factor_vae, z_diff
from vdm_jax.evals.disentanglement.gaps import mig, sap
from vdm_jax.evals.readouts import Examples, train_readouts
from vdm_jax.evals.representations import pca_projections
from vdm_jax.experiments.autoencoder.build import AutoencoderExperiment
from vdm_jax.experiments.autoencoder.sample import Coder, make_coder
from vdm_jax.experiments.common.checkpoints import initial_params

CLASS = "class"
ORDERED = ("scale", "x", "y")  # factors that are numbers
NO_FACTORS = "the images have no labels"
SPLITS = ("train", "validation", "test")
Codes = Float[np.ndarray, "_ f"]


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


def readouts(
    experiment: AutoencoderExperiment, coder: Coder
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, dict[str, str]]:
    """Scores of the codes of each factor, those of pixels, of as many principal components and of an untrained encoder,
    and the reasons for what is missing."""
    config, data, model = experiment.config.evaluate, experiment.data, experiment.model
    factors = factors_of(data)
    if not factors or not config.readout_images:
        why = NO_FACTORS if not factors else "config.evaluate.readout_images is 0"
        return None, None, {"readout": why, "readout_baselines": why}
    splits = {name: getattr(data, name).first(config.readout_images) for name in SPLITS}
    key = named_key(jax.random.key(config.seed), "readouts")

    def score(name: str, features: list[Codes], num_seeds: int = 3) -> dict[str, Any]:
        parts = [Examples(each, labels_of(data, split)) for each, split in zip(features, splits.values(), strict=True)]
        settings = {"num_steps": config.readout_steps, "num_seeds": num_seeds}
        return train_readouts(named_key(key, name), *parts, factors, **settings)

    def codes(coder: Coder) -> list[Codes]:
        given = [split.labels if model.num_classes else None for split in splits.values()]
        means = [coder.encode(split.levels, own)[0] for split, own in zip(splits.values(), given, strict=True)]
        return [mean.reshape(len(mean), -1) for mean in means]

    encoded = codes(coder)
    pixels = [data.pixel_values[split.levels].reshape(len(split), -1) for split in splits.values()]
    key_of_carry = named_key(jax.random.key(experiment.config.train.seed), "carry")
    params = model.complete(initial_params(model, experiment.config.train.seed), model.init_carry(key_of_carry))
    untrained = make_coder(model.moments, model.decode, params, data.pixel_values, config.batch_size)
    baselines = {
        "pixels": score("pixels", pixels, 1),
        "pca": score("pca", pca_projections(pixels, encoded[0].shape[1])),
        "untrained": score("untrained", codes(untrained)),
    }
    return score("codes", encoded), baselines, {}


def disentanglement(
    config: ConfigDict, data: Dataset, coder: Coder, is_conditional: bool
) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """The scores of the codes of sprites, whose factors are known, and the reason where there are none.

    config: `config.evaluate`. Images are those of all splits together, at most `disentanglement_images`, drawn without
    replacement.
    """
    if data.grid is None or not config.disentanglement_images:
        why = (
            "config.evaluate.disentanglement_images is 0"
            if data.grid is not None
            else "the factors of these images are not known"
        )
        return None, {"disentanglement": why}
    index = np.random.RandomState(config.seed).permutation(len(data.grid))[: config.disentanglement_images]
    index = index.astype(np.int32)
    factors = data.grid.factors(index)
    labels = factors["shape"].astype(np.int32) if is_conditional else None
    mean, _ = coder.encode(rendered(data, index), labels)
    known = data.labels(factors)
    columns = np.stack([known[name] for name in FACTORS], axis=1)
    coded = Coded(mean.reshape(len(mean), -1), columns, FACTORS, tuple(name in ORDERED for name in FACTORS))
    scores = {"z_diff": z_diff(coded), "factor_vae": factor_vae(coded), "mig": mig(coded), "sap": sap(coded)}
    if config.dci:
        scores |= {"dci": dci(coded, "trees"), "dci_l1": dci(coded, "l1")}
    return scores, {}
