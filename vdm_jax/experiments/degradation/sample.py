"""The sets of images of a degradation: on the way to D(x, 1), generated ones, and z_t on the way to some of them."""

import pathlib
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from vdm_jax.base.images import Images, levels_to_bytes, pixels_to_bytes
from vdm_jax.base.keys import keys_of, named_key
from vdm_jax.base.progress import bar
from vdm_jax.diffusion.degradation.chains import even_times
from vdm_jax.experiments.common.functions import nearest_levels
from vdm_jax.experiments.common.sample import chain_points, number_shown, save, save_page, write_prior
from vdm_jax.experiments.degradation.build import RestorationExperiment
from vdm_jax.experiments.degradation.generate import generate_restored
from vdm_jax.experiments.degradation.samplings import Generation
from vdm_jax.experiments.degradation.starts import make_starts

STRIP = 9  # times of a strip of degraded images


def draw_degradation(experiment: RestorationExperiment, params: PyTree, folder: pathlib.Path) -> None:
    """Saves `real` test images; `degraded`, z_t of some, with their restorations in one evaluation, `restored`;
    `prior`, generated images; and `path`, z_t on the way to the first of these."""
    config, data, model = experiment.config, experiment.data, experiment.model
    own, low_high = config.sample, data.pixel_values
    levels = data.test.first(number_shown(own, data)).levels
    save_page(folder, "real", levels_to_bytes(levels, data.num_levels))
    key = jax.random.key(own.seed)
    x = jnp.asarray(data.pixel_values[levels[: own.num_paths]])
    times, forward, back = np.linspace(0, 1, STRIP), jax.jit(model.process.draw), partial(model.restored, params)
    strip, restored = [], []
    for t in times:
        at = jnp.full(len(x), t, jnp.float32)
        strip.append(forward(keys_of(named_key(key, "strip"), jnp.arange(len(x))), x, at))
        restored.append(back(strip[-1], at) if t else x)
    for name, images in (("degraded", strip), ("restored", restored)):
        rows = pixels_to_bytes(np.stack(images, axis=1), low_high)
        save(folder, name, rows, rows.shape[1], **{name: rows, "times": times})
    way = Generation(own.method, own.num_steps, own.start)
    fitting = {"mixture_components": config.start.mixture_components, "fitted_images": config.start.fitted_images}
    draw = make_starts([own.start], data, model.process, seed=own.seed, **fitting)[own.start]
    key, common = named_key(key, "prior"), {"batch_size": own.batch_size}

    def make(first: int) -> Iterator[Images]:
        settings = common | {"first": first, "progress": bar("sample: prior")}
        for pixels, _ in generate_restored(model, params, key, own.num_images, way, draw, **settings):
            yield levels_to_bytes(nearest_levels(pixels, data), data.num_levels)

    write_prior(folder, (own.num_images, *data.shape), make, png_folder=own.get("png_folder", False))
    keep = chain_points(own.num_steps)
    number = min(own.num_paths, own.num_images)
    kept = [chain for _, chain in generate_restored(model, params, key, number, way, draw, keep=keep, **common)]
    path = pixels_to_bytes(np.concatenate(kept), low_high)
    times = even_times(own.num_steps, model.num_steps)[list(keep)]
    save(folder, "path", path, path.shape[1], path=path, times=times)
