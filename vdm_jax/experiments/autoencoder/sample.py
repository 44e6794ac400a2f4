"""The sets of images of an autoencoder: reconstructions, decoded prior samples, interpolations, traversals, heat maps.

`draw_autoencoder` is the `draw` of `experiments/common/sample.py: sample`.
"""

import pathlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree, UInt8

from vdm_jax.base.files import write_npz
from vdm_jax.base.images import Images, pixels_to_bytes
from vdm_jax.base.images import levels_to_bytes as to_bytes
from vdm_jax.base.keys import keys_of, named_key
from vdm_jax.base.mesh import across_devices, make_mesh
from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import Split
from vdm_jax.evals.batches import map_batches
from vdm_jax.experiments.autoencoder.prior import FITTED, PRIOR, LatentPrior, code_frequencies, make_priors
from vdm_jax.experiments.common.build import Experiment
from vdm_jax.experiments.common.sample import number_shown, save, save_page, write_prior

TRAVERSED, TRAVERSAL_STEPS, DEVIATIONS = 3, 9, 2.0  # images; values of a latent; the farthest one, in deviations
HEAT_MAPS = 8  # images
Labels = Int[np.ndarray, " _"] | None


class Coder(NamedTuple):
    """A trained autoencoder on the host, batch by batch.

    encode: levels [N, H, W, C], labels -> mean, variance [N, *latent] each; a variance of None: no noise. Quantised
        latents where the code is quantised.
    decode: u [N, *latent], labels -> bytes [N, H, W, C].
    """

    encode: Callable[..., tuple[np.ndarray, np.ndarray | None]]
    decode: Callable[..., UInt8[np.ndarray, "n h w c"]]


def draw_autoencoder(experiment: Experiment, params: PyTree, folder: pathlib.Path) -> None:
    """Saves NAME.npz and NAME.png of each set in `folder`.

    real: test images; reconstructions: their decoded means.
    prior: `config.sample.num_images` decoded draws; draw i is a function of `config.sample.seed` and i alone. The prior
        is N(0, I); of a deterministic code a Gaussian with the latents' mean and deviation per component; of a
        quantised code the codes' frequencies at each place. Of a conditional model labels come with their shares.
        All of these are of the first `FITTED` test images, as in the thesis.
    prior_covariance: of a deterministic code, a Gaussian with the latents' mean and covariance.
    interpolations: decoded points on the line between the means of two test images, of one class where conditional.
    traversals: decoded means of test images, one leading latent moved over ± 2 deviations. Not of a quantised code.
    heat_maps: of spatial latents, the channels of the means of test images.
    """
    config, data, model = experiment.config.sample, experiment.data, experiment.model
    code, batch_size = experiment.config.model.code, config.batch_size
    coder = make_coder(model.moments, model.decode, params, data.pixel_values, batch_size)
    test = data.test.first(FITTED)
    labels = test.labels if experiment.config.model.conditional else None
    mean, variance = coder.encode(test.levels, labels)
    number = min(number_shown(config, data), len(test))
    save_page(folder, "real", to_bytes(test.levels[:number], data.num_levels))
    save_page(folder, "reconstructions", coder.decode(mean[:number], first(labels, number)))

    key, shape = jax.random.key(config.seed), (config.num_images, *data.shape)
    for name, prior in make_priors(code, mean).items():
        draws = make_draws(model.decode, params, prior, labels, named_key(key, name))
        number_of_it = config.num_images if name == PRIOR else number_shown(config, data)
        make = partial(decoded_draws, draws, number_of_it, data.pixel_values, batch_size)
        if name == PRIOR:
            write_prior(folder, shape, make, png_folder=config.get("png_folder", False))
        else:
            save_page(folder, name, np.concatenate(list(make(0))))
    if code == "quantised":
        shares = code_frequencies(mean, experiment.config.quantiser.num_codes)
        write_npz(folder / "codes.npz", {"frequencies": shares, "num_images": np.array(len(mean))})
    elif config.traversals:
        save_traversals(folder, coder, mean, variance, test, labels, config.traversals, data.num_levels)
    if config.interpolations:
        pairs = pairs_of(labels, len(test), config.interpolations)
        save_interpolations(folder, coder, mean, test, labels, pairs, config.interpolation_steps, data.num_levels)
    if mean.ndim == 4:
        save_heat_maps(folder, mean[:HEAT_MAPS], to_bytes(test.levels[:HEAT_MAPS], data.num_levels))


