"""The evaluation job of an autoencoder: reconstruction, the latent space, readouts of factors, disentanglement."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Integer, Key, PyTree, Shaped

from vdm_jax.base.images import to_unit
from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import Dataset, Split
from vdm_jax.data.sprites import FACTORS
from vdm_jax.evals import latent_space
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.evals.coverage import nearest_sprites, sprite_distances
from vdm_jax.evals.image_metrics import compare_images, standard_error
from vdm_jax.experiments.autoencoder.build import AutoencoderExperiment
from vdm_jax.experiments.autoencoder.prior import COVARIANCE, FITTED, PRIOR, code_counts, make_priors
from vdm_jax.experiments.autoencoder.readouts import disentanglement, readouts
from vdm_jax.experiments.autoencoder.sample import Coder, make_coder, make_draws
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.evaluate import about, save, say
from vdm_jax.models.autoencoder import Autoencoder

OF_PAIRS = ("psnr", "psnr_standard_error", "ssim", "ssim_standard_error")
LATENTS = "evaluate_latents.npz"
SINGULAR = "the covariance of the latents is singular"
NO_SPRITES = "the images are no sprites, and nearest images are searched among sprites alone"
HOLES = ("holes", "holes_of_interpolations")
INTERPOLATED = 10  # steps of an interpolation, both ends among them
TERMS = {  # of evaluate.json: the term, and what it is divided by
    "reconstruction_sum": ("squared_error_of_mean", None),
    "reconstruction_per_pixel": ("squared_error_of_mean", "num_dims"),
    "reconstruction_sum_of_draws": ("squared_error", None),
    "negative_log_likelihood": ("distortion", None),
    "bound_nats": ("bound", None),
    "rate_nats": ("rate", None),
    "rate_per_dim": ("rate", "num_latents"),
}
OF_A_CODE = ("bound_nats", "rate_nats", "rate_per_dim")


GIVEN_PRIOR = {  # why no Gaussian is fitted to the codes
    "gaussian": "N(0, I) is the prior of this code, and no Gaussian is fitted",
    "quantised": "the prior of this code is its codes' frequencies",
}


class EncodedImages(NamedTuple):
    """Test images and their codes. mean, variance: [N, *latent]; variance None: deterministic. labels: of a conditional
    model."""

    test: Split
    labels: Integer[np.ndarray, " n"] | None
    mean: Float[np.ndarray, "n ..."]
    variance: Float[np.ndarray, "n ..."] | None

    def first(self, number: int) -> "EncodedImages":
        """The first `number` images (0: all)."""
        arrays = (None if part is None else part[: number or None] for part in self[1:])
        return EncodedImages(self.test.first(number), *arrays)


def evaluate(experiment: AutoencoderExperiment, workdir: pathlib.Path) -> str:
    """Writes `evaluate_latents.npz` and `evaluate.json`; returns "done".

    The latent space is measured on all test images, whatever `config.evaluate.num_images`.
    """
    config, data, model = experiment.config, experiment.data, experiment.model
    weights = load_weights(workdir, model, config)
    key = jax.random.key(config.evaluate.seed)
    coder = make_coder(model.moments, model.decode, weights.params, data.pixel_values, config.evaluate.batch_size)
    labels = data.test.labels if model.num_classes else None
    everything = EncodedImages(data.test, labels, *coder.encode(data.test.levels, labels))
    measured = everything.first(config.evaluate.num_images)
    say(f"step {weights.step}, {weights.kind} weights, {len(measured.test):,} test images")

    values, reasons = reconstruction(experiment, weights.params, coder, measured, named_key(key, "bound"))
    found, arrays, why = latents(everything, named_key(key, "draws"))
    values, reasons = values | found, reasons | why
    if model.quantiser is not None:
        values |= codebook(measured.mean, model.quantiser.num_codes)
    found, why = on_data(experiment, weights.params, measured, everything, key)
    values, reasons = values | found, reasons | why
    values["readout"], values["readout_baselines"], why = readouts(experiment, coder)
    reasons |= why
    values["disentanglement"], why = disentanglement(config.evaluate, data, coder, model.num_classes > 0)
    record = about(config, data.fingerprint, weights, model.describe_objective(), reasons | why)
    save(workdir, values | record, {LATENTS: arrays})
    return "done"


def latents(
    encoded: EncodedImages, key: Key[jax.Array, ""]
) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, str]]:
    """Active units and moments of the aggregate posterior, arrays, and the reasons for what is missing."""
    number = len(encoded.mean)
    mean, variance = (None if part is None else part.reshape(number, -1) for part in (encoded.mean, encoded.variance))
    draws = mean[: latent_space.MMD_IMAGES]
    if variance is not None:
        noise = np.asarray(jax.random.normal(key, draws.shape))
        draws = draws + np.sqrt(variance[: len(draws)]) * noise
    found, arrays = latent_space.aggregate(mean, variance, draws)
    why = {} if found["gaussian_kl"]["value"] is not None else {"gaussian_kl": SINGULAR}
    return {"active_units": found.pop("active_units"), "aggregate": found}, arrays, why


def reconstruction(
    experiment: AutoencoderExperiment, params: PyTree, coder: Coder, measured: EncodedImages, key: Key[jax.Array, ""]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Errors, D, R and the bound of test images, PSNR, SSIM, and of sprites `near_sprites`."""
    config, data, model = experiment.config.evaluate, experiment.data, experiment.model
    labels = {} if measured.labels is None else {"labels": measured.labels}
    estimate = evaluate_bound(
        model.terms,
        params,
        {"levels": measured.test.levels} | labels,
        passes=config.passes if measured.variance is not None else 1,
        batch_size=config.batch_size,
        key=key,
        progress=bar("evaluate: bound"),
        place=across_devices,
    )
    sizes = {"num_dims": model.num_dims, "num_latents": int(np.prod(model.latent_shape))}
    values: dict[str, Any] = {"num_images": estimate.num_images, "passes": estimate.passes} | sizes
    for name, (term, divisor) in TERMS.items():
        for suffix, found in (("", estimate.mean), ("_standard_error", estimate.standard_error)):
            values[name + suffix] = float(found[term]) / sizes.get(divisor, 1) if term in found else None
    reasons = {
        name: model.no_bound or "the code has no noise, and so it has no rate"
        for name in OF_A_CODE
        if values[name] is None
    }
    if model.no_likelihood:
        reasons["negative_log_likelihood"] = model.no_likelihood
    real = to_unit(measured.test.levels, data.num_levels)
    decoded = coder.decode(measured.mean, measured.labels)
    made = (decoded / np.float32(255)).astype(np.float32)
    compared = compare_images(made, real)
    values |= {name: compared[name] for name in OF_PAIRS}
    reasons |= {name: why for name, why in compared["reasons"].items() if name in OF_PAIRS}
    sprites = near_sprites(data, measured.test.stored, decoded, config.on_data)
    return values | sprites, reasons | {name: NO_SPRITES for name, value in sprites.items() if value is None}


