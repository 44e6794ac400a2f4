"""Readers: functions that say which features the end of a chain has."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from ml_collections import ConfigDict

from vdm_jax.base.program import Program
from vdm_jax.base.progress import bar
from vdm_jax.base.space import Space
from vdm_jax.data.dataset import Dataset
from vdm_jax.data.sprites import FACTORS
from vdm_jax.evals.coverage import READER_SEED, READER_WIDTH, make_reader
from vdm_jax.evals.feature_reader import FeatureReader, read_pixels, train_reader
from vdm_jax.experiments.common.populations import CLASS, sprite_population
from vdm_jax.experiments.common.space.encoded import EncodedSpace
from vdm_jax.experiments.probes.latent_reader import train_latent_reader
from vdm_jax.experiments.probes.samplers import EXACT, LATENT_NET, NET, SPRITE, chosen_readers
from vdm_jax.networks.classifier import make_classifier
from vdm_jax.probing.chains.process import Reader, Readers, nearest_reader, posterior_reader, read_all
from vdm_jax.probing.population import Population

ERROR_IMAGES = 2_000  # test images at most, of which the errors of readers in a space are


def make_readers(
    names: tuple[str, ...],
    data: Dataset,
    population: Population,
    net: FeatureReader | None = None,
    space: EncodedSpace | None = None,
    latent_net: Reader | None = None,
) -> Readers:
    """The readers of these names in their order; `net` and `latent_net` where they were trained."""
    random = space is not None and space.sampled
    known = {EXACT: posterior_reader(population) if random else nearest_reader(population)}
    if space is not None and data.grid is not None:
        known[SPRITE] = decoded(space.space, nearest_reader(sprite_population(data)))
    if net is not None:
        if space is None:
            known[NET] = net_reader(data, population, net)
        else:
            of_pixels = population if data.grid is None else sprite_population(data)
            known[NET] = decoded(space.space, net_reader(data, of_pixels, net))
    if latent_net is not None:
        known[LATENT_NET] = latent_net
    return {name: known[name] for name in names if name in known}


def readers_of(
    chains: ConfigDict, data: Dataset, population: Population, space: EncodedSpace | None
) -> tuple[Readers, dict[str, Any]]:
    """The readers of `config.chains`, trained where they are networks, and what records say of them: "net", as of
    `about_reader`, and in a space "reader_errors", as of `reader_errors`."""
    names = chosen_readers(chains)
    net = trained_reader(chains, data)
    latent_net = train_latent_reader(population, chains) if LATENT_NET in names else None
    readers = make_readers(names, data, population, net, space, latent_net)
    about = {} if net is None else {"net": about_reader(net)}
    if space is not None:
        about["reader_errors"] = reader_errors(readers, population, chains.batch_size)
    return readers, about


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


def decoded(space: Space, read: Reader) -> Partial:
    """Reads the images that x decode to."""
    decode = space.decode

    def read_decoded(params, read, key, x):
        return read(key, decode(params, x))

    return Partial(read_decoded, space.params, read)


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


def reader_errors(readers: Readers, population: Population, batch_size: int) -> dict[str, dict[str, Any]]:
    """{reader: {"errors": {feature: share}, "any_error", "num_images"}} of fresh draws of x of test images.

    What a reader misreads is the sum of its own errors, of those of the decoder, and of what x does not hold. At most
    `ERROR_IMAGES` of the test images, in whole batches.
    """
    index = np.resize(population.splits["test"], max(1, min(ERROR_IMAGES, len(population.splits["test"]))))
    index = np.resize(index, -(-len(index) // batch_size) * batch_size).reshape(-1, batch_size)

    def misread(access, readers, key, index):
        x, labels = access.take(index, jax.random.fold_in(key, 0)), access.labels(index)
        return {
            name: {feature: found[feature] != labels[feature] for feature in found}
            for name, found in read_all(readers, jax.random.fold_in(key, 1), x).items()
        }

    program, key = Program(misread, population.access, readers), jax.random.key(READER_SEED)
    parts = [jax.device_get(program(jax.random.fold_in(key, i), batch)) for i, batch in enumerate(index)]
    wrong = jax.tree.map(lambda *batches: np.concatenate(batches), *parts)
    return {
        name: {
            "errors": {feature: float(values.mean()) for feature, values in own.items()},
            "any_error": float(np.any(list(own.values()), axis=0).mean()),
            "num_images": index.size,
        }
        for name, own in wrong.items()
    }
