"""Exact curves of any labelled images: when the class goes, by the exact posterior over the training images."""

import pathlib
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import named_key
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.posterior import Feature, correlate, correlated_posterior
from vdm_jax.diffusion.schedules import Schedule
from vdm_jax.diffusion.theory import covariance_of
from vdm_jax.experiments.common.build import fixed_table, load
from vdm_jax.experiments.common.exact import Subject, measure_exactly, speciation
from vdm_jax.experiments.probes.build import check_exact
from vdm_jax.probing.exact import Instrument, make_instrument

CLASS = "class"


@dataclass(frozen=True)
class ImagesExperiment:
    """What the exact job of labelled images starts from."""

    config: ConfigDict
    data: Dataset
    schedule: Schedule

    @property
    def identity(self) -> str:
        """Of the data, by name and content."""
        return f"{self.data.name} {self.data.fingerprint}"


def build_images(config: ConfigDict) -> ImagesExperiment:
    """Looks at every setting, loads the data. Raises `UserError`, also for images without labels."""
    check_exact(config)
    schedule = fixed_table(config.diffusion)
    data = load(config.data)
    if data.train.labels is None:
        raise UserError(f"{data.name!r} has no labels: there is no class whose curve could be measured")
    return ImagesExperiment(config, data, schedule)


def exact_images(experiment: ImagesExperiment, workdir: pathlib.Path) -> str:
    """The exact curves of the training images' class: see `measure_exactly`.

    The data are the images themselves, not what they were drawn from: right for queries made of these very images,
    while a probe that generalises may beat the curve on others. The record has the time of speciation
    beside, of the same images.
    """
    data, images = experiment.data, experiment.data.train
    rows = data.pixel_values[images.levels].reshape(len(images), -1).astype(np.float32)
    prior = np.bincount(images.labels, minlength=data.num_classes) / len(images)
    features = {CLASS: Feature(prior)}
    instrument = make_image_instrument(rows, images.labels, features, experiment.config.exact.batch_size // 2)
    known = {"speciation": speciation(covariance_of(rows), experiment.schedule)}
    about = (experiment.identity, len(images), known)
    return measure_exactly(Subject(experiment.config, experiment.schedule, features, instrument, *about), workdir)


def make_image_instrument(
    rows: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], features: dict[str, Feature], num: int
) -> Instrument:
    """Batches of `num` rows, each with eps and with -eps. Holds 8 `num` N bytes a batch."""
    classes = jax.nn.one_hot(labels, len(features[CLASS].prior))

    @jax.jit
    def draw(rows, key):
        x = rows[jax.random.choice(named_key(key, "x"), len(rows), (num,), replace=num > len(rows))]
        return correlate(rows, x, jax.random.normal(named_key(key, "eps"), x.shape))

    def posterior(found, gamma):
        return {CLASS: correlated_posterior(found, gamma, classes)}

    # The rows are an argument, for a compiled program would hold a constant a second time.
    return make_instrument(draw, posterior, features, 2 * num)._replace(draw=partial(draw, jnp.asarray(rows)))