def near_sprites(
    data: Dataset, stored: Integer[np.ndarray, "n ..."], decoded: Integer[np.ndarray, "n h w c"], within: float
) -> dict[str, Any]:
    """How reconstructions lie among the sprites. Other data: None each.

    {"nearest_sprite": {name: the share whose nearest sprite has this factor of the original; "any": all of them},
    "reconstructions_on_data": the share within `within` root mean square a pixel of a sprite, pixels in [0, 1]}.

    stored: the indices of the original sprites. decoded: bytes, whose grey values count.
    """
    if data.grid is None:
        return dict.fromkeys(("nearest_sprite", "reconstructions_on_data"))
    made, distance = nearest_sprites(data, decoded / np.float32(127.5) - 1)
    real = data.labels(data.grid.factors(stored))
    same = {name: made[name] == real[name] for name in FACTORS}
    together = np.logical_and.reduce(list(same.values()))
    shares = {name: latent_space.share(hits) for name, hits in {"any": together, **same}.items()}
    return {"nearest_sprite": shares, "reconstructions_on_data": latent_space.share(distance <= within)}


def on_data(
    experiment: AutoencoderExperiment,
    params: PyTree,
    measured: EncodedImages,
    everything: EncodedImages,
    key: Key[jax.Array, ""],
) -> tuple[dict[str, Any], dict[str, str]]:
    """The share of decoded prior samples that are near a sprite, and of points between two test codes that are not.

    A prior that is fitted to codes is fitted to those of the first `FITTED` of all test images, as in the job `sample`.
    """
    config, data, model = experiment.config, experiment.data, experiment.model
    names = ("prior_samples_on_data", "prior_samples_on_data_covariance", *HOLES)
    if data.grid is None or not config.evaluate.prior_images:
        why = "config.evaluate.prior_images is 0" if data.grid is not None else NO_SPRITES
        return dict.fromkeys(names), dict.fromkeys(names, why)
    number, within = config.evaluate.prior_images, config.evaluate.on_data
    values: dict[str, Any] = dict.fromkeys(names)
    fitted = everything.first(FITTED)
    for name, prior in make_priors(config.model.code, fitted.mean).items():
        draws = make_draws(model.decode, params, prior, fitted.labels, named_key(key, f"prior {name}"))
        images = in_batches(draws, number, config.evaluate.batch_size)
        place = {PRIOR: names[0], COVARIANCE: names[1]}[name]
        values[place] = latent_space.share(sprite_distances(data, images) <= within)
    why = {names[1]: GIVEN_PRIOR[config.model.code]} if values[names[1]] is None else {}
    if measured.labels is not None:
        return values, why | dict.fromkeys(HOLES, "the model is conditional, and two labels have no middle")
    return values | holes(experiment, params, measured.mean, named_key(key, "pairs")), why


