"""The trained features of a perceptual loss: a classifier of the data set, or the user's Inception weights.

The classifier is kept in the folder of the run, so that a restart does not train it again. Every leaf is an array named
by its path. `about` is JSON: what the network depends on, and its fingerprint.
"""

import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from ml_collections import ConfigDict

from vdm_jax.base.files import write_npz
from vdm_jax.base.progress import bar
from vdm_jax.base.pytrees import fingerprint
from vdm_jax.base.signals import Stopped
from vdm_jax.data.dataset import Dataset
from vdm_jax.evals.feature_net import NUM_STEPS, cross_entropy, fit
from vdm_jax.experiments.common.autoencoders import CLASSIFIER, LIKELIHOOD, feature_network, read_inception
from vdm_jax.experiments.common.train import say
from vdm_jax.networks.network import Network
from vdm_jax.probing.chunks import UNREADABLE, flatten, restructure, unflatten

SEED = 0  # one network a data set, whatever the run
FILE = "features.npz"
ABOUT = "about"


def trained_features(
    own: ConfigDict, data: Dataset, workdirs: Sequence[pathlib.Path], stop_requested: Callable[[], bool]
) -> PyTree | None:
    """The parameters that the training holds in its carry as "features"; None without a perceptual loss.

    Args:
        own: `config.reconstruction`.
        workdirs: the folders of all members, which share the classifier. It is read from the first that holds it,
            trained where none does, and kept in each.
        stop_requested: whether SIGTERM has arrived, which ends the training of the classifier.

    Raises:
        Stopped: SIGTERM has arrived before the classifier was trained.
    """
    if own.loss == LIKELIHOOD or not own.perceptual:
        return None
    if own.features != CLASSIFIER:
        return read_inception(own)
    network = feature_network(own, data)[0]
    of = {"data": data.fingerprint, "seed": SEED, "num_steps": NUM_STEPS}
    kept = [read_features(workdir / FILE, network, of) for workdir in workdirs]
    params = next((each for each in kept if each is not None), None)
    if params is None:
        params = train_features(network, data, stop_requested)
    for workdir, there in zip(workdirs, kept, strict=True):
        if there is None:
            write_features(workdir / FILE, params, of)
    return params


def train_features(network: Network, data: Dataset, stop_requested: Callable[[], bool]) -> PyTree:
    """The parameters of the classifier. Raises `Stopped` between two updates once `stop_requested()`."""

    def progress(steps: range) -> Iterator[int]:
        for i in bar("train: features of the perceptual loss")(steps):
            if stop_requested():
                raise Stopped
            yield i

    train, key = data.train, jax.random.key(SEED)
    settings = {"key": key, "num_steps": NUM_STEPS, "progress": progress}
    return fit(network, cross_entropy, data.pixel_values, train.levels, train.labels, **settings)


def write_features(path: pathlib.Path, params: PyTree, of: dict[str, Any]) -> None:
    """Writes the parameters, atomically. of: what they depend on."""
    about = json.dumps(of | {"fingerprint": fingerprint(params)})
    write_npz(path, flatten(params) | {ABOUT: np.frombuffer(about.encode(), np.uint8)})


def read_features(path: pathlib.Path, network: Network, of: dict[str, Any]) -> PyTree | None:
    """The parameters in a file; None where there is none, it is damaged, or of another network or other data."""
    if not path.exists():
        return None
    like = jax.eval_shape(network.init, jax.random.key(0))
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        about = json.loads(arrays.pop(ABOUT).tobytes())
        params = restructure(unflatten(arrays), like)
    except UNREADABLE as error:
        say(f"{path} cannot be read ({type(error).__name__}: {error}); the features are trained again")
        return None
    same = jax.tree.map(lambda leaf, shape: (leaf.shape, leaf.dtype) == (shape.shape, shape.dtype), params, like)
    if about != of | {"fingerprint": fingerprint(params)} or not all(jax.tree.leaves(same)):
        say(f"{path} is damaged or holds other features; the features are trained again")
        return None
    return jax.tree.map(jnp.asarray, params)
