"""The sets of images of a latent diffusion model: decoded samples, the way to some of them, and that of test images."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from vdm_jax.base.images import levels_to_bytes, pixels_to_bytes
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.diffusion.gaussian import noised
from vdm_jax.experiments.common.evaluate import sampling
from vdm_jax.experiments.common.sample import chain_points, draw_prior, number_shown, save, save_page
from vdm_jax.experiments.latent_diffusion.build import LatentExperiment
from vdm_jax.experiments.latent_diffusion.latents import latents_of, make_decoder
from vdm_jax.models.generate import generate


def draw_latent_diffusion(experiment: LatentExperiment, params: PyTree, folder: pathlib.Path) -> None:
    """Saves NAME.npz and NAME.png of each set in `folder`.

    real: test images; reconstructions: their decoded latents, the best that a model of the latents can do.
    prior: `config.sample.num_images` decoded samples.
    path: z_t on the way to the first of these, decoded as it is ("path" [N, K, H, W, C]), with the latents
        ("z" [N, K, *shape]) and "times" [K].
    noising: test images at the same times, from x to noise, decoded in the same way.
    """
    config, data, model, space = experiment.config.sample, experiment.data, experiment.model, experiment.space
    decoder = make_decoder(space.space, config.batch_size, bar("sample: decoded"))

    def to_bytes(x: Float[np.ndarray, "n ..."]) -> np.ndarray:
        return pixels_to_bytes(decoder(x), data.pixel_values)

    key = jax.random.key(config.seed)
    number = number_shown(config, data)
    x = latents_of(space, data, "test", number, named_key(key, "test"))
    save_page(folder, "real", levels_to_bytes(data.test.first(number).levels, data.num_levels))
    save_page(folder, "reconstructions", to_bytes(x))
    draw_prior(experiment, params, folder, to_bytes=to_bytes)
    num_paths = min(config.num_paths, config.num_images)
    if not num_paths:
        return
    settings = sampling(config) | {"keep": chain_points(config.num_steps), "progress": bar("sample: path")}
    _, z, times = generate(model, params, named_key(key, "prior"), num_paths, **settings)
    gammas = model.schedule(params).gamma(jnp.asarray(times))
    x = jnp.asarray(x[:num_paths])
    eps = jax.random.normal(named_key(key, "noising"), x.shape)
    forward = np.stack([noised(x, eps, gamma) for gamma in gammas[::-1]], axis=1)
    for name, latents, at in (("path", z, times), ("noising", forward, times[::-1])):
        images = to_bytes(latents.reshape(-1, *latents.shape[2:])).reshape(*latents.shape[:2], *data.shape)
        save(folder, name, images, images.shape[1], **{name: images, "z": latents, "times": at})