def make_coder(
    moments: Callable, decode: Callable, params: PyTree, pixel_values: Float[np.ndarray, " k"], batch_size: int
) -> Coder:
    """Encoder and decoder with these parameters, from the model's `moments` and `decode`. One program each serves every
    number of images."""

    @jax.jit
    def encode_batch(params, levels, labels):
        mean, variance = moments(params, levels, labels)
        return (mean,) if variance is None else (mean, variance)

    @jax.jit
    def decode_batch(params, u, labels):
        return decode(params, u, labels)

    def in_batches(apply, arrays, labels: Labels, name: str):
        def batch(index):
            given = None if labels is None else across_devices(labels[index])
            return apply(params, across_devices(arrays[index]), given)

        progress = bar(f"sample: {name}")
        return map_batches(batch, np.arange(len(arrays)), batch_size, progress=progress, whole=True)

    def encode(levels, labels: Labels = None):
        mean, *variance = in_batches(encode_batch, levels, labels, "latents")
        return mean, variance[0] if variance else None

    def to_images(u, labels: Labels = None):
        return pixels_to_bytes(in_batches(decode_batch, np.asarray(u, np.float32), labels, "decoded"), pixel_values)

    return Coder(encode, to_images)


def first(labels: Labels, number: int) -> Labels:
    """The first labels, or None."""
    return None if labels is None else labels[:number]


# ---- prior samples --------------------------------------------------------------------------------------------------


def make_draws(
    decode: Callable, params: PyTree, prior: LatentPrior, labels: Labels, key: Key[Array, ""]
) -> Callable[[Int[np.ndarray, " b"]], Float[Array, "b h w c"]]:
    """`draws(indices [B]) -> pixels [B, H, W, C]`: draw i is a function of `key` and i alone.

    decode: that of the model.
    labels: of images, from which the label of a draw is drawn; None: the model is unconditional.
    """

    @jax.jit
    def decoded(params, prior_params, labels, indices):
        keys = keys_of(key, indices)
        u = prior.draw(prior_params, named_key(keys, "u"))
        if labels is None:
            return decode(params, u, None)
        chosen = jax.vmap(lambda own: jax.random.randint(own, (), 0, len(labels)))(named_key(keys, "label"))
        return decode(params, u, labels[chosen])

    labels = None if labels is None else jnp.asarray(labels)
    return lambda indices: decoded(params, prior.params, labels, across_devices(indices))


