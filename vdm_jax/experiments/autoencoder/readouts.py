"""What the codes of an autoencoder say about the factors of the images: readouts, and scores of disentanglement."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.data.dataset import Dataset
from vdm_jax.evals.readouts import Examples, readable, train_readouts
from vdm_jax.evals.representations import ONE_CLASS, pca_projections
from vdm_jax.experiments.autoencoder.build import AutoencoderExperiment
from vdm_jax.experiments.autoencoder.sample import Coder, make_coder
from vdm_jax.experiments.common.checkpoints import initial_params
from vdm_jax.experiments.common.factors import NO_FACTORS, factors_of, labels_of
from vdm_jax.experiments.common.factors import disentanglement as scores_of_codes

SPLITS = ("train", "validation", "test")
Codes = Float[np.ndarray, "_ f"]


def readouts(
    experiment: AutoencoderExperiment, coder: Coder
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, dict[str, str]]:
    """Scores of the codes of each factor, those of pixels, of as many principal components and of an untrained encoder,
    and the reasons for what is missing."""
    config, data, model = experiment.config.evaluate, experiment.data, experiment.model
    factors = factors_of(data)
    why = NO_FACTORS if not factors else "" if config.readout_images else "config.evaluate.readout_images is 0"
    if not why and not readable(factors, labels_of(data, data.train.first(config.readout_images))):
        why = ONE_CLASS
    if why:
        return None, None, {"readout": why, "readout_baselines": why}
    splits = {name: getattr(data, name).first(config.readout_images) for name in SPLITS}
    key = named_key(jax.random.key(config.seed), "readouts")

    def score(name: str, features: list[Codes], num_seeds: int = 3, one_scale: bool = False) -> dict[str, Any]:
        parts = [Examples(each, labels_of(data, split)) for each, split in zip(features, splits.values(), strict=True)]
        settings = {"num_steps": config.readout_steps, "num_seeds": num_seeds, "one_scale": one_scale}
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
        "pca": score("pca", pca_projections(pixels, encoded[0].shape[1]), one_scale=True),
        "untrained": score("untrained", codes(untrained)),
    }
    return score("codes", encoded), baselines, {}


def disentanglement(
    config: ConfigDict, data: Dataset, coder: Coder, is_conditional: bool
) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """`common.factors.disentanglement` of the means; a conditional encoder reads the shapes. config: of `evaluate`."""

    def means(levels, shapes):
        return coder.encode(levels, shapes if is_conditional else None)[0]

    return scores_of_codes(config, data, means)
