"""The trained features of a perceptual loss: a classifier of the data set, or the user's Inception weights."""

import jax
from jaxtyping import PyTree
from ml_collections import ConfigDict

from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import Dataset
from vdm_jax.evals.feature_net import train_feature_net
from vdm_jax.experiments.common.autoencoders import CLASSIFIER, feature_network, read_inception

SEED = 0  # one network a data set, whatever the run


def trained_features(own: ConfigDict, data: Dataset) -> PyTree | None:
    """The parameters that the training holds in its carry as "features"; None without a perceptual loss.

    own: `config.reconstruction`.
    """
    if own.loss == "likelihood" or not own.perceptual:
        return None
    if own.features != CLASSIFIER:
        return read_inception(own)
    return train_feature_net(
        feature_network(own, data)[0],
        data.name,
        data.pixel_values,
        *((split.levels, split.labels) for split in (data.train, data.test)),
        key=jax.random.key(SEED),
        progress=bar("train: features of the perceptual loss"),
    ).params