def decoded_draws(
    draws: Callable, number: int, pixel_values: Float[np.ndarray, " k"], batch_size: int, start: int
) -> Iterator[Images]:
    """The draws `start` … `number` - 1 as bytes, batch by batch. The last one is filled up: one program serves all."""
    devices = make_mesh().size
    size = -(-min(batch_size, number) // devices) * devices
    for at in bar("sample: prior")(range(start, number, size)):
        pixels = jax.device_get(draws(np.minimum(np.arange(at, at + size), number - 1)))
        yield pixels_to_bytes(pixels[: number - at], pixel_values)


# ---- sets that are looked at ----------------------------------------------------------------------------------------


def pairs_of(labels: Labels, num_images: int, num_pairs: int) -> Int[np.ndarray, "p 2"]:
    """Indices of pairs of images: the first two, the next two, …; of one class each where there are labels."""
    if labels is None:
        most = min(num_pairs, num_images // 2)
        return np.arange(2 * most).reshape(-1, 2)
    waiting: dict[int, int] = {}
    pairs = []
    for i, label in enumerate(labels.tolist()):
        if label in waiting:
            pairs.append((waiting.pop(label), i))
        else:
            waiting[label] = i
        if len(pairs) == num_pairs:
            break
    return np.array(pairs, int).reshape(-1, 2)


def save_interpolations(
    folder: pathlib.Path,
    coder: Coder,
    mean: Float[np.ndarray, "n ..."],
    test: Split,
    labels: Labels,
    pairs: Int[np.ndarray, "p 2"],
    num_steps: int,
    num_levels: int,
) -> None:
    """interpolations.npz: `first`, `last` [P, H, W, C], `between` [P, S, H, W, C], both ends decoded too."""
    a, b = (mean[pairs[:, i]][:, None] for i in (0, 1))
    share = np.linspace(0, 1, num_steps, dtype=np.float32).reshape(1, -1, *[1] * (mean.ndim - 1))
    u = (1 - share) * a + share * b
    own = None if labels is None else labels[pairs[:, 0]].repeat(num_steps)
    between = coder.decode(u.reshape(-1, *mean.shape[1:]), own).reshape(*u.shape[:2], *test.levels.shape[1:])
    ends = [to_bytes(test.levels[pairs[:, i]], num_levels) for i in (0, 1)]
    rows = np.concatenate([ends[0][:, None], between, ends[1][:, None]], axis=1)
    save(folder, "interpolations", rows, rows.shape[1], first=ends[0], between=between, last=ends[1], pairs=pairs)


def leading_latents(
    mean: Float[np.ndarray, "n ..."], variance: Float[np.ndarray, "n ..."] | None, number: int
) -> tuple[Int[np.ndarray, " d"], Float[np.ndarray, " d"], str]:
    """(indices in the flattened latents, scores, what the score is): the largest "rate", the mean of
    KL(q(u_i | x) ‖ N(0, 1)) in nats, or the largest "variance" of the mean where the code has no noise."""
    flat = mean.reshape(len(mean), -1)
    if variance is None:
        scores, by = flat.var(axis=0), "variance"
    else:
        var = variance.reshape(len(mean), -1)
        scores, by = (0.5 * (flat**2 + var - 1 - np.log(np.maximum(var, 1e-30)))).mean(axis=0), "rate"
    leading = np.argsort(-scores, kind="stable")[:number]
    return leading, scores[leading], by


def save_traversals(
    folder: pathlib.Path,
    coder: Coder,
    mean: Float[np.ndarray, "n ..."],
    variance: Float[np.ndarray, "n ..."] | None,
    test: Split,
    labels: Labels,
    num_dimensions: int,
    num_levels: int,
) -> None:
    """traversals.npz: `source` [M, H, W, C], `traversals` [M, D, S, H, W, C], `dimensions` [D] of the flattened
    latents, their `scores` [D] and what these are (`by`), `deviations` [S]: the value of a latent is its average over
    test images plus so many deviations."""
    dimensions, scores, by = leading_latents(mean, variance, num_dimensions)
    deviations = np.linspace(-DEVIATIONS, DEVIATIONS, TRAVERSAL_STEPS, dtype=np.float32)
    flat, source = mean.reshape(len(mean), -1), test.levels[:TRAVERSED]
    values = flat.mean(axis=0)[dimensions, None] + deviations * flat.std(axis=0)[dimensions, None]  # [D, S]
    number, shape = len(source), (len(source), *values.shape)
    u = np.broadcast_to(flat[:number, None, None], (*shape, flat.shape[1])).copy()
    for d, dimension in enumerate(dimensions):
        u[:, d, :, dimension] = values[d]
    own = None if labels is None else labels[:number].repeat(values.size)
    made = coder.decode(u.reshape(-1, *mean.shape[1:]), own).reshape(*shape, *source.shape[1:])
    arrays = {"dimensions": dimensions, "scores": scores, "by": np.array(by), "deviations": deviations}
    save(folder, "traversals", made, len(deviations), source=to_bytes(source, num_levels), traversals=made, **arrays)


def save_heat_maps(folder: pathlib.Path, maps: Float[np.ndarray, "n a b k"], source: Images) -> None:
    """heat_maps.npz: `source` [N, H, W, C] and the latents `maps` [N, a, b, K]. In the picture each channel is grey:
    mid-grey is zero, and its largest absolute value black or white."""
    scaled = 0.5 + 0.5 * maps / np.maximum(np.abs(maps).max(axis=(0, 1, 2)), np.finfo(np.float32).tiny)
    grey = np.moveaxis(np.rint(255 * scaled).astype(np.uint8), -1, 1)[..., None]  # [N, K, a, b, 1]
    for axis in (0, 1):
        index = np.arange(source.shape[1 + axis]) * maps.shape[1 + axis] // source.shape[1 + axis]
        grey = np.take(grey, index, axis=2 + axis)  # nearest, to the side of the image
    rows = np.concatenate([source[:, None], grey.repeat(source.shape[-1], axis=-1)], axis=1)
    save(folder, "heat_maps", rows, rows.shape[1], source=source, maps=maps)
