"""The evaluation job of a VAE-VDM: all that is measured on the test split, at one checkpoint."""

import pathlib
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, PyTree

from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.rate import CONTROL, UNCONDITIONAL
from vdm_jax.evals.codes import CODE_KEYS, PROBE_KEYS, embeddings, information, readouts
from vdm_jax.evals.information import active_units
from vdm_jax.evals.representations import why_unread
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.checkpoints import initial_params, load_weights
from vdm_jax.experiments.common.codes import encoder_of, sample_codes
from vdm_jax.experiments.common.evaluate import about, compare_with_entropy, save, say
from vdm_jax.experiments.vae_vdm.bound import FOREIGN_KEYS, measure_bound, measure_curves, with_codes
from vdm_jax.experiments.vae_vdm.factors import FACTOR_KEYS, read_factors
from vdm_jax.experiments.vae_vdm.images import NO_PRIOR, measure_images
from vdm_jax.models.diffusion import DiffusionModel

RATE_KEYS = ("encoder_kl_nats", "encoder_kl_bpd")
FROM_PRIOR_KEYS = tuple(key for key in FOREIGN_KEYS if "from_prior" in key)
TSNE_IMAGES = 2_000


def evaluate(experiment: Experiment, workdir: pathlib.Path) -> str:
    """Writes `evaluate_curves.npz`, `evaluate_images.npz` (D + R and the curve of each image, for differences between
    runs), `embeddings.npz` and `evaluate.json`, all at the end; returns "done".

    A function of checkpoint, config and data: another process finds the same numbers.
    """
    config, data, model = experiment.config, experiment.data, experiment.model
    weights = load_weights(workdir, model, config)
    test = data.test.first(config.evaluate.num_images)
    levels = test.levels
    say(f"step {weights.step}, {weights.kind} weights, {len(levels):,} test images")
    key = jax.random.key(config.evaluate.seed)
    params, batch_size = weights.params, config.evaluate.batch_size
    images = with_codes(model, params, levels, test.labels, named_key(key, "others"), batch_size)
    values, bounds = measure_bound(model, params, images, named_key(key, "bound"), config.evaluate)
    values, missing = unbounded(model, values)
    entropy, unknown = compare_with_entropy(values, data)
    curves, by_image = measure_curves(model, params, images, named_key(key, "curve"), config.evaluate)
    say("generating images and scoring them")
    scores, reasons = measure_images(experiment, params, images, named_key(key, "images"))
    if model.code is not None:
        say("reading the code")
    read, unread, pictures = read_codes(experiment, params, images)
    values |= entropy | scores | read
    reasons |= missing | unknown | unread
    if model.code is None:
        values |= dict.fromkeys(RATE_KEYS + FOREIGN_KEYS)
        reasons |= dict.fromkeys(RATE_KEYS + FOREIGN_KEYS, UNCONDITIONAL)
    of_bound = {} if bounds is None else {"bound_nats": bounds.astype(np.float32)}
    each = of_bound | {"own": by_image.astype(np.float32)}
    arrays = {"evaluate_curves.npz": curves, "evaluate_images.npz": each, "embeddings.npz": pictures}
    save(workdir, values | about(config, data.fingerprint, weights, model.describe_objective(), reasons), arrays)
    return "done"


def unbounded(model: DiffusionModel, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The numbers of `measure_bound` with None for those that a code without rate, or without a prior, lacks, and the
    reasons."""
    reasons = {}
    if model.no_bound:
        reasons |= dict.fromkeys(("bpd", "bound_nats"), model.no_bound)
    if model.code is not None and model.code.deterministic:
        reasons |= dict.fromkeys(RATE_KEYS, model.code.no_bound)
    if model.code is not None and not model.code.has_prior:
        reasons |= dict.fromkeys(FROM_PRIOR_KEYS, NO_PRIOR)
    return dict.fromkeys(reasons) | values, reasons


def read_codes(
    experiment: Experiment, params: PyTree, images: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, str], dict[str, np.ndarray] | None]:
    """What the code holds, the reasons of what is missing, and its pictures; none without a code."""
    config, data, model = experiment.config, experiment.data, experiment.model
    of_factors = () if data.grid is None else FACTOR_KEYS
    keys, settings = (*CODE_KEYS, *PROBE_KEYS, *of_factors), config.evaluate
    if model.code is None:
        return dict.fromkeys(keys), dict.fromkeys(keys, UNCONDITIONAL), None
    key = named_key(jax.random.key(settings.seed), "information")
    if model.code.encoder is None:
        moments = images["mu"], images["logvar"]
        found = information(sample_codes(key, *moments), *moments, *moments)
        unread = (*PROBE_KEYS, *of_factors)
        return found | dict.fromkeys(unread), dict.fromkeys((*unread, "embeddings"), CONTROL), None
    encode, untrained = (
        encoder_of(model, weights, settings.batch_size, None if model.has_moments else settings.code_time)
        for weights in (params, initial_params(model, config.train.seed))
    )
    pictures = embeddings(encode, untrained, data.test.first(TSNE_IMAGES), data.label_names, settings.seed)
    train = data.train.first(settings.probe_images)
    moments = (images["mu"], images["logvar"]) if model.has_moments else encode(images["levels"])
    if model.code.deterministic:
        found, reasons = no_information(moments[0])
    else:
        found, reasons = information(sample_codes(key, *moments), *moments, *encode(train.levels)), {}
    if data.grid is not None:
        of_sprites = named_key(jax.random.key(settings.seed), "factors")
        found |= read_factors(of_sprites, encode, untrained, data, settings.probe_images)
    if reason := why_unread(train.labels):
        return found | dict.fromkeys(PROBE_KEYS), reasons | dict.fromkeys(PROBE_KEYS, reason), pictures
    splits = (train, data.validation, data.test)
    return found | readouts(encode, untrained, splits, data.pixel_values), reasons, pictures


def no_information(mu: Float[np.ndarray, "n d"]) -> tuple[dict[str, Any], dict[str, str]]:
    """Active units of a deterministic code, and why there are no bounds on its information."""
    reasons = dict.fromkeys(CODE_KEYS[1:], "the code is deterministic: it has no density")
    return {"active_units": active_units(mu)} | dict.fromkeys(reasons), reasons
