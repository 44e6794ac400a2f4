"""The sets of images of a VAE-VDM: from the prior, from codes of test images, and the way there."""

import pathlib

import jax
import numpy as np
from jaxtyping import Int, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import Split
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.codes import encode_all, prior_codes, sample_codes
from vdm_jax.experiments.common.evaluate import sampling
from vdm_jax.experiments.common.sample import chain_points, levels_to_bytes, pixels_to_bytes, save, save_grid
from vdm_jax.models.generate import generate


def draw_vae_vdm(experiment: Experiment, params: PyTree, folder: pathlib.Path) -> None:
    """Saves `real` (test images) and `prior` (w ~ p(w)); with a code also `aggregate` (w ~ q(w | x) of test images),
    `guided` (test images, and several generated from the code of each) and `chain` (z_t on the way to one of these)."""
    config, data, model = experiment.config.sample, experiment.data, experiment.model
    key = jax.random.key(config.seed)

    def make(name: str, num_images: int, w: np.ndarray | None, keep: tuple[int, ...] | None = None):
        settings = sampling(config) | {"keep": keep, "progress": bar(f"sample: {name}")}
        return generate(model, params, named_key(key, name), num_images, w, **settings)

    def codes_of(name: str, levels: np.ndarray) -> np.ndarray:
        moments = encode_all(model, params, levels, experiment.config.evaluate.batch_size)
        return sample_codes(named_key(key, f"{name}_codes"), *moments)

    shown = data.test.first(config.num_images).levels
    save_grid(folder, "real", shown, data.num_levels)
    if model.code is None:
        save_grid(folder, "prior", make("prior", config.num_images, None), data.num_levels)
        return
    from_prior = prior_codes(model.code, params, named_key(key, "prior_codes"), config.num_images)
    save_grid(folder, "prior", make("prior", config.num_images, from_prior), data.num_levels)
    save_grid(folder, "aggregate", make("aggregate", len(shown), codes_of("aggregate", shown)), data.num_levels)

    levels = data.test.levels[one_of_each(data.test, config.guided_sources)]
    w = np.repeat(codes_of("guided", levels), config.guided_per_source, axis=0)
    made, chain, times = make("guided", len(w), w, chain_points(config.num_steps))
    source, made = (levels_to_bytes(images, data.num_levels) for images in (levels, made))
    generated = made.reshape(len(levels), config.guided_per_source, *data.shape)
    rows = np.concatenate([source[:, None], generated], axis=1)
    save(folder, "guided", rows, rows.shape[1], source=source, generated=generated)
    chain = pixels_to_bytes(chain[:: config.guided_per_source], data.pixel_values)
    rows = np.concatenate([source[:, None], chain], axis=1)
    save(folder, "chain", rows, rows.shape[1], source=source, chain=chain, times=times)


def one_of_each(split: Split, num_images: int) -> Int[np.ndarray, " n"]:
    """Indices of the first image of each class in turn, then of the second ones, …; without labels the first images."""
    if split.labels is None:
        return np.arange(min(num_images, len(split)))
    turn = np.array([(split.labels[:i] == label).sum() for i, label in enumerate(split.labels)])
    return np.lexsort((split.labels, turn))[:num_images]
