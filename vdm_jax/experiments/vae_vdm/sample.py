"""The sets of images of a VAE-VDM: from the prior, from codes of test images, and the way there."""

import pathlib
from dataclasses import replace
from functools import partial

import jax
import numpy as np
from jaxtyping import Int, PyTree

from vdm_jax.base.images import levels_to_bytes, pixels_to_bytes
from vdm_jax.base.keys import named_key
from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import Split
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.codes import conditions, encode_all, guided, prior_conditions, reads_condition
from vdm_jax.experiments.common.evaluate import sampling
from vdm_jax.experiments.common.sample import chain_points, draw_prior, number_shown, save, save_page
from vdm_jax.models.generate import generate


def draw_vae_vdm(experiment: Experiment, params: PyTree, folder: pathlib.Path) -> None:
    """Saves `real` (test images) and, where w can be drawn, `prior` (w ~ p(w), labels of training images); with a code
    or labels also `aggregate` (w ~ q(w | x) and the label of test images), `guided` (test images, and several generated
    from the code and label of each) and `chain` (z_t on the way to one of these)."""
    config, data = experiment.config.sample, experiment.data
    model = guided(experiment.model, config)
    experiment = replace(experiment, model=model)
    key = jax.random.key(config.seed)

    def make(name: str, w: PyTree, number: int, keep: tuple[int, ...] | None = None):
        settings = sampling(config) | {"keep": keep, "progress": bar(f"sample: {name}")}
        return generate(model, params, named_key(key, name), number, w, **settings)

    def codes_of(name: str, images: Split) -> PyTree:
        moments = None
        if model.has_moments:
            moments = encode_all(model, params, images.levels, experiment.config.evaluate.batch_size)
        return conditions(model, named_key(key, f"{name}_codes"), images.levels, moments, images.labels)

    def to_bytes(levels: np.ndarray) -> np.ndarray:
        return levels_to_bytes(levels, data.num_levels)

    shown = data.test.first(number_shown(config, data))
    save_page(folder, "real", to_bytes(shown.levels))
    of_prior = partial(prior_conditions, model, params, named_key(key, "prior_codes"), data.train.labels)
    if model.code is None or model.code.has_prior:
        draw_prior(experiment, params, folder, of_prior if reads_condition(model) else None)
    if not reads_condition(model):
        return
    save_page(folder, "aggregate", to_bytes(make("aggregate", codes_of("aggregate", shown), len(shown))))

    sources = rows_of(data.test, one_of_each(data.test, config.guided_sources))
    levels, each = sources.levels, config.guided_per_source
    w = jax.tree.map(lambda leaf: np.repeat(leaf, each, axis=0), codes_of("guided", sources))
    made, chain, times = make("guided", w, len(levels) * each, chain_points(config.num_steps))
    source, generated = to_bytes(levels), to_bytes(made).reshape(len(levels), config.guided_per_source, *data.shape)
    rows = np.concatenate([source[:, None], generated], axis=1)
    save(folder, "guided", rows, rows.shape[1], source=source, generated=generated)
    chain = pixels_to_bytes(chain[:: config.guided_per_source], data.pixel_values)
    rows = np.concatenate([source[:, None], chain], axis=1)
    save(folder, "chain", rows, rows.shape[1], source=source, chain=chain, times=times)


def rows_of(split: Split, indices: Int[np.ndarray, " n"]) -> Split:
    """Those images of a split, with their labels."""
    labels = None if split.labels is None else split.labels[indices]
    return replace(split, stored=split.stored[indices], labels=labels)


def one_of_each(split: Split, num_images: int) -> Int[np.ndarray, " n"]:
    """Indices of the first image of each class in turn, then of the second ones, …; without labels the first images."""
    if split.labels is None:
        return np.arange(min(num_images, len(split)))
    turn = np.array([(split.labels[:i] == label).sum() for i, label in enumerate(split.labels)])
    return np.lexsort((split.labels, turn))[:num_images]
