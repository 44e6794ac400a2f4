"""What the experiments on chains are made of: the sprites and who reads them, and the ways from noise to an image."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from vdm_jax.data.sprite_data import make_sprite_data
from vdm_jax.data.sprite_posterior import sprite_labels
from vdm_jax.data.sprites import FACTORS
from vdm_jax.evals.coverage import make_reader
from vdm_jax.evals.feature_reader import FeatureReader, read_pixels
from vdm_jax.experiments.probes.build import EXACT, LEAST_NOISE, ChosenSampler, ProbeExperiment, chosen_readers
from vdm_jax.probing.chains import Grid, Subject, Walk, eps_walk, exact_walk, x_walk

Images = Float[Array, "q h w 1"]
Labels = dict[str, Int[Array, " q"]]


def make_subject(experiment: ProbeExperiment, net: FeatureReader | None = None) -> Subject:
    """The sprites of the grid, and the readers of `config.chains.readers`; net: the trained one, where it is asked."""
    grid, posterior = experiment.grid, experiment.posterior

    def draw(key, n):
        index = jax.random.randint(key, (n,), 0, len(grid))
        return grid.render(index), sprite_labels(grid, index)

    def read(key, x):
        return sprite_labels(grid, posterior.alike(key, posterior.nearest(x)))

    def distance(x):
        return jnp.sqrt(jnp.mean((x - grid.render(posterior.nearest(x))) ** 2, axis=(1, 2, 3)))

    there_are = {EXACT: read} | ({} if net is None else {"net": net_reader(experiment, net)})
    readers = {name: there_are[name] for name in chosen_readers(experiment.config.chains) if name in there_are}
    return Subject(draw, posterior.features, posterior.classes, readers, distance)


def trained_reader(experiment: ProbeExperiment) -> FeatureReader | None:
    """The network that reads, trained anew, to the same on machines that round alike; None where none is asked for."""
    config = experiment.config.chains
    if "net" not in chosen_readers(config):
        return None
    return make_reader(make_sprite_data(experiment.grid), config.reader_images, config.reader_steps)[0]


def net_reader(experiment: ProbeExperiment, net: FeatureReader) -> Callable[[Key[Array, ""], Images], Labels]:
    """What the network sees in images whose pixels are put to -1 or 1, which is all that it has learned from."""
    grid = experiment.grid

    def read(key, x):
        factors = read_pixels(net, jnp.where(x > 0, 1.0, -1.0))
        index = jnp.ravel_multi_index(tuple(factors[name] for name in FACTORS), grid.sizes, mode="clip")
        return sprite_labels(grid, experiment.posterior.alike(key, index))

    return read


def about_reader(net: FeatureReader) -> dict[str, Any]:
    """What must be said beside its readings: how often it errs on sprites that it was not trained on."""
    return {"errors": net.errors, "any_error": net.any_error, "network": net.network._asdict()}


def make_walk(experiment: ProbeExperiment, chosen: ChosenSampler, grid: Grid) -> Walk:
    """Posterior draws for "exact"; else the sampler of that name with the trained model's eps_hat, x_hat clipped to the
    range of pixels, or with the optimal denoiser E[x | z_t]."""
    posterior, schedule = experiment.posterior, experiment.schedule
    if chosen.trained:
        return eps_walk(experiment.model.denoise, schedule, grid, chosen.name, experiment.model.x_range)

    def draw(key, z, gamma):
        return posterior.draw(key, z, jnp.maximum(gamma, LEAST_NOISE))

    def mean(_, z, t):
        return posterior.mean(z, jnp.maximum(schedule.gamma(t), LEAST_NOISE))

    return exact_walk(draw, schedule, grid) if chosen.name == EXACT else x_walk(mean, schedule, grid, chosen.name)


def model_of(experiment: ProbeExperiment, chosen: ChosenSampler) -> str:
    """Whose chain it is: "exact", or the fingerprint of the trained weights."""
    return experiment.model.fingerprint if chosen.trained else EXACT


def about_model(experiment: ProbeExperiment) -> dict[str, Any] | None:
    """The trained model, for the records; None where there is none."""
    return None if experiment.model is None else experiment.model.about