def holes(
    experiment: AutoencoderExperiment, params: PyTree, mean: Float[np.ndarray, "n ..."], key: Key[jax.Array, ""]
) -> dict[str, Any]:
    """The share of points between the codes of two test images that decode to no sprite: of midpoints, and of the inner
    points of interpolations of `INTERPOLATED` steps, whose error counts pairs, not points."""
    config, inner = experiment.config.evaluate, INTERPOLATED - 2
    number = config.prior_images
    first, second = pairs(key, len(mean), number)
    middle = 0.5 * (mean[first] + mean[second])
    few = -(-number // inner)
    weight = np.linspace(0, 1, INTERPOLATED, dtype=np.float32)[1:-1].reshape(-1, *[1] * mean.ndim)
    between = (1 - weight) * mean[first[:few]] + weight * mean[second[:few]]
    off = [
        sprite_distances(experiment.data, _decoded(experiment.model, params, u, None, config.batch_size))
        > config.on_data
        for u in (middle, between.reshape(-1, *mean.shape[1:]))
    ]
    by_pair = off[1].reshape(inner, few).mean(axis=0)
    of_pairs = latent_space.entry(float(by_pair.mean()), standard_error(by_pair), inner * few)
    return dict(zip(HOLES, (latent_space.share(off[0]), of_pairs), strict=True))


def _decoded(
    model: Autoencoder,
    params: PyTree,
    u: Float[np.ndarray, "n ..."],
    labels: Integer[np.ndarray, " n"] | None,
    batch_size: int,
) -> Float[np.ndarray, "n h w c"]:
    """The pixel values of latents u."""
    decode = jax.jit(model.decode)

    def images_of(rows):
        return decode(params, u[rows], None if labels is None else labels[rows])

    return in_batches(images_of, len(u), batch_size)


def in_batches(images_of: Callable[..., Any], number: int, batch_size: int) -> Float[np.ndarray, "n h w c"]:
    """`images_of(rows [B])` of rows 0 … N-1; one program serves all batches."""
    found = []
    for start in range(0, number, batch_size):
        rows = np.minimum(np.arange(start, start + batch_size), number - 1)
        found.append(np.asarray(images_of(rows))[: number - start])
    return np.concatenate(found).astype(np.float32)


def pairs(key: Key[jax.Array, ""], num_images: int, number: int) -> tuple[Shaped[np.ndarray, " n"], ...]:
    """`number` pairs of different images, drawn with replacement."""
    first = np.asarray(jax.random.randint(named_key(key, "first"), (number,), 0, num_images))
    step = np.asarray(jax.random.randint(named_key(key, "step"), (number,), 1, max(num_images, 2)))
    return first, (first + step) % num_images


def codebook(latents: Float[np.ndarray, "n ..."], num_codes: int) -> dict[str, Any]:
    """The share of codes that test images use, and the perplexity of their frequencies. Errors are over images."""
    number = len(latents)
    groups = code_counts(latents, max(1, min(latent_space.GROUPS, number // 2)))
    total = groups.sum(axis=0)
    left_out = total - groups if len(groups) > 1 else []
    statistics = {"codebook_usage": lambda counts: np.count_nonzero(counts) / max(num_codes, len(counts)),
                  "codebook_perplexity": perplexity}  # fmt: skip
    return {
        name: latent_space.jackknife(float(of(total)), [float(of(counts)) for counts in left_out], number)
        for name, of in statistics.items()
    }


def perplexity(counts: Integer[np.ndarray, " k"]) -> float:
    """exp(-Σ p ln p) of the frequencies p."""
    used = counts[counts > 0] / counts.sum()
    return float(np.exp(-(used * np.log(used)).sum()))
