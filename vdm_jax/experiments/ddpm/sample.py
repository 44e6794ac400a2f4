"""The sets of images of a DDPM: generated ones, and z_t on the way to some of them."""

import pathlib

import jax
from jaxtyping import PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.evaluate import sampling
from vdm_jax.experiments.common.sample import chain_points, pixels_to_bytes, save, save_grid
from vdm_jax.models.generate import generate


def draw_ddpm(experiment: Experiment, params: PyTree, folder: pathlib.Path) -> None:
    """Saves `real` test images, `prior`, generated ones, and `path`, z_t on the way to some of these."""
    config, data, model = experiment.config.sample, experiment.data, experiment.model
    save_grid(folder, "real", data.test.first(config.num_images).levels, data.num_levels)
    key = named_key(jax.random.key(config.seed), "prior")
    settings = sampling(config) | {"keep": chain_points(config.num_steps), "progress": bar("sample: prior")}
    made, path, times = generate(model, params, key, config.num_images, **settings)
    save_grid(folder, "prior", made, data.num_levels)
    path = pixels_to_bytes(path[: config.num_paths], data.pixel_values)
    save(folder, "path", path, path.shape[1], path=path, times=times)
