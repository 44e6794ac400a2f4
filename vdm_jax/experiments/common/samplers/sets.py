"""The sets of images of a model of images without a code: generated ones, and z_t on the way to some of them."""

import pathlib

import jax
from jaxtyping import PyTree

from vdm_jax.base.images import levels_to_bytes, pixels_to_bytes
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.evaluate import sampling
from vdm_jax.experiments.common.sample import chain_points, draw_prior, number_shown, save, save_page
from vdm_jax.models.generate import generate


def draw_sets(experiment: Experiment, params: PyTree, folder: pathlib.Path) -> None:
    """Saves `real` test images, `prior`, generated ones, and `path`, z_t on the way to the first of these."""
    config, data, model = experiment.config.sample, experiment.data, experiment.model
    shown = data.test.first(number_shown(config, data)).levels
    save_page(folder, "real", levels_to_bytes(shown, data.num_levels))
    draw_prior(experiment, params, folder)
    key = named_key(jax.random.key(config.seed), "prior")
    settings = sampling(config) | {"keep": chain_points(config.num_steps), "progress": bar("sample: path")}
    _, path, times = generate(model, params, key, min(config.num_paths, config.num_images), **settings)
    path = pixels_to_bytes(path, model.likelihood.pixel_values)
    save(folder, "path", path, path.shape[1], path=path, times=times)
