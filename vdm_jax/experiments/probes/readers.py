"""Readers: functions that say which features the end of a chain has."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from ml_collections import ConfigDict

from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import Dataset
from vdm_jax.data.sprites import FACTORS
from vdm_jax.evals.coverage import READER_SEED, READER_WIDTH, make_reader
from vdm_jax.evals.feature_reader import FeatureReader, read_pixels, train_reader
from vdm_jax.experiments.common.populations import CLASS
from vdm_jax.experiments.probes.samplers import EXACT, chosen_readers
from vdm_jax.networks.classifier import make_classifier
from vdm_jax.probing.chains.process import Readers, nearest_reader
from vdm_jax.probing.population import Population

NET = "net"
READERS = {EXACT: "the classes of the nearest of all images", NET: "a trained network, whose errors are recorded"}


def make_readers(
    names: tuple[str, ...], data: Dataset, population: Population, net: FeatureReader | None = None
) -> Readers:
    """The readers of these names in their order; `net` where it was trained."""
    known = {EXACT: nearest_reader(population)}
    if net is not None:
        known[NET] = net_reader(data, population, net)
    return {name: known[name] for name in names if name in known}


def trained_reader(chains: ConfigDict, data: Dataset) -> FeatureReader | None:
    """The network that reads, trained anew with the settings `config.chains`; None where `readers` has none.

    Machines that round alike train the same network. It learns from the first `reader_images` training images at most.
    """
    if NET not in chosen_readers(chains):
        return None
    num_images, num_steps = chains.reader_images, chains.reader_steps
    if data.grid is not None:
        return make_reader(data, num_images, num_steps)[0]
    parts = (getattr(data, name).first(num_images) for name in ("train", "test"))
    return train_reader(
        make_classifier(data.shape, data.num_classes, width=READER_WIDTH, pooled=False),
        data.name,
        data.pixel_values,
        {CLASS: data.num_classes},
        *((part.levels, {CLASS: part.labels}) for part in parts),
        key=jax.random.key(READER_SEED),
        num_steps=num_steps,
        progress=bar("reader"),
    )


def net_reader(data: Dataset, population: Population, net: FeatureReader) -> Partial:
    """Reads x with every pixel moved to the nearest pixel value, since the network has learned from no others."""
    fixed = net._replace(params={})  # the parameters are an argument of what is compiled

    def read_sprites(params, access, key, x):
        factors = read_pixels(fixed._replace(params=params), jnp.where(x > 0, 1.0, -1.0))
        index = jnp.ravel_multi_index(tuple(factors[name] for name in FACTORS), data.grid.sizes, mode="clip")
        return access.labels(access.posterior.alike(key, index))

    def read_images(params, access, _, x):
        values = jnp.asarray(data.pixel_values)
        step = values[1] - values[0]  # pixel values are evenly spaced
        level = jnp.clip(jnp.round((x - values[0]) / step), 0, len(values) - 1).astype(int)
        return read_pixels(fixed._replace(params=params), values[level])

    return Partial(read_images if data.grid is None else read_sprites, net.params, population.access)


def about_reader(net: FeatureReader) -> dict[str, Any]:
    """The network for the records: the share of held-out images that it misreads, and its fingerprint."""
    return {"errors": net.errors, "any_error": net.any_error, "network": net.network._asdict()}
